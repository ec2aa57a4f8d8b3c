"""Items of a state and their prompts: tags, fitted shapes, and the time that a prompt is told."""

from __future__ import annotations

import pytest
import torch
from jaxtyping import TypeCheckError

from frisket.codecs.base import Spec
from frisket.core import Condition, FrisketError
from frisket.models.backbones.transformer import Transformer
from frisket.models.block import Block, Branch, repeat
from frisket.models.doors import Door
from frisket.models.layers.attention import Attention
from frisket.models.layers.embedders import ClassIds, Features, TextIds
from frisket.models.layers.ends import Patches, PatchesOut
from frisket.models.layers.ffn import Gelu
from frisket.models.layers.segment_attention import SegmentAttention
from frisket.models.segments import Prompts, Segmented, runs, timed
from frisket.models.tokens import Tags, Tokens
from frisket.testing.backbones import check_backbone, stir

SPEC = Spec(kind="continuous", shape=(2, 6, 4, 4))
PATCHES = Patches(patch=2)


def network(mixer=SegmentAttention(), **changes):  # noqa: B008
    block = Block(branches=(Branch(name="attn", mixer=mixer), Branch(name="ffn", mixer=Gelu())))
    return Transformer(
        width=24, heads=2, input=Segmented(of=Patches(channels=2, size=(6, 4, 4))), output=PatchesOut(channels=2),
        blocks=repeat(block, 2), **changes,
    )  # fmt: skip


TOLD = (Door(name="text", way="tokens", embedder=Prompts(of=TextIds(vocabulary=5, length=6))),)


def told():
    model = network(doors=TOLD).build()
    stir(model, 0.3)
    return model.eval()


def test_a_segmented_backbone_keeps_the_promises():
    check_backbone(network(Attention(), doors=(Door(),)), spec=SPEC)


def test_each_token_of_the_state_names_its_item():
    model = network(doors=TOLD).build()
    assert model.tags(torch.zeros(1, 2, 6, 4, 4)).segment.tolist() == [0] * 4 + [1] * 4 + [2] * 4
    tokens, _ = model.embed(torch.zeros(2, 2, 6, 4, 4), torch.rand(2), Condition.of(text=torch.zeros(2, 6).long()))
    assert tokens.tags.segment[0].tolist() == [0] * 4 + [1] * 4 + [2] * 4 + [0, 0, 1, 1, 2, 2]


def test_fitting_reaches_the_parts_inside_and_refuses_unequal_items():
    fitted = Segmented(of=PATCHES).fit(SPEC)
    assert fitted.of.size == (6, 4, 4)
    assert fitted.grid.axes == (3, 2, 2)
    with pytest.raises(FrisketError, match="divisor of the first axis"):
        Segmented(of=PATCHES).fit(Spec(kind="continuous", shape=(2, 8, 4, 4)))
    words = Prompts().fit(Spec(kind="ids", shape=(9,), vocabulary=4), pad=0)
    assert words.shape == (9,)
    assert words.of.vocabulary == 4
    with pytest.raises(FrisketError, match="divisor of 8 words"):
        Prompts().fit(Spec(kind="ids", shape=(8,), vocabulary=4), pad=0)
    assert Prompts(of=Features(features=3)).fit(Spec(kind="continuous", shape=(6, 3)), None).of == Features(features=3)


def test_wrong_parts_are_refused():
    with pytest.raises((FrisketError, TypeCheckError)):
        Prompts(of=ClassIds(classes=3))
    with pytest.raises(FrisketError, match="input.count"):
        Segmented(count=0)
    with pytest.raises(FrisketError, match="embedder.count"):
        Prompts(count=0)
    with pytest.raises(FrisketError, match="multiple of 3"):
        Prompts(of=TextIds(length=8)).build(4)(torch.zeros(1, 8, dtype=torch.int64), None)


def test_padding_in_a_prompt_is_read():
    tokens = Prompts(of=TextIds(vocabulary=5, length=6, pad=0)).build(4)(torch.zeros(1, 6, dtype=torch.int64), None)
    assert tokens.tags.valid is None


def test_a_prompt_is_told_the_time_of_its_item():
    state = Tags(n=6, segment=runs(6, 3))
    words = Tokens.of(torch.zeros(2, 3, 1), segment=runs(3, 3))
    index = torch.tensor([[0, 0, 0, 0, 1, 1], [2, 2, 0, 0, 0, 0]])
    assert timed(words, state, index).tags.time.tolist() == [[0, 0, 1], [2, 0, 0]]
    assert timed(words, Tags(n=6), index) is words
    alone = Tokens.of(torch.zeros(2, 3, 1))
    assert timed(alone, state, index) is alone
    own = Tokens.of(torch.zeros(2, 3, 1), segment=runs(3, 3), time=torch.full((3,), 5))
    assert timed(own, state, index) is own


def test_equal_times_an_element_are_one_time():
    model, x, ids = told(), torch.randn(2, 2, 6, 4, 4, generator=torch.Generator().manual_seed(0)), torch.ones(2, 6)
    t, cond = torch.tensor([0.25, 0.75]), Condition.of(text=ids.long())
    with torch.no_grad():
        one = model(x, t, cond).pred
        each = model(x, t.view(2, 1, 1, 1, 1).expand(2, 1, 6, 4, 4), cond).pred
    torch.testing.assert_close(each, one, rtol=1e-4, atol=1e-4)


def test_the_time_of_an_item_reaches_its_prompt():
    """Words of a clean scene, seen by it alone in one block, change with that scene's time and with no other's."""
    model = told()
    x, cond = torch.zeros(1, 2, 6, 4, 4), Condition.of(text=torch.ones(1, 6, dtype=torch.int64))

    def words(times):
        t = torch.tensor(times).repeat_interleave(2).view(1, 1, 6, 1, 1)
        tokens, side = model.embed(x, t, cond)
        numbers = model.blocks[0].modulation(side)
        return numbers.gather(1, tokens.tags.time[:, 12:, None].expand(-1, -1, numbers.shape[-1])).detach()

    some, other = words([0.0, 0.0, 0.7]), words([0.0, 0.0, 0.2])
    assert torch.allclose(some[:, :4], other[:, :4], atol=1e-6)
    assert (some[:, 4:] - other[:, 4:]).abs().max() > 1e-3
    assert torch.allclose(some[:, 0], some[:, 2], atol=1e-6)
