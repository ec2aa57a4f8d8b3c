"""The U of stages: its promises, its skips, its conditions a width, what it refuses."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from frisket.codecs.base import Spec
from frisket.core import Condition, FrisketError, Step, from_config, install, override, to_config, use_step
from frisket.interop.u_dit import u_block, u_transformer
from frisket.models.backbones.hourglass import Hourglass, Stage
from frisket.models.block import Block, repeat
from frisket.models.count import count_macs
from frisket.models.doors import Door
from frisket.models.layers.downsampled import Phases
from frisket.models.layers.embedders import ClassIds, Image, TextIds
from frisket.recipes.u_dit import attending
from frisket.testing import check_backbone
from frisket.testing.backbones import stir

U = u_transformer(8, 2, (1, 1, 1, 1, 1), channels=2, channels_out=3, side=8, classes=5)
PLAIN = replace(U, stages=tuple(replace(s, blocks=repeat(Block(), len(s.blocks))) for s in U.stages))
G = torch.Generator().manual_seed(0)
X = torch.randn(2, 2, 8, 8, generator=G)
T, COND = torch.tensor([0.1, 0.8]), Condition.of(label=torch.tensor([4, 1]))


def stirred(config=U):
    model = config.build()
    stir(model, 0.2)
    return model.eval()


def test_it_keeps_the_promises_of_a_backbone():
    check_backbone(PLAIN, spec=Spec(kind="continuous", shape=(2, 8, 8)))


def test_with_its_own_blocks_too():
    short = replace(U, stages=tuple(replace(s, blocks=s.blocks[:1]) for s in U.stages[1:4]))
    check_backbone(short, spec=Spec(kind="continuous", shape=(2, 8, 8)))


def test_output_is_zero_and_blocks_are_identities_at_first():
    model, seen = U.build(), []

    def watch(call, args, step):
        out = call(*args)
        seen.append(torch.equal(out.h, args[0].h))
        return out

    with install(model, {"block[:]": watch}), use_step(Step(seed=0, sample=torch.arange(2))):
        out = model(X, T, COND).pred
    assert seen == [True] * 10
    assert torch.equal(out, torch.zeros(2, 3, 8, 8))


def test_each_stage_has_its_resolution_and_width():
    model, seen = stirred(), []

    def watch(call, args, step):
        seen.append(tuple(call(*args).shape[1:]))
        return call(*args)

    with install(model, {"stage[:]": watch}), use_step(Step(seed=0, sample=torch.arange(2))):
        model(X, T, COND)
    assert seen == [(64, 8), (16, 16), (4, 32), (16, 16), (64, 16)]


def test_each_level_is_joined_to_its_own_way_down():
    """What a stage on the way down gives reaches the stage at its level by the skip alone, once the rest is cut."""
    model = stirred()

    def nothing(call, args, step):
        return torch.zeros_like(call(*args))

    with use_step(Step(seed=0, sample=torch.arange(2))):
        for low, high in ((1, 3), (0, 4)):
            inputs = []

            def note(call, args, step, inputs=inputs):
                inputs.append(args[1])
                return call(*args)

            with install(model, {f"stage[{high}]": note}):
                model(X, T, COND)
            with install(model, {f"stage[{low}]": nothing, f"stage[{high}]": note}):
                model(X, T, COND)
            assert inputs[0].any()
            assert not inputs[1].any()


def test_conditions_are_embedded_once_a_width():
    model = stirred()
    assert set(model.more) == {"16", "32"}
    for name in ("time.mlp.out.bias", "more.16.time.mlp.out.bias", "more.32.doors.embedders.label.table.weight"):
        before = model(X, T, COND).pred
        parameter = model.get_parameter(name)
        with torch.no_grad():
            kept = parameter.clone()
            parameter.add_(1.0)
        assert not torch.allclose(model(X, T, COND).pred, before)
        with torch.no_grad():
            parameter.copy_(kept)


def test_a_dropped_label_is_dropped_at_every_width():
    model = stirred()
    nulls = {n: p for n, p in model.named_parameters() if n.endswith("label.table.weight")}
    assert len(nulls) == 3
    a, b = (model(X, T, Condition.of(label=torch.tensor(y)).without()).pred for y in ([0, 1], [3, 4]))
    assert torch.equal(a, b)


def test_translations_by_eight_without_positions_and_edges():
    """With circular padding and no rotation, the whole net moves with its input."""
    wide = replace(U, input=replace(U.input, size=(16, 16)))
    stages = tuple(replace(s, blocks=repeat(attending(Phases(positions=None)), len(s.blocks))) for s in wide.stages)
    model = stirred(replace(wide, stages=stages))
    for module in model.modules():
        if isinstance(module, torch.nn.Conv2d) and module.padding != (0, 0):
            module.padding_mode = "circular"
            module._reversed_padding_repeated_twice = [p for p in module.padding for _ in range(2)]
    x = torch.randn(1, 2, 16, 16, generator=G)
    cond, t = COND.rows(slice(0, 1)), T[:1]
    with torch.no_grad():
        moved, out = model(x.roll((8, 8), (2, 3)), t, cond).pred, model(x, t, cond).pred
    torch.testing.assert_close(moved, out.roll((8, 8), (2, 3)), rtol=1e-4, atol=1e-4)
    assert not torch.allclose(moved, out, atol=1e-3)


def test_attention_in_planes_has_a_quarter_of_the_products():
    def macs(factor):
        block = attending(Phases(factor=factor))
        return count_macs(
            u_transformer(8, 2, (0, 0, 1, 0, 0), channels=2, side=32, classes=5, block=block).build(), (2, 32, 32)
        )

    full = 2 * 2 * 64**2 * 32  # two blocks of 64 tokens of width 32 at the bottom
    assert macs(1) - macs(2) == full - full // 4


def test_other_sizes_of_the_state_are_computed():
    assert stirred()(torch.randn(1, 2, 8, 16, generator=G), T[:1], COND.rows(slice(0, 1))).pred.shape == (1, 3, 8, 16)


def test_configs_round_trip_and_maps_come_in_by_channels():
    assert from_config(to_config(U)) == U
    assert override(U, "heads", 1).heads == 1
    mapped = replace(U, doors=(*U.doors, Door(name="map", way="channels", embedder=Image(channels=1))))
    model = stirred(mapped)
    cond = Condition({**COND.values, "map": torch.ones(2, 1, 8, 8)})
    assert not torch.allclose(model(X, T, cond).pred, model(X, T, cond.without("map")).pred)


def test_what_it_cannot_do_is_refused():
    model = U.build()
    with pytest.raises(FrisketError, match="span"):
        model(X, T, COND, {"blocks[0:2]": torch.zeros(2, 1, dtype=torch.int64)})
    with pytest.raises(FrisketError, match="one time a sample"):
        model(X, torch.zeros(2, 8, 8), COND)
    with pytest.raises(FrisketError, match="multiple of 4"):
        model(X[:, :, :6, :6], T, COND)
    with pytest.raises(FrisketError, match="missing"):
        model(X, T)
    with pytest.raises(FrisketError, match="odd"):
        Hourglass(stages=U.stages[:2])
    with pytest.raises(FrisketError, match="no resolution"):
        replace(U, doors=(Door(name="text", way="context", embedder=TextIds()),))
    with pytest.raises(FrisketError, match="images"):
        U.fit(Spec(kind="ids", shape=(8,), vocabulary=5), 5, {})
    with pytest.raises(FrisketError, match="multiple of 4"):
        U.fit(Spec(kind="continuous", shape=(1, 6, 6)), 1, {})


def test_one_stage_alone_is_a_convolutional_isotropic_network():
    alone = Hourglass(
        stages=(Stage(width=8, blocks=(u_block(),)),), heads=2, doors=(Door(embedder=ClassIds(classes=5)),)
    )
    assert stirred(alone)(X[:, :1], T, COND).pred.shape == (2, 1, 8, 8)
