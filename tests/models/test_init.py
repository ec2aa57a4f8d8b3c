"""Fresh weights: keyed by seed and name, by law, without the global generator."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from frisket.core import FrisketError
from frisket.models.backbones.transformer import Transformer
from frisket.models.block import Block, repeat
from frisket.models.doors import Door
from frisket.models.init import (
    Constant,
    Normal,
    Uniform,
    Xavier,
    build_real,
    init_weights,
    linear,
    marks_of,
    materialise,
    parameter_groups,
)  # fmt: skip
from frisket.models.layers.embedders import ClassIds


def config(depth=2):
    door = Door(name="label", embedder=ClassIds(classes=5))
    return Transformer(width=16, heads=2, doors=(door,), blocks=repeat(Block(), depth))


def meta(depth=2):
    with torch.device("meta"):
        return config(depth).build()


def test_the_global_generator_is_not_touched():
    before = torch.get_rng_state()
    config().build()
    materialise(meta(), 3)
    assert torch.equal(torch.get_rng_state(), before)


def test_a_seed_gives_the_same_weights_and_another_others():
    one, two, other = (materialise(meta(), seed).state_dict() for seed in (1, 1, 2))
    assert all(torch.equal(one[k], two[k]) for k in one)
    key = "blocks.0.branches.attn.mixer.qkv.weight"
    assert not torch.equal(one[key], other[key])


def test_a_name_starts_from_the_same_values_whatever_else_exists():
    shallow, deep = materialise(meta(1), 7).state_dict(), materialise(meta(3), 7).state_dict()
    assert all(torch.equal(deep[k], v) for k, v in shallow.items())
    assert not torch.equal(deep["blocks.0.branches.ffn.mixer.up.weight"], deep["blocks.1.branches.ffn.mixer.up.weight"])


def test_meta_stays_meta_and_every_value_is_written():
    model = meta()
    assert {p.device.type for p in model.parameters()} == {"meta"}
    for value in model.to_empty(device="cpu").state_dict().values():
        value.fill_(float("nan"))
    init_weights(model, 0)
    state = {**model.state_dict(), **dict(model.named_buffers())}
    assert all(v.isfinite().all() for v in state.values())


def test_laws():
    g, x = torch.Generator().manual_seed(0), torch.empty(200, 100)
    Xavier().fill(x, g)
    assert x.abs().max() <= (6 / 300) ** 0.5
    assert x.std().item() == pytest.approx((2 / 300) ** 0.5, rel=0.02)
    Normal(0.02).fill(x, g)
    assert x.std().item() == pytest.approx(0.02, rel=0.02)
    Uniform(0.5).fill(x, g)
    assert x.std().item() == pytest.approx(0.5 / 3**0.5, rel=0.02)
    Constant(3.0).fill(x, g)
    assert bool((x == 3).all())


def test_a_parameter_without_a_law_is_named():
    with pytest.raises(FrisketError, match=r"0\.weight, 0\.bias"):
        marks_of(nn.Sequential(nn.Linear(2, 2)))


def test_a_prefix_keys_as_the_larger_model_would():
    whole = build_real(lambda: nn.ModuleDict({"a": linear(3, 3)}))
    part = build_real(lambda: linear(3, 3), prefix="a.")
    assert torch.equal(whole["a"].weight, part.weight)


def test_groups_decay_matrices_only_and_hold_every_trained_parameter_once():
    model = config().build()
    groups = parameter_groups(model, 0.1)
    held = [p for group in groups for p in group["params"]]
    assert {id(p) for p in held} == {id(p) for p in model.parameters() if p.requires_grad}
    assert len(held) == len({id(p) for p in held})
    decays = {group["name"]: group["weight_decay"] for group in groups}
    assert decays == {"input": 0.1, "matrix": 0.1, "output": 0.1, "modulation": 0.1, "embedding": 0.0, "vector": 0.0}
