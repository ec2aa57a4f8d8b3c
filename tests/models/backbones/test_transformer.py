"""The isotropic transformer: DiT's and PiT's invariants, sites, conditions, configs."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from frisket.codecs.base import Spec
from frisket.core import FrisketError, Step, from_config, install, override, to_config, use_step
from frisket.core.condition import Condition
from frisket.models.backbones.transformer import Transformer
from frisket.models.block import Block, Branch, repeat
from frisket.models.doors import Door
from frisket.models.layers.attention import Attention, Cross, Joint
from frisket.models.layers.embedders import ClassIds, Image, TextIds, Timeless
from frisket.models.layers.ends import Ids, Logits, Patches, PatchesOut
from frisket.models.layers.ffn import Gelu
from frisket.models.layers.modulation import LowRank, Shared, Unmodulated
from frisket.models.layers.positions import Learned, NoPositions, RelativeBias, Rotary, SinCos
from frisket.models.masks.local import Window

LABEL = Door(name="label", embedder=ClassIds(classes=5))
DIT = Transformer(
    width=16, heads=2, input=Patches(channels=2, size=(4, 4), patch=2), output=PatchesOut(channels=4), doors=(LABEL,),
    blocks=repeat(Block(), 3),
)  # fmt: skip
PIT = replace(DIT, input=Patches(channels=2, size=(4, 4), patch=1), positions=Learned())
WORDS = Transformer(
    width=16, heads=2, input=Ids(vocabulary=7, size=(6,)), output=Logits(vocabulary=7), positions=Rotary(),
    time=Timeless(), blocks=repeat(Block(), 2),
)  # fmt: skip
G = torch.Generator().manual_seed(0)
X = torch.randn(3, 2, 4, 4, generator=G)
T = torch.tensor([0.0, 250.0, 999.0])
COND = Condition.of(label=torch.tensor([0, 4, 2]))
STEP = Step(seed=0, sample=torch.arange(3))
FFN = Branch(name="ffn", mixer=Gelu())


def randomised(config, seed=1):
    """The model with nothing left at zero."""
    model = config.build()
    g = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for p in model.parameters():
            if p.requires_grad:
                p.normal_(0.0, 0.2, generator=g)
    return model


def test_output_is_zero_and_blocks_are_identities_at_first():
    model = DIT.build()
    seen = []

    def watch(call, args, step):
        out = call(*args)
        seen.append(torch.equal(out.h, args[0].h))
        return out

    with use_step(STEP), install(model, {"block[:]": watch}):
        assert torch.equal(model(X, T, COND).pred, torch.zeros(3, 4, 4, 4))
    assert seen == [True] * 3


def test_dropped_everywhere_is_the_null_id():
    model = randomised(DIT)
    null = model(X, T, Condition.of(label=torch.full((3,), 5))).pred
    assert torch.equal(model(X, T, COND.without()).pred, null)
    assert (model(X, T, COND).pred - null).abs().max() > 1e-3


@pytest.mark.parametrize("config", [DIT, PIT, replace(DIT, positions=Rotary()), replace(DIT, positions=RelativeBias())])
def test_rows_do_not_mix(config):
    model = randomised(config)
    whole = model(X, T, COND).pred
    for i in range(3):
        alone = model(X[i : i + 1], T[i : i + 1], COND.rows(slice(i, i + 1))).pred
        torch.testing.assert_close(alone, whole[i : i + 1], rtol=1e-5, atol=1e-5)


def test_every_parameter_learns_except_the_frozen_table():
    for config in (DIT, PIT, replace(DIT, positions=RelativeBias())):
        model = randomised(config)
        (model(X, T, COND).pred.square().sum() + model(X, T, COND.without()).pred.square().sum()).backward()
        for name, p in model.named_parameters():
            if name == "positions.table" and config is DIT:
                assert p.grad is None
            else:
                assert p.grad is not None, name
                assert p.grad.abs().sum() > 0, name


def test_tokens_moved_with_their_positions_move_the_output():
    """DiT: permuting patches and rows of the frozen table permutes the patches of the output."""
    model, grid = randomised(DIT), DIT.input.grid
    order = torch.tensor([2, 0, 3, 1])

    def moved(x):
        feature = grid.patchify(x)[:, order]
        c = x.shape[1]
        return grid.unpatchify(feature.unflatten(-1, (c, -1)).transpose(-1, -2).flatten(-2))

    before = model(X, T, COND).pred
    with torch.no_grad():
        model.positions.table.copy_(model.positions.table[order])
    torch.testing.assert_close(model(moved(X), T, COND).pred, moved(before), rtol=1e-5, atol=1e-5)
    assert (model(X, T, COND).pred - before).abs().max() > 1e-3


def test_pit_has_no_idea_of_space():
    model = randomised(PIT)
    order = torch.randperm(16, generator=torch.Generator().manual_seed(2))
    before = model(X, T, COND).pred.flatten(2)
    with torch.no_grad():
        model.positions.table.copy_(model.positions.table[order])
    mixed = X.flatten(2)[..., order].view_as(X)
    torch.testing.assert_close(model(mixed, T, COND).pred.flatten(2), before[..., order], rtol=1e-6, atol=2e-6)


def test_a_time_an_element_equals_a_time_a_row():
    model = randomised(DIT)
    whole = model(X, T, COND).pred
    wide = T.view(3, 1, 1, 1).expand(3, 1, 4, 4)
    torch.testing.assert_close(model(X, wide, COND).pred, whole, rtol=1e-5, atol=1e-5)
    torch.testing.assert_close(model(X, wide[:, 0], COND).pred, whole, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("distinct", [2, 12])
def test_local_times_reach_their_tokens(distinct):
    """With no attention, a token sees its own time only; few and many distinct times take the same path to it."""
    lonely = Block(branches=(Branch(name="ffn", mixer=Gelu()),))
    model = randomised(replace(DIT, blocks=repeat(lonely, 2)))
    local = (torch.arange(12) % distinct).float().view(3, 1, 2, 2) * 70.0
    wide = local.repeat_interleave(2, 2).repeat_interleave(2, 3)
    got = model(X, wide, COND).pred
    for y in range(2):
        for x in range(2):
            part = (..., slice(2 * y, 2 * y + 2), slice(2 * x, 2 * x + 2))
            alone = model(X, local[:, 0, y, x], COND).pred
            torch.testing.assert_close(got[part], alone[part], rtol=1e-4, atol=1e-5)


def test_identity_handlers_change_nothing_and_leave_no_trace():
    model = randomised(DIT)
    before, keys = model(X, T, COND).pred, set(model.__dict__)
    with (
        use_step(STEP),
        install(model, {site: lambda call, args, step: call(*args) for site in model.sites() if "blocks" not in site}),
    ):
        assert torch.equal(model(X, T, COND).pred, before)
    with use_step(STEP), install(model, {"blocks[0:3]": lambda call, args, step: call(*args)}):
        assert torch.equal(model(X, T, COND).pred, before)
    assert set(model.__dict__) == keys
    assert torch.equal(model(X, T, COND).pred, before)


def test_every_site_is_called_once():
    model, called = randomised(DIT), []

    def note(site):
        return lambda call, args, step: (called.append(site), call(*args))[1]

    sites = [s for s in model.sites() if not s.startswith("blocks")]
    with use_step(STEP), install(model, {site: note(site) for site in sites}):
        model(X, T, COND)
    assert sorted(called) == sorted(sites)
    assert {"model", "embed", "block[2]", "block[0].attn", "block[1].attn.attend", "block[2].ffn", "head"} <= set(sites)


def test_a_branch_may_be_computed_for_some_tokens():
    """A branch site gives ungated output; a feed-forward of chosen tokens is the chosen rows of the whole."""
    model, ids = randomised(DIT), torch.tensor([[3, 0], [1, 2], [0, 1]])
    whole, part = [], []

    def both(call, args, step):
        whole.append(call(*args))
        part.append(call(args[0].take(ids)))
        return whole[-1]

    with use_step(STEP), install(model, {"block[1].ffn": both}):
        model(X, T, COND)
    torch.testing.assert_close(part[0], whole[0].gather(1, ids[..., None].expand(3, 2, 16)), rtol=1e-5, atol=1e-5)


def test_a_skipped_block_is_as_if_it_were_not_there():
    model = randomised(DIT)
    shorter = replace(DIT, blocks=repeat(Block(), 2)).build()
    shorter.load_state_dict({k: v for k, v in model.state_dict().items() if not k.startswith("blocks.2.")})
    with use_step(STEP), install(model, {"block[2]": lambda call, args, step: args[0]}):
        assert torch.equal(model(X, T, COND).pred, shorter(X, T, COND).pred)


def test_names_that_nobody_reads_are_refused():
    model = DIT.build()
    with pytest.raises(FrisketError, match="no door reads lable; missing: label"):
        model(X, T, Condition.of(lable=torch.zeros(3, dtype=torch.int64)))
    with pytest.raises(FrisketError, match="missing: label"):
        model(X, T)
    with pytest.raises(FrisketError, match="t is missing"):
        model(X, None, COND)
    with pytest.raises(FrisketError, match=r"unknown span in keep 'middle'"):
        model(X, T, COND, {"middle": torch.zeros(3, 1, dtype=torch.int64)})


def test_ids_in_logits_out_whatever_the_time():
    model = randomised(WORDS)
    ids = torch.randint(0, 8, (2, 6), generator=torch.Generator().manual_seed(0))
    out = model(ids).pred
    assert out.shape == (2, 6, 7)
    assert torch.equal(model(ids, torch.rand(2)).pred, out)


TEXT = Door(name="words", way="context", embedder=TextIds(vocabulary=9, length=4, pad=0))
WORDS_RAW = torch.tensor([[1, 2, 0, 0], [3, 4, 5, 6], [7, 0, 0, 0]])
CROSS = Block(
    branches=(Branch(name="attn"), Branch(name="cross", mixer=Cross(), uses=()), Branch(name="ffn", mixer=Gelu()))
)
JOINT = Block(branches=(Branch(name="attn", mixer=Joint(reads="words")), Branch(name="ffn", mixer=Gelu())))


@pytest.mark.parametrize(
    "config",
    [
        replace(DIT, doors=(LABEL, TEXT), blocks=repeat(CROSS, 2)),
        replace(DIT, doors=(LABEL, TEXT), blocks=repeat(JOINT, 2)),
        replace(DIT, doors=(LABEL, replace(TEXT, way="tokens"))),
        replace(DIT, doors=(LABEL, replace(TEXT, way="tokens")), positions=Rotary()),
    ],
)
def test_text_by_every_way_changes_the_output_and_padding_does_not(config):
    model = randomised(config)
    given = Condition.of(label=COND.values["label"], words=WORDS_RAW)
    out = model(X, T, given).pred
    assert out.shape == (3, 4, 4, 4)
    assert (model(X, T, given.without("words")).pred - out).abs().amax((1, 2, 3)).min() > 1e-4
    door = model.doors.embedders["words"]
    with torch.no_grad():
        door.table.weight[0] += 1.0  # what padding is embedded as
    torch.testing.assert_close(model(X, T, given).pred, out, rtol=1e-5, atol=1e-5)


def test_a_map_by_channels_is_read_in_place():
    door = Door(name="map", way="channels", embedder=Image(channels=1))
    lonely = Block(branches=(Branch(name="ffn", mixer=Gelu()),))
    model = randomised(replace(DIT, doors=(LABEL, door), blocks=repeat(lonely, 2)))
    a, b = torch.zeros(3, 1, 4, 4), torch.zeros(3, 1, 4, 4)
    b[..., 3, 3] = 1.0
    one, two = (model(X, T, Condition.of(label=COND.values["label"], map=m)).pred for m in (a, b))
    differs = (one - two).abs().amax((0, 1)) > 0
    assert differs[2:, 2:].all()
    assert differs.sum() == 4


@pytest.mark.parametrize("modulation", [LowRank(rank=2), Shared()])
def test_other_modulations_build_run_and_learn(modulation):
    model = randomised(replace(DIT, blocks=repeat(Block(modulation=modulation), 3), final_modulation=modulation))
    model(X, T, COND).pred.square().sum().backward()
    assert all(p.grad.abs().sum() > 0 for n, p in model.named_parameters() if p.requires_grad and "label" not in n)


def test_a_network_without_conditions_must_not_be_modulated():
    blind = replace(DIT, time=None, doors=())
    with pytest.raises(FrisketError, match="modulation/none"):
        blind.build()
    plain = replace(blind, blocks=repeat(Block(modulation=Unmodulated()), 2), final_modulation=Unmodulated())
    model = randomised(plain)
    assert torch.equal(model(X).pred, model(X, T).pred)


def test_a_window_keeps_news_local():
    near = Block(
        branches=(Branch(name="attn", mixer=Attention(mask=Window(radius=1.0))), Branch(name="ffn", mixer=Gelu()))
    )
    model = randomised(replace(PIT, input=Patches(channels=2, size=(8, 8), patch=1), blocks=(near,)))
    x = torch.randn(1, 2, 8, 8, generator=torch.Generator().manual_seed(0))
    y = x.clone()
    y[..., 0, 0] += 1.0
    cond = COND.rows(slice(0, 1))
    differs = (model(x, T[:1], cond).pred - model(y, T[:1], cond).pred).abs().amax((0, 1)) > 0
    assert differs[:2, :2].all()
    assert differs.sum() == 4


@pytest.mark.parametrize("positions", [SinCos(), Rotary(), RelativeBias()])
def test_what_inference_remembers_may_be_trained_with(positions):
    near = Block(branches=(Branch(name="attn", mixer=Attention(mask=Window(radius=1.0))), FFN))
    model = randomised(replace(DIT, positions=positions, blocks=(near,)))
    x = torch.randn(3, 2, 6, 8, generator=torch.Generator().manual_seed(0))
    with torch.inference_mode():
        before = model(x, T, COND).pred
    after = model(x, T, COND).pred
    after.sum().backward()
    torch.testing.assert_close(before, after)  # kernels may differ with gradients
    assert model.blocks[0].branches["attn"].mixer.qkv.weight.grad.abs().sum() > 0


@pytest.mark.parametrize("positions", [SinCos(), Rotary(), NoPositions(), RelativeBias()])
def test_other_sizes_of_state(positions):
    model = randomised(replace(DIT, positions=positions))
    x = torch.randn(3, 2, 6, 8, generator=torch.Generator().manual_seed(0))
    assert model(x, T, COND).pred.shape == (3, 4, 6, 8)


def test_fit_follows_the_data():
    fitted = Transformer().fit(Spec(kind="continuous", shape=(3, 8, 8)), 6, {"label": 10})
    assert (fitted.input.channels, fitted.output.channels) == (3, 6)
    assert fitted.doors == (Door(name="label", embedder=ClassIds(classes=10)),)
    words = Transformer().fit(Spec(kind="ids", shape=(16,), vocabulary=27), 27, {})
    assert (words.input.vocabulary, words.output.vocabulary) == (27, 27)
    refit = fitted.fit(Spec(kind="continuous", shape=(1, 4, 4)), 1, {"label": 3})
    assert refit.doors[0].embedder.classes == 3
    with pytest.raises(FrisketError, match="patch"):
        Transformer().fit(Spec(kind="continuous", shape=(1, 9, 9)), 1, {})
    with pytest.raises(FrisketError, match="embeds something else"):
        replace(DIT, doors=(replace(TEXT, name="label"),)).fit(
            Spec(kind="continuous", shape=(1, 4, 4)), 1, {"label": 3}
        )
    with pytest.raises(FrisketError, match="use input/ids"):
        PIT.fit(Spec(kind="ids", shape=(16,), vocabulary=27), 27, {})


@pytest.mark.parametrize("config", [DIT, PIT, WORDS, replace(DIT, doors=(LABEL, TEXT), blocks=(CROSS, JOINT))])
def test_configs_round_trip(config):
    again = from_config(to_config(config))
    assert again == config
    assert again.build().state_dict().keys() == config.build().state_dict().keys()


def test_dials_and_overrides():
    assert override(DIT, "depth", "5").depth == 5
    assert override(DIT, "input.patch", "1").input.patch == 1
    assert override(DIT, "positions", "rotary").positions == Rotary()
    assert override(DIT, "blocks.1.branches.0.mixer.heads", 4).blocks[1].branches[0].mixer.heads == 4
    with pytest.raises(FrisketError, match="blocks are alike"):
        replace(DIT, blocks=(Block(), CROSS)).with_depth(3)


def test_a_model_on_meta_has_the_same_structure():
    with torch.device("meta"):
        ghost = DIT.build()
    real = DIT.build()
    assert {k: v.shape for k, v in ghost.state_dict().items()} == {k: v.shape for k, v in real.state_dict().items()}
    assert all(v.is_meta for v in ghost.state_dict().values())
