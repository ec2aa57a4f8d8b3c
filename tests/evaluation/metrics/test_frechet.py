import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.linalg import sqrtm

from frisket.core import FrisketError
from frisket.evaluation.metrics.frechet import frechet, frechet_of_gaussians, moments, psd_root


def covariance(rng, d, rank=None):
    a = rng.standard_normal((d, rank or d))
    return a @ a.T / d


def test_diagonal_gaussians_in_closed_form():
    a, b = np.array([1.0, 4.0, 0.0]), np.array([9.0, 1.0, 2.0])
    mean = np.array([1.0, -2.0, 0.5])
    expected = (mean**2).sum() + ((np.sqrt(a) - np.sqrt(b)) ** 2).sum()
    assert frechet_of_gaussians(mean, np.diag(a), np.zeros(3), np.diag(b)) == pytest.approx(expected, rel=1e-12)


@given(st.integers(0, 10_000), st.integers(1, 8))
def test_agrees_with_scipys_root_of_the_product(seed, d):
    rng = np.random.default_rng(seed)
    a, b = covariance(rng, d) + 0.1 * np.eye(d), covariance(rng, d) + 0.1 * np.eye(d)
    m, n = rng.standard_normal((2, d))
    expected = ((m - n) ** 2).sum() + np.trace(a + b - 2 * np.real(sqrtm(a @ b)))
    assert frechet_of_gaussians(m, a, n, b) == pytest.approx(expected, rel=1e-6, abs=1e-7)


@given(st.integers(0, 10_000))
def test_symmetric_zero_to_itself_and_invariant_under_rotation(seed):
    rng = np.random.default_rng(seed)
    x, y = rng.standard_normal((20, 6)), 2 * rng.standard_normal((15, 6)) + 1
    rotation = np.linalg.qr(rng.standard_normal((6, 6)))[0]
    assert frechet(x, y) == pytest.approx(frechet(y, x), rel=1e-9)
    assert frechet(x, x) < 1e-9
    assert frechet(x @ rotation, y @ rotation) == pytest.approx(frechet(x, y), rel=1e-9)


def test_a_shift_costs_its_square():
    x = np.random.default_rng(0).standard_normal((200, 4))
    assert frechet(x, x + 3.0) == pytest.approx(36.0, rel=1e-9)


def test_fewer_samples_than_features_keeps_precision():
    x = 1e3 * np.random.default_rng(0).standard_normal((5, 40))
    assert frechet(x, x.copy()) < 1e-5  # traces of 4e7, so 1e-12 relative
    assert frechet(x, x + 0.01) == pytest.approx(40 * 1e-4, abs=1e-5)


def test_root_squares_to_the_matrix_and_forgives_rounding():
    matrix = covariance(np.random.default_rng(1), 7, rank=3) - 1e-17 * np.eye(7)
    root = psd_root(matrix)
    assert np.allclose(root @ root, matrix, atol=1e-12)
    assert np.allclose(root, root.T)


def test_moments_are_numpys():
    x = np.random.default_rng(2).standard_normal((30, 3)).astype(np.float32)
    mean, cov = moments(x)
    assert np.allclose(mean, x.mean(0), atol=1e-6)
    assert np.allclose(cov, np.cov(x, rowvar=False), atol=1e-6)


def test_refuses_a_single_sample():
    with pytest.raises(FrisketError, match="at least 2"):
        frechet(np.zeros((1, 3)), np.zeros((5, 3)))
