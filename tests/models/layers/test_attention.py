"""Attention branches against attention written out."""

from __future__ import annotations

import pytest
import torch

from frisket.core import Dispatch, FrisketError
from frisket.models.grid import Grid
from frisket.models.init import build_real
from frisket.models.layers.attention import Attention, Cross, Joint
from frisket.models.layers.base import BranchCall, Side, Sizes
from frisket.models.layers.norms import RMSNorm
from frisket.models.layers.positions import Rotary
from frisket.models.tokens import Tokens

GRID = Grid.of((5,))
SIZES = Sizes(width=12, heads=3, condition=12, grid=GRID)
G = torch.Generator().manual_seed(0)
TOKENS = Tokens.of(torch.randn(2, 5, 12, generator=G), coords=GRID.coords())
TEXT = Tokens.of(torch.randn(2, 4, 12, generator=G), valid=torch.tensor([[1, 1, 1, 1], [1, 1, 0, 0]]).bool())


def call(positions=None):
    side = Side(grid=GRID, state=5, raw=TOKENS.h, context={"text": TEXT})
    return BranchCall(side, Dispatch(object()), "x.attend", positions)


def heads(x):
    return x.unflatten(-1, (3, 4)).transpose(1, 2)


def softmax_attention(q, k, v, valid=None):
    scores = heads(q) @ heads(k).transpose(-1, -2) / 2.0
    if valid is not None:
        scores = scores.masked_fill(~valid[:, None, None], float("-inf"))
    return (scores.softmax(-1) @ heads(v)).transpose(1, 2).flatten(2)


def test_self_attention_is_packed_q_k_v():
    module = build_real(lambda: Attention().build(SIZES))
    q, k, v = module.qkv(TOKENS.h).chunk(3, -1)
    torch.testing.assert_close(module(TOKENS, call()), module.inner.out(softmax_attention(q, k, v)))


def test_cross_attention_reads_valid_words_only():
    module = build_real(lambda: Cross(reads="text").build(SIZES))
    q, (k, v) = module.q(TOKENS.h), module.kv(TEXT.h).chunk(2, -1)
    wanted = module.inner.out(softmax_attention(q, k, v, TEXT.valid))
    torch.testing.assert_close(module(TOKENS, call()), wanted)


def test_joint_attention_is_one_softmax_over_both():
    module = build_real(lambda: Joint().build(SIZES))
    q, k, v = module.qkv(TOKENS.h).chunk(3, -1)
    more_k, more_v = module.context(TEXT.h).chunk(2, -1)
    valid = torch.cat([torch.ones(2, 5).bool(), TEXT.valid], 1)
    wanted = softmax_attention(q, torch.cat([k, more_k], 1), torch.cat([v, more_v], 1), valid)
    torch.testing.assert_close(module(TOKENS, call()), module.inner.out(wanted))


def test_joint_attention_does_not_turn_the_context():
    module, rotary = build_real(lambda: Joint().build(SIZES)), Rotary().build(SIZES)
    _, key_tags = TOKENS.tags, call().side.joined(TOKENS, TEXT)
    k = torch.randn(2, 3, 9, 4)
    _, placed, _ = rotary.place(k[:, :, :5], k, TOKENS.tags, key_tags)
    assert torch.equal(placed[:, :, 5:], k[:, :, 5:])
    assert not torch.equal(placed[:, :, 1:5], k[:, :, 1:5])
    assert module(TOKENS, call(rotary)).shape == TOKENS.h.shape


def test_normed_queries_and_keys_make_scale_irrelevant():
    module = build_real(lambda: Attention(qk_norm=RMSNorm(eps=1e-12), qkv_bias=False).build(SIZES))
    before = module(TOKENS, call())
    with torch.no_grad():
        module.qkv.weight[:24] *= 7.0
    torch.testing.assert_close(module(TOKENS, call()), before, rtol=1e-4, atol=1e-5)


def test_heads_must_divide_the_width():
    with pytest.raises(FrisketError, match="heads = 5"):
        Attention(heads=5).build(SIZES)


def test_a_context_that_is_not_there_is_named():
    module = build_real(lambda: Cross(reads="txt").build(SIZES))
    with pytest.raises(FrisketError, match="'txt'; did you mean 'text'"):
        module(TOKENS, call())
