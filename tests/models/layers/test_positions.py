"""Positions: tables by formula, rotations relative, biases by difference."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from frisket.core import FrisketError
from frisket.models.grid import Grid
from frisket.models.init import build_real
from frisket.models.layers.base import Sizes
from frisket.models.layers.positions import (
    Learned,
    NoPositions,
    RelativeBias,
    Rotary,
    SinCos,
    rotary_angles,
    rotate,
    sincos,
)  # fmt: skip
from frisket.models.tokens import Tags

GRID = Grid.of((3, 4))
SIZES = Sizes(width=16, heads=2, condition=16, grid=GRID)


def tags(grid=GRID, **more):
    return Tags(n=grid.tokens, coords=grid.coords(), extent=grid.axes, **more)


def built(config, sizes=SIZES):
    return build_real(lambda: config.build(sizes))


def test_sincos_is_w_first_and_sines_first():
    table = sincos(GRID.coords(), 16, 10_000.0).double().numpy()
    for n, (y, x) in enumerate(GRID.coords().tolist()):
        for k in range(4):
            w = 10_000.0 ** (-k / 4)
            wanted = [np.sin(x * w), np.cos(x * w), np.sin(y * w), np.cos(y * w)]
            assert table[n, [k, 4 + k, 8 + k, 12 + k]] == pytest.approx(wanted, abs=1e-6)


def test_a_scale_multiplies_the_table_on_every_grid():
    for grid in (GRID, Grid.of((5, 6))):
        h = torch.zeros(1, grid.tokens, 16)
        plain, small = (built(SinCos(base=50.0, scale=k))(h, tags(grid)) for k in (1.0, 0.25))
        assert plain.abs().max() > 0.9
        torch.testing.assert_close(small, plain / 4)
    with pytest.raises(FrisketError, match=r"positions\.scale"):
        SinCos(scale=0.0)


def test_sincos_table_is_frozen_and_saved():
    module = built(SinCos())
    assert list(module.state_dict()) == ["table"]
    assert not module.table.requires_grad
    h = torch.zeros(2, 12, 16)
    assert torch.equal(module(h, tags())[1], module.table)


def test_sincos_places_other_grids():
    larger = Grid.of((5, 6))
    got = built(SinCos())(torch.zeros(1, 30, 16), tags(larger))
    torch.testing.assert_close(got[0], sincos(larger.coords(), 16, 10_000.0))


def test_features_left_over_are_zero():
    assert sincos(GRID.coords(), 18, 100.0)[:, 16:].abs().sum() == 0
    with pytest.raises(FrisketError, match="width"):
        sincos(GRID.coords(), 3, 100.0)


def test_learned_positions_refuse_another_grid():
    module = built(Learned(std=1.0))
    assert module.table.requires_grad
    with pytest.raises(FrisketError, match=r"\(3, 4\) cannot place a grid \(4, 3\)"):
        module(torch.zeros(1, 12, 16), tags(Grid.of((4, 3))))


def test_none_changes_nothing():
    h = torch.randn(1, 12, 16)
    module = built(NoPositions())
    assert module(h, tags()) is h
    assert module.placing is None


@pytest.mark.parametrize("layout", ["half", "interleaved"])
def test_rotary_scores_depend_on_differences_only(layout):
    module = built(Rotary(layout=layout))
    g = torch.Generator().manual_seed(0)
    q, k = torch.randn(1, 2, 12, 8, generator=g), torch.randn(1, 2, 12, 8, generator=g)
    moved = Tags(n=12, coords=GRID.coords() + torch.tensor([5.0, -2.0]))
    turned = [module.place(q, k, t, t) for t in (tags(), moved)]
    scores = [a @ b.transpose(-1, -2) for a, b, _ in turned]
    torch.testing.assert_close(scores[0], scores[1], rtol=1e-4, atol=1e-4)
    assert (scores[0] - q @ k.transpose(-1, -2)).abs().max() > 0.1
    torch.testing.assert_close(turned[0][0].norm(dim=-1), q.norm(dim=-1))


def test_half_and_interleaved_pair_differently():
    x, angle = torch.tensor([[[[1.0, 2.0, 3.0, 4.0]]]]), torch.tensor([[0.3, 0.7]])
    cos, sin = angle.cos(), angle.sin()
    half, inter = rotate(x, cos, sin, "half")[0, 0, 0], rotate(x, cos, sin, "interleaved")[0, 0, 0]
    c, s = np.cos([0.3, 0.7]), np.sin([0.3, 0.7])
    assert half.tolist() == pytest.approx(
        [1 * c[0] - 3 * s[0], 2 * c[1] - 4 * s[1], 3 * c[0] + 1 * s[0], 4 * c[1] + 2 * s[1]], rel=1e-5
    )
    assert inter.tolist() == pytest.approx(
        [1 * c[0] - 2 * s[0], 2 * c[0] + 1 * s[0], 3 * c[1] - 4 * s[1], 4 * c[1] + 3 * s[1]], rel=1e-5
    )


def test_rotary_pairs_are_shared_out_among_axes():
    angles = rotary_angles(torch.tensor([[2.0, 3.0, 5.0]]), 14, 100.0)[0]
    w = 100.0**-0.5
    assert angles.tolist() == pytest.approx([2.0, 2 * w, 3.0, 3 * w, 5.0, 5 * w, 0.0])
    with pytest.raises(FrisketError, match="head"):
        rotary_angles(torch.zeros(1, 3), 4, 100.0)


def test_rotary_follows_chosen_tokens():
    module, q = built(Rotary()), torch.randn(2, 2, 12, 8, generator=torch.Generator().manual_seed(1))
    ids = torch.tensor([[3, 1], [7, 0]])
    where = ids[:, None, :, None].expand(2, 2, 2, 8)
    full, _, _ = module.place(q, q, tags(), tags())
    some = tags().take(ids)
    part, _, _ = module.place(q.gather(2, where), q.gather(2, where), some, some)
    assert torch.equal(part, full.gather(2, where))


def test_bias_is_a_number_a_difference():
    module = built(RelativeBias(std=1.0))
    _, _, bias = module.place(torch.zeros(1, 2, 12, 8), torch.zeros(1, 2, 12, 8), tags(), tags())
    assert bias.shape == (2, 12, 12)
    apart = (GRID.coords()[:, None] - GRID.coords()[None]).flatten(0, 1)
    seen = {}
    for difference, value in zip(apart.tolist(), bias[0].flatten().tolist(), strict=True):
        assert seen.setdefault(tuple(difference), value) == value
    assert len(set(seen.values())) == 5 * 7
    far = Tags(n=12, coords=GRID.coords() * 100)
    _, _, clipped = module.place(torch.zeros(1, 2, 12, 8), torch.zeros(1, 2, 12, 8), far, tags())
    assert clipped.isfinite().all()


def test_bias_refuses_another_number_of_heads():
    with pytest.raises(FrisketError, match="heads = 3"):
        built(RelativeBias()).place(x := torch.zeros(1, 3, 12, 8), x, tags(), tags())


def test_a_span_holds_the_ends_apart_whatever_the_grid():
    part, small, large = built(Rotary(span=16.0)), Grid.of((3, 5)), Grid.of((5, 9))
    x = torch.randn(1, 2, 1, 8, generator=torch.Generator().manual_seed(0))

    def turned(grid):
        whole = tags(grid, whole=grid.axes)
        return part._turn(x.expand(-1, -1, grid.tokens, -1), whole).unflatten(2, grid.axes)

    torch.testing.assert_close(turned(small), turned(large)[:, :, ::2, ::2])
    plain = built(Rotary())._turn(x.expand(-1, -1, 45, -1), tags(large)).unflatten(2, large.axes)
    torch.testing.assert_close(turned(large)[:, :, 1, 1], plain[:, :, 4, 2])


def test_a_span_goes_with_taken_tokens_and_refuses_joined_ones():
    part, grid = built(Rotary(span=16.0)), Grid.of((3, 5))
    whole, ids = tags(grid, whole=grid.axes), torch.tensor([[7, 2]])
    x = torch.randn(1, 2, 15, 8, generator=torch.Generator().manual_seed(0))
    torch.testing.assert_close(part._turn(x[:, :, [7, 2]], whole.take(ids)), part._turn(x, whole)[:, :, [7, 2]])
    joined = Tags.cat([whole, Tags(n=1)], 1, x.device)
    with pytest.raises(FrisketError, match="fixed span"):
        part._turn(torch.cat([x, x[:, :, :1]], 2), joined)
    with pytest.raises(FrisketError, match=r"positions\.span"):
        Rotary(span=0.0)
