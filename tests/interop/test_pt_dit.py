"""Parity with the official PT-DiT, and the promises of its block."""

from __future__ import annotations

import pytest
import torch

from frisket.core import Condition, FrisketError
from frisket.interop.golden import forward_difference, golden
from frisket.interop.official import load_official
from frisket.interop.pt_dit import OF, UNBIASED, pt_dit_block
from frisket.models.backbones.transformer import Transformer
from frisket.models.block import Block, Branch
from frisket.models.doors import Door
from frisket.models.layers.attention import Cross
from frisket.models.layers.embedders import ClassIds
from frisket.models.layers.ends import Patches
from frisket.models.layers.ffn import Gelu
from frisket.models.layers.modulation import Direct
from frisket.models.layers.windows import Windows

FACTS = {"num_heads": 2, "window": (2, 2, 2)}


@pytest.fixture(scope="module")
def held():
    return golden("pt-dit")


@pytest.fixture(scope="module")
def model(held):
    return load_official("pt-dit", held[0], **FACTS)


def call(model, x, t, text):
    with torch.no_grad():
        return model(x, t, Condition.of(text=text)).pred


def test_the_official_forward():
    assert forward_difference("pt-dit", **FACTS) < 1e-5


def test_each_sample_keeps_its_own_time(model, held):
    _, inputs, out = held
    other = torch.tensor([77.0, 321.0])
    mixed = call(model, inputs["x"], other, inputs["text"])
    torch.testing.assert_close(mixed[1], out[1], rtol=1e-5, atol=1e-5)
    one = call(model, inputs["x"][:1], other[:1], inputs["text"][:1])
    torch.testing.assert_close(mixed[:1], one, rtol=1e-5, atol=1e-5)


def test_the_official_forward_at_another_time(model, held):
    import numpy as np

    from frisket.interop.golden import GOLDEN

    with np.load(GOLDEN / "pt-dit_forward.npz", allow_pickle=False) as file:
        wanted = torch.from_numpy(file["one"])
    _, inputs, out = held
    got = call(model, inputs["x"][:1], torch.tensor([77.0]), inputs["text"][:1])
    torch.testing.assert_close(got, wanted, rtol=1e-5, atol=1e-5)
    assert (wanted - out[:1]).abs().max() > 1e-2


def test_wrong_facts_and_unread_names_are_refused(held):
    weights = held[0]
    with pytest.raises(FrisketError, match="window"):
        load_official("pt-dit", weights, num_heads=2)
    with pytest.raises(FrisketError, match="divide"):
        load_official("pt-dit", weights, num_heads=2, window=(2, 3, 3))
    with pytest.raises(FrisketError, match="resolution_embedder"):
        load_official(
            "pt-dit", {**weights, "adaln_single.emb.resolution_embedder.linear_1.weight": torch.zeros(1)}, **FACTS
        )
    with pytest.raises(FrisketError, match="input_size"):
        load_official("pt-dit", weights, **FACTS, input_size=16)


def network(block):
    return Transformer(
        width=16, heads=2, input=Patches(size=(4, 4), patch=1), blocks=(block,), final_modulation=Direct(),
        doors=(Door(name="label", way="context", embedder=ClassIds(classes=3)),),
    )  # fmt: skip


def test_while_its_zero_layers_are_zero_the_block_is_one_of_windows():
    block = pt_dit_block(2)
    window = Block(
        branches=(
            Branch(name="window", mixer=Windows(size=2, attention=UNBIASED)),
            Branch(name="cross", mixer=Cross(qkv_bias=False), norm=None, uses=()),
            Branch(name="ffn", mixer=Gelu()),
        ),
        modulation=type(block.modulation)(of=(0, 1, 2, 3, 4, 5)),
    )
    ours, plain = network(block).build(), network(window).build()
    state = {k: v for k, v in ours.state_dict().items() if ".proxy." not in k and ".shifted." not in k}
    (shared,) = (k.split(".")[1] for k in ours.state_dict() if k.startswith("shared") and k.endswith("weight"))
    (other,) = (k.split(".")[1] for k in plain.state_dict() if k.startswith("shared") and k.endswith("weight"))
    state = {k.replace(shared, other): v for k, v in state.items()}
    table = state["blocks.0.modulation.table"].unflatten(0, (9, 16))
    state["blocks.0.modulation.table"] = table[[0, 1, 2, 6, 7, 8]].flatten()
    plain.load_state_dict(state)
    for model in (ours, plain):
        torch.nn.init.normal_(model.output.linear.weight, generator=torch.Generator().manual_seed(0))
    x, cond = torch.randn(2, 1, 4, 4), Condition.of(label=torch.tensor([0, 2]))
    t = torch.rand(2)
    torch.testing.assert_close(ours(x, t, cond).pred, plain(x, t, cond).pred, rtol=1e-5, atol=1e-6)
    torch.nn.init.normal_(ours.blocks[0].branches["shifted"].behind.weight)
    assert (ours(x, t, cond).pred - plain(x, t, cond).pred).abs().max() > 1e-2


def test_modulation_has_six_numbers_once_and_nine_a_block():
    model = network(pt_dit_block(2)).build()
    d = 16
    assert sum(p.numel() for p in model.shared.parameters()) == 6 * d**2 + 6 * d
    assert sum(p.numel() for p in model.blocks[0].modulation.parameters()) == 9 * d
    assert len(OF) == 9
