from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn.functional import scaled_dot_product_attention

from frisket.caching.merging import TokenMerging, destinations, matched
from frisket.core.condition import Condition
from frisket.core.config import from_config, to_config
from frisket.core.errors import FrisketError
from frisket.core.sites import install
from frisket.core.step import Step, use_step
from frisket.models.backbones.transformer import Transformer
from frisket.models.block import Block, repeat
from frisket.models.doors import Door
from frisket.models.grid import Grid
from frisket.models.layers.embedders import ClassIds
from frisket.models.layers.ends import Patches, PatchesOut
from frisket.models.layers.positions import Rotary

GOLDEN = Path(__file__).parents[1] / "golden" / "tomesd_merge.npz"


def tokens(n=16, d=6, b=2, seed=0):
    return torch.randn(b, n, d, generator=torch.Generator().manual_seed(seed))


def model(depth=2, **more):
    """A transformer of 8x8 images in 16 tokens; nothing is at its zero initialisation."""
    config = Transformer(
        width=16, heads=2, input=Patches(channels=1, size=(8, 8), patch=2), output=PatchesOut(channels=1),
        doors=(Door(name="label", embedder=ClassIds(classes=3)),), blocks=repeat(Block(), depth), **more,
    )  # fmt: skip
    built = config.build().eval()
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for p in built.parameters():
            p.add_(0.3 * torch.randn(p.shape, generator=generator))
    return built


def run(built, cache=None, branch="conditional", x=None, b=4):
    x = tokens(64, 1, b, 1).view(b, 1, 8, 8) if x is None else x
    cond = Condition.of(label=torch.arange(len(x)) % 3)
    handlers = {} if cache is None else cache.mount(built).handlers
    step = Step(seed=0, sample=torch.arange(len(x)), branch=branch, total=4)
    with torch.no_grad(), use_step(step), install(built, handlers):
        return built(x, torch.full((len(x),), 0.5), cond).pred


@pytest.mark.parametrize("count", [6, 12, 18])
def test_matches_as_tomesd_does(count):
    with np.load(GOLDEN, allow_pickle=False) as held:
        g = {name: torch.from_numpy(held[name]) for name in held.files}
    made = matched(g["metric"], destinations(Grid.of((4, 6)).coords(), 2), count)
    merged = made.merge(g["x"])
    torch.testing.assert_close(merged.sum(1), g[f"total{count}"], atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(made.unmerge(merged), g[f"unmerged{count}"])


@settings(max_examples=20, deadline=None)
@given(st.integers(1, 20), st.integers(0, 3))
def test_every_token_comes_back_and_alike_ones_unchanged(count, seed):
    x = tokens(seed=seed)
    made = matched(x, destinations(Grid.of((4, 4)).coords(), 2), count)
    assert made.left.shape[1] + made.merged.shape[1] == 16
    assert made.merged.shape[1] == min(count, 12)
    seen = torch.cat([made.left, made.merged], 1).sort(1).values
    assert torch.equal(seen, torch.arange(16).expand(2, -1))
    assert made.sizes.sum(1).tolist() == [16.0, 16.0]
    same = torch.full((2, 16, 3), 2.5)
    assert torch.equal(made.unmerge(made.merge(same)), same)
    back = made.unmerge(made.merge(x))
    untouched = made.left[:, :-4] if count < 12 else made.left[:, :0]
    for row in range(2):
        assert torch.equal(back[row, untouched[row]], x[row, untouched[row]])


def test_the_most_alike_are_merged_first():
    x = tokens(b=1)
    x[0, 5] = 3 * x[0, 0]  # the same direction as a destination
    made = matched(x, destinations(Grid.of((4, 4)).coords(), 2), 1)
    assert made.merged.tolist() == [[5]]
    torch.testing.assert_close(made.merge(x)[0, made.into[0, 0]], (x[0, 0] + x[0, 5]) / 2)


def test_no_share_is_the_plain_run_bit_for_bit():
    built = model()
    assert torch.equal(run(built, TokenMerging(share=0.0)), run(built))


@pytest.mark.parametrize("positions", [{}, {"positions": Rotary()}])
@pytest.mark.parametrize("weigh", ["one", "size"])
def test_merging_changes_little_by_little(weigh, positions):
    built = model(**positions)
    plain = run(built)
    gaps = [float((run(built, TokenMerging(share=s, weigh=weigh)) - plain).norm()) for s in (0.0625, 0.5, 0.75)]
    assert 0 < gaps[0] < gaps[2]
    assert all(torch.equal(run(built, TokenMerging(share=0.5)), run(built, TokenMerging(share=0.5))) for _ in range(2))


def test_weighed_by_size_equal_tokens_are_the_plain_softmax():
    """Attention over duplicated tokens equals attention over merged ones whose keys count for their size."""
    built = model(depth=1)
    x = tokens(4, 1, 2, 3).view(2, 1, 2, 2).repeat_interleave(4, 2).repeat_interleave(4, 3)  # cells of equal pixels
    # without positions all tokens of a cell are equal, so merging 3 of 4 loses nothing
    with torch.no_grad():
        built.positions.table.zero_() if hasattr(built.positions, "table") else None
    seen = []

    def tap(call, args, step):
        q, k, v = args[0].clone(), args[1].clone(), args[2].clone()
        positions = args[6] if len(args) > 6 else None
        bias = None if positions is None else positions.place(*args[:2], *args[3:5])[2]
        seen.append((q, k, v, bias))
        return call(*args)

    cache = TokenMerging(share=0.75, weigh="size")
    with install(built, {"block[0].attn.attend": tap}):
        run(built, cache, x=x)
    ((q, k, v, bias),) = seen
    assert k.shape[2] == 4
    full = scaled_dot_product_attention(q, k.repeat_interleave(4, 2), v.repeat_interleave(4, 2))
    torch.testing.assert_close(scaled_dot_product_attention(q, k, v, attn_mask=bias), full, atol=1e-6, rtol=1e-5)


def test_a_target_takes_its_sources_matching():
    built, seen = model(depth=1), []

    def tap(call, args, step):
        seen.append(args[3].index)
        return call(*args)

    with install(built, {"block[0].attn.attend": tap}):
        run(built, TokenMerging(share=0.5), branch="source+target")
        run(built, TokenMerging(share=0.5))
    two, one = seen
    assert torch.equal(two[:2], two[2:])
    assert not torch.equal(one[:2], one[2:])
    assert torch.equal(two[:2], one[:2])


def test_round_trips_and_refuses():
    cache = TokenMerging(share=0.25, weigh="size")
    assert from_config(to_config(cache)) == cache
    for bad in ({"share": 1.0}, {"share": -0.1}, {"cell": 0}, {"weigh": "all"}):
        with pytest.raises(FrisketError, match="merging."):
            TokenMerging(**bad)
