import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn.functional import scaled_dot_product_attention

from frisket.caching.tiles import Tile, attend_tiles, block_mask, everywhere, merge, tile_excess, tile_gaps
from frisket.core.errors import FrisketError


def inputs(n, m, b=2, h=3, d=8, scale=2.0, dtype=torch.float32):
    g = torch.Generator().manual_seed(n * 100 + m)
    q, k, v = (torch.randn(b, h, size, d, generator=g, dtype=torch.float64) for size in (n, m, m))
    return tuple(x.to(dtype) for x in (scale * q, k, v))


def some(shape, seed=0, share=0.5):
    """Random tiles, one alive at least for every query tile."""
    g = torch.Generator().manual_seed(seed)
    alive = torch.rand(shape, generator=g) < share
    return alive | (torch.arange(shape[-1]) == seed % shape[-1])


def written_out(q, k, tile, alive):
    """Gaps from the whole score matrix: per query and key tile, own maximum less the maximum over alive later tiles."""
    score = (q @ k.mT) * q.shape[-1] ** -0.5
    score = score.masked_fill(~everywhere(alive, tile, q.shape[2], k.shape[2]), -math.inf)
    best = torch.stack([s.amax(-1) for s in score.split(tile.keys, -1)], -1)  # (b, h, n, j)
    later = best.flip(-1).cummax(-1).values.flip(-1)[..., 1:]
    later = torch.cat([later, torch.full_like(best[..., :1], -math.inf)], -1)
    gap = torch.where(best == -math.inf, best, (best - later) / math.log(2))
    return torch.stack([g.amax(-2) for g in gap.split(tile.queries, -2)], -2)


@settings(max_examples=25, deadline=None)
@given(st.integers(1, 20), st.integers(1, 20), st.integers(1, 7), st.integers(1, 7), st.integers(0, 5))
def test_equals_the_softmax_over_the_keys_of_alive_tiles(n, m, queries, keys, seed):
    q, k, v = inputs(n, m)
    tile = Tile(queries=queries, keys=keys)
    alive = some((2, 3, *tile.counts(n, m)), seed)
    want = scaled_dot_product_attention(q, k, v, attn_mask=everywhere(alive, tile, n, m))
    torch.testing.assert_close(attend_tiles(q, k, v, alive, tile).out, want, atol=1e-6, rtol=1e-5)


@settings(max_examples=15, deadline=None)
@given(st.integers(1, 16), st.integers(2, 16), st.integers(1, 5), st.integers(1, 5), st.integers(0, 5))
def test_gaps_are_those_of_the_whole_score_matrix(n, m, queries, keys, seed):
    q, k, _ = inputs(n, m, dtype=torch.float64)
    tile = Tile(queries=queries, keys=keys)
    alive = some((2, 3, *tile.counts(n, m)), seed)
    torch.testing.assert_close(tile_gaps(q, k, alive, tile), written_out(q, k, tile, alive))


@settings(max_examples=15, deadline=None)
@given(st.integers(1, 16), st.integers(2, 16), st.integers(1, 5), st.integers(1, 5))
def test_excess_is_against_the_largest_score_of_all(n, m, queries, keys):
    q, k, _ = inputs(n, m, dtype=torch.float64)
    tile = Tile(queries=queries, keys=keys)
    p = ((q @ k.mT) * 8**-0.5).softmax(-1)
    share = (p / p.amax(-1, keepdim=True)).log2()
    share = torch.stack([s.amax(-1) for s in share.split(keys, -1)], -1)
    want = torch.stack([s.amax(-2) for s in share.split(queries, -2)], -2)
    torch.testing.assert_close(tile_excess(q, k, tile), want)
    alive = torch.ones(2, 3, *tile.counts(n, m), dtype=torch.bool)
    assert bool((tile_gaps(q, k, alive, tile) >= tile_excess(q, k, tile) - 1e-9).all())  # marks err on the safe side


def test_excess_of_hidden_keys_is_nothing():
    q, k, _ = inputs(4, 8)
    bias = torch.zeros(1, 1, 4, 8)
    bias[..., 4:] = -math.inf
    assert bool((tile_excess(q, k, Tile(queries=4, keys=4), bias)[..., 1] == -math.inf).all())


def test_a_gap_bounds_every_probability_of_its_tile():
    q, k, _ = inputs(32, 32, scale=6.0, dtype=torch.float64)
    tile = Tile(queries=8, keys=8)
    alive = torch.ones(2, 3, 4, 4, dtype=torch.bool)
    p = ((q @ k.mT) * 8**-0.5).softmax(-1)
    gap = everywhere(torch.ones_like(alive), tile, 32, 32) * tile_gaps(q, k, alive, tile).repeat_interleave(
        8, 2
    ).repeat_interleave(8, 3)
    assert (gap < -3).any()
    # the running maximum belongs to some key whose own probability is at most the row's largest
    assert bool((p <= 2.0**gap * p.amax(-1, keepdim=True) + 1e-12).all())


def test_lse_is_that_of_the_alive_keys_and_merges_parts():
    q, k, v = inputs(12, 20, dtype=torch.float64)
    tile = Tile(queries=5, keys=5)
    left = torch.zeros(2, 3, 3, 4, dtype=torch.bool)
    left[..., :2] = True
    a, b = attend_tiles(q, k, v, left, tile), attend_tiles(q, k, v, ~left, tile)
    score = (q @ k.mT) * 8**-0.5
    torch.testing.assert_close(a.lse, score[..., :10].logsumexp(-1))
    torch.testing.assert_close(merge([(a.out, a.lse), (b.out, b.lse)]), scaled_dot_product_attention(q, k, v))


def test_merging_leaves_out_a_part_that_saw_nothing():
    q, k, v = inputs(4, 8)
    tile = Tile(queries=4, keys=4)
    alive = torch.zeros(2, 3, 1, 2, dtype=torch.bool)
    nothing = attend_tiles(q, k, v, alive, tile)
    full = attend_tiles(q, k, v, ~alive, tile)
    assert bool((nothing.out == 0).all())
    assert bool((nothing.lse == -math.inf).all())
    assert torch.equal(merge([(nothing.out, nothing.lse), (full.out, full.lse)]), full.out)


@pytest.mark.parametrize("batch", [1, 2])
def test_a_bias_adds_to_scores_and_hides_keys(batch):
    q, k, v = inputs(10, 9)
    g = torch.Generator().manual_seed(1)
    bias = torch.randn(batch, 3, 10, 9, generator=g)
    bias[:, :, :, 4] = -math.inf
    tile = Tile(queries=4, keys=4)
    alive = some((2, 3, *tile.counts(10, 9)), 2)
    term = bias.masked_fill(~everywhere(alive, tile, 10, 9), -math.inf)
    want = scaled_dot_product_attention(q, k, v, attn_mask=term.expand(2, -1, -1, -1))
    torch.testing.assert_close(attend_tiles(q, k, v, alive, tile, bias).out, want, atol=1e-6, rtol=1e-5)


def test_tiles_that_are_not_alive_are_never_read():
    q, k, v = inputs(8, 16)
    tile = Tile(queries=4, keys=4)
    alive = torch.ones(2, 3, 2, 4, dtype=torch.bool)
    alive[..., 1] = False
    k[:, :, 4:8] = float("nan")
    v[:, :, 4:8] = float("nan")
    assert bool(attend_tiles(q, k, v, alive, tile).out.isfinite().all())


def test_half_precision_comes_back_as_it_was():
    q, k, v = inputs(8, 8, dtype=torch.bfloat16)
    tile = Tile(queries=4, keys=4)
    made = attend_tiles(q, k, v, torch.ones(2, 3, 2, 2, dtype=torch.bool), tile)
    assert made.out.dtype == torch.bfloat16
    assert made.lse.dtype == torch.float32


def test_the_block_mask_has_the_tiles():
    tile = Tile(queries=16, keys=16)
    alive = some((2, 3, *tile.counts(24, 40)), 1)
    made = block_mask(alive, tile, 24, 40)
    assert torch.equal(made.to_dense().bool(), alive)
    assert made.BLOCK_SIZE == (16, 16)
    at = torch.arange(24)[:, None], torch.arange(40)[None]
    assert torch.equal(made.mask_mod(torch.tensor(1), torch.tensor(2), *at), everywhere(alive, tile, 24, 40)[1, 2])


def test_tiles_of_another_shape_are_refused():
    q, k, v = inputs(8, 8)
    with pytest.raises(FrisketError, match=r"alive = .* of shape \(2, 3, 2, 2\)"):
        attend_tiles(q, k, v, torch.ones(2, 3, 2, 3, dtype=torch.bool), Tile(queries=4, keys=4))
    with pytest.raises(FrisketError, match="tile = "):
        Tile(queries=0)
