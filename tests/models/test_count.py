"""Counts against DiT's published tables."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from frisket.interop.pt_dit import pt_dit_block
from frisket.models.backbones.sizes import dit, pit
from frisket.models.backbones.transformer import Transformer
from frisket.models.block import Block, Branch, repeat
from frisket.models.count import count_attention_macs, count_macs, count_macs_chosen, count_parameters
from frisket.models.doors import Door
from frisket.models.layers.attention import Cross
from frisket.models.layers.embedders import TextIds
from frisket.models.layers.ends import Patches
from frisket.models.plans.choose import Skip, Uniform
from frisket.models.plans.routing import Routing

GMACS = {
    ("S", 2): 6.06, ("S", 4): 1.41, ("S", 8): 0.36, ("B", 2): 23.01, ("B", 4): 5.56, ("B", 8): 1.42, ("L", 2): 80.7,
    ("L", 4): 19.7, ("L", 8): 5.01, ("XL", 2): 118.6, ("XL", 4): 29.05, ("XL", 8): 7.39,
}  # fmt: skip


def on_meta(config):
    with torch.device("meta"):
        return config.build()


@pytest.mark.parametrize(("size", "patch"), GMACS)
def test_macs_are_the_published_ones(size, patch):
    macs = count_macs(on_meta(dit(size, patch)), (4, 32, 32))
    assert macs / 1e9 == pytest.approx(GMACS[size, patch], rel=0.01)


def test_macs_follow_the_formula():
    n, d, depth = 1024, 1024, 24
    per_block = 12 * n * d**2 + 2 * n**2 * d + 6 * d**2
    assert count_macs(on_meta(pit("L")), (4, 32, 32)) == pytest.approx(depth * per_block, rel=1e-3)


def test_a_network_of_512_pixels():
    assert count_macs(on_meta(dit("XL", 2, side=64)), (4, 64, 64)) / 1e9 == pytest.approx(524.6, rel=0.01)


def test_counting_leaves_the_model_as_it_is():
    model = Transformer(width=16, heads=2, blocks=repeat(Block(), 2)).build()
    before = {k: v.clone() for k, v in model.state_dict().items()}
    assert count_macs(model, (1, 8, 8)) > 0
    assert all(torch.equal(v, before[k]) for k, v in model.state_dict().items())


def test_shared_parameters_count_once_and_frozen_ones_on_demand():
    layer = nn.Linear(3, 4)
    assert count_parameters(nn.ModuleList([layer, layer])) == 16
    model = Transformer(width=16, heads=2, blocks=(Block(),)).build()
    assert count_parameters(model) - count_parameters(model, trained_only=True) == 16 * 16


def test_conditions_that_state_their_shape_need_no_example():
    door = Door(name="caption", way="context", embedder=TextIds(vocabulary=9, length=6))
    block = Block(branches=(Branch(name="cross", mixer=Cross()), *Block().branches))
    model = Transformer(width=16, heads=2, blocks=(block,), doors=(door,)).build()
    bare = Transformer(width=16, heads=2, blocks=(Block(),)).build()
    query, keys, scores = 2 * 16 * 16 * 16, 6 * 16 * 32, 2 * 16 * 6 * 16
    modulation = 16 * 3 * 16
    assert count_macs(model, (1, 8, 8)) - count_macs(bare, (1, 8, 8)) == query + keys + scores + modulation


def test_choices_are_counted_by_their_chances():
    plan = Routing(low=1, high=-1)
    model = Transformer(width=32, heads=4, blocks=repeat(Block(), 4), plan=plan).build()
    assert count_macs_chosen(model, (1, 8, 8), {}) == count_macs(model, (1, 8, 8))
    none, half = (count_macs(model, (1, 8, 8), kept={"route": m}) for m in (0, 8))
    chooses = {"route": Skip(inner=Uniform(), rate=0.25)}
    assert count_macs_chosen(model, (1, 8, 8), chooses) == pytest.approx(0.25 * none + 0.75 * half)


def test_attention_is_counted_apart_and_by_what_it_computes():
    n, d, p = 64, 16, 4
    full = Transformer(width=d, heads=2, blocks=repeat(Block(), 2)).build()
    assert count_attention_macs(full, (1, 8, 8)) == 2 * 2 * 16 * 16 * d
    block = pt_dit_block(2)
    model = Transformer(
        width=d, heads=2, blocks=(block,), input=Patches(size=(8, 8), patch=1),
        doors=(Door(name="text", way="context", embedder=TextIds(vocabulary=9, length=6)),),
    ).build()  # fmt: skip
    parts = 2 * n**2 * d * (1 / p**2 + 1 / p + 2 * p / n)
    assert count_attention_macs(model, (1, 8, 8), leave_out=("cross",)) == parts
    assert count_attention_macs(model, (1, 8, 8)) == parts + 2 * n * 6 * d
