import pytest
import torch

from frisket.core import FrisketError
from frisket.core.random import key, normal
from frisket.data.scenes import draw, render_table
from frisket.data.scenes.degrade import blur, posterise, shrink, speckle

X = render_table(draw(0, torch.arange(4), "train"), (32, 32))["rgb"]
NOISE = normal(key(0, torch.arange(4)), X[0].numel()).view_as(X).float()


def test_the_lowest_level_changes_nothing():
    assert torch.equal(blur(X, 0.0), X)
    assert torch.equal(shrink(X, 1), X)
    assert torch.equal(speckle(X, 0.0, NOISE), X)


def test_damage_grows_with_the_level():
    for damage, levels in (
        (blur, (0.5, 1.0, 2.0)), (shrink, (2, 4, 8)), (lambda x, v: speckle(x, v, NOISE), (0.05, 0.1, 0.2)),
        (posterise, (32, 8, 2)),
    ):  # fmt: skip
        error = [(damage(X, level) - X).square().mean().item() for level in levels]
        assert 0 < error[0] < error[1] < error[2]


def test_blur_is_a_gaussian_that_keeps_flat_pictures():
    torch.testing.assert_close(blur(torch.full((1, 3, 9, 9), 0.3), 1.5), torch.full((1, 3, 9, 9), 0.3))
    point = torch.zeros(1, 1, 41, 41)
    point[..., 20, 20] = 1
    out = blur(point, 2.0)[0, 0].double()
    at = torch.arange(41) - 20.0
    assert out.sum() == pytest.approx(1, abs=1e-5)
    assert ((out.sum(0) * at**2).sum()).item() == pytest.approx(4.0, rel=0.01)
    assert (out[20, 22] / out[20, 20]).item() == pytest.approx(torch.tensor(-0.5).exp().item(), rel=1e-4)


def test_shrink_keeps_means_of_squares():
    out = shrink(X, 4)
    torch.testing.assert_close(out[..., ::4, ::4], torch.nn.functional.avg_pool2d(X, 4))
    assert torch.equal(out[..., 0, 0], out[..., 3, 3])


def test_posterise_has_that_many_tones():
    assert posterise(X, 3).unique().tolist() == [0.0, 0.5, 1.0]


def test_bad_levels_are_named():
    for call in (
        lambda: blur(X, -1.0), lambda: shrink(X, 0), lambda: shrink(X, 5), lambda: speckle(X, -0.1, NOISE),
        lambda: posterise(X, 1),
    ):  # fmt: skip
        with pytest.raises(FrisketError):
            call()
