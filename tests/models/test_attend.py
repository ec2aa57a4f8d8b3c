"""attend against attention written out, and its two lowerings against each other."""

from __future__ import annotations

import math
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn.attention.flex_attention import create_mask

from frisket.core import FrisketError
from frisket.models.attend import attend, lower, mask_mod
from frisket.models.grid import Grid
from frisket.models.layers.base import Sizes
from frisket.models.layers.positions import RelativeBias
from frisket.models.masks.base import All
from frisket.models.masks.causal import Causal, CausalOver
from frisket.models.masks.dense import Dense
from frisket.models.masks.local import LocalDisc, Partition, Window
from frisket.models.masks.tags import Region, Segments, Streams
from frisket.models.tokens import Tags

B, H, D = 2, 3, 4
GRID = Grid.of((3, 4))
GENERATOR = torch.Generator().manual_seed(0)
GROUP = torch.randint(0, 3, (B, GRID.tokens), generator=GENERATOR)
TAGS = Tags(
    n=GRID.tokens, coords=GRID.coords(), segment=torch.arange(GRID.tokens) % 3,
    stream=torch.randint(0, 2, (B, GRID.tokens), generator=GENERATOR), extra={"group": GROUP},
    valid=torch.rand(B, GRID.tokens, generator=GENERATOR) > 0.2,
)  # fmt: skip
TABLE = torch.rand(GRID.tokens, GRID.tokens, generator=GENERATOR) > 0.5
LEAVES = [
    All(), Window(radius=1.0), Window(radius=(0.0, 2.0)), LocalDisc(radius=1.5), Partition(size=2.0, shift=1.0),
    Causal(), CausalOver(axis=0), Segments(), Streams(pairs=((0, 1), (1, 1))), Region(), Dense(table=TABLE),
    Dense(table=torch.stack([TABLE, ~TABLE]), empty="all"), Streams(pairs=((0, 7),)),
    Streams(pairs=((1, 0),), empty="all"),
]  # fmt: skip
masks = st.recursive(
    st.sampled_from(LEAVES),
    lambda inner: st.one_of(
        st.tuples(inner, inner).map(lambda p: p[0] & p[1]),
        st.tuples(inner, inner).map(lambda p: p[0] | p[1]),
        inner.map(lambda m: ~m),
    ),
    max_leaves=4,
)


def qkv(n=GRID.tokens, m=GRID.tokens, seed=0):
    g = torch.Generator().manual_seed(seed)
    return (torch.randn(B, H, s, D, generator=g) for s in (n, m, m))


def written_out(q, k, v, allowed, empty, bias=0.0):
    """Softmax attention, row by row; allowed (b, n, m)."""
    scores = q @ k.transpose(-1, -2) / math.sqrt(D) + bias
    out = torch.zeros_like(q)
    for b in range(B):
        for i in range(q.shape[2]):
            row = allowed[b, i]
            if not row.any():
                if empty == "zeros":
                    continue
                row = torch.ones_like(row)
            weights = scores[b, :, i, row].softmax(-1)
            out[b, :, i] = torch.einsum("hm,hmd->hd", weights, v[b][:, row])
    return out


def dense(mask):
    """The predicate at every (row, query, key)."""
    row, query, key = torch.meshgrid(torch.arange(B), torch.arange(TAGS.n), torch.arange(TAGS.n), indexing="ij")
    return mask_mod(mask, TAGS, TAGS)(row, None, query, key)


@settings(max_examples=20, deadline=None)
@given(masks)
def test_sdpa_is_attention_over_what_flex_would_allow(mask):
    q, k, v = qkv()
    out = attend(q, k, v, TAGS, TAGS, mask)
    torch.testing.assert_close(out, written_out(q, k, v, dense(mask), mask.empty), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("mask", [Window(radius=1.0) & ~Region(), Dense(table=TABLE) | Causal() & Segments()])
def test_flex_sees_the_mask_that_sdpa_sees(mask):
    seen = create_mask(mask_mod(mask, TAGS, TAGS), B, None, TAGS.n, TAGS.n, device="cpu")
    low = lower(mask, TAGS, TAGS, B, torch.device("cpu"))
    allowed = low.allowed if low.empty is None else low.allowed & ~low.empty
    assert torch.equal(seen, allowed.expand(B, 1, TAGS.n, TAGS.n))


def test_flex_gives_what_sdpa_gives():
    """In a process of its own: FlexAttention traces the predicate, and the tests' shape checks cannot be traced."""
    script = Path(__file__).with_name("flex_against_sdpa.py")
    result = subprocess.run([sys.executable, script], capture_output=True, text=True, timeout=300, check=False)
    assert result.returncode == 0, result.stderr
    assert result.stdout.split() == ["equal"] * 3


def test_bias_and_mask_together():
    q, k, v = qkv()
    module = RelativeBias(std=1.0).build(Sizes(width=H * D, heads=H, condition=8, grid=GRID))
    with torch.no_grad():
        module.table.normal_(generator=torch.Generator().manual_seed(3))
    _, _, bias = module.place(q, k, TAGS, TAGS)
    out = attend(q, k, v, TAGS, TAGS, Window(radius=1.0), module)
    wanted = written_out(q, k, v, dense(Window(radius=1.0)), "zeros", bias.detach())
    torch.testing.assert_close(out, wanted, rtol=1e-4, atol=1e-5)


def test_the_bias_learns():
    q, k, v = qkv()
    module = RelativeBias(std=1.0).build(Sizes(width=H * D, heads=H, condition=8, grid=GRID))
    torch.nn.init.zeros_(module.table)
    attend(q, k, v, TAGS, TAGS, All(), module).square().sum().backward()
    assert module.table.grad.abs().sum() > 0


def test_an_empty_row_has_finite_gradients():
    q, k, v = (x.requires_grad_() for x in qkv())
    out = attend(q, k, v, TAGS, TAGS, Streams(pairs=((0, 7),)))
    assert out.abs().sum() == 0
    out.sum().backward()
    assert all(x.grad.isfinite().all() for x in (q, k, v))


def test_chosen_tokens_keep_their_places():
    q, k, v = qkv()
    ids = torch.tensor([[4, 0, 9], [1, 11, 2]])
    q_tags = TAGS.take(ids)
    where = ids[:, None, :, None].expand(B, H, 3, D)
    for mask in (Causal(), Window(radius=1.0), Dense(table=TABLE), Region(), Segments()):
        full = attend(q_full := q, k, v, TAGS, TAGS, mask)
        got = attend(q_full.gather(2, where), k, v, q_tags, TAGS, mask)
        torch.testing.assert_close(got, full.gather(2, where), rtol=1e-5, atol=1e-6)


def test_without_mask_it_is_the_plain_call_bit_for_bit():
    q, k, v = qkv()
    tags = Tags(n=GRID.tokens)
    plain = torch.nn.functional.scaled_dot_product_attention(q, k, v)
    assert torch.equal(attend(q, k, v, tags, tags), plain)
    assert tags.memo == {}


def test_a_mask_is_lowered_once_for_the_same_tags():
    tags = TAGS.change()
    first = lower(Causal(), tags, tags, B, torch.device("cpu"))
    assert lower(Causal(), tags, tags, B, torch.device("cpu")) is first
    assert lower(Causal(), tags.change(), tags, B, torch.device("cpu")) is not first


def test_shared_tags_give_one_mask_for_the_batch():
    tags = Tags(n=GRID.tokens, coords=GRID.coords())
    assert lower(Window(), tags, tags, B, torch.device("cpu")).allowed.shape == (1, 1, GRID.tokens, GRID.tokens)


def test_refusals():
    q, k, v = qkv()
    bare = Tags(n=GRID.tokens)
    with pytest.raises(FrisketError, match="kernel 'flash'"):
        attend(q, k, v, TAGS, TAGS, Causal(), None, "flash")
    with pytest.raises(FrisketError, match="axis 0"):
        attend(q, k, v, bare, bare, CausalOver(axis=0))
    with pytest.raises(FrisketError, match="extra 'group'"):
        attend(q, k, v, bare, bare, Region())
