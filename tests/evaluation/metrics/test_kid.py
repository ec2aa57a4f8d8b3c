import numpy as np
import pytest
from sklearn.metrics.pairwise import polynomial_kernel

from frisket.core import FrisketError
from frisket.evaluation.metrics.kid import kernels, kid, weighted_kid


def plain(a, b):
    """The definition, by scikit-learn's kernel and loops over distinct pairs."""
    aa, bb, ab = (polynomial_kernel(u, v, degree=3, coef0=1) for u, v in ((a, a), (b, b), (a, b)))
    n, m = len(a), len(b)
    within_a = sum(aa[i, j] for i in range(n) for j in range(n) if i != j) / (n * (n - 1))
    within_b = sum(bb[i, j] for i in range(m) for j in range(m) if i != j) / (m * (m - 1))
    return within_a + within_b - 2 * ab.mean()


def test_is_its_definition():
    rng = np.random.default_rng(0)
    a, b = rng.standard_normal((9, 4)), rng.standard_normal((7, 4)) + 0.5
    assert kid(a, b) == pytest.approx(plain(a, b), rel=1e-10)
    assert kid(a, b) == pytest.approx(kid(b, a), rel=1e-10)


def test_unbiased_when_the_distributions_agree():
    rng = np.random.default_rng(1)
    values = [kid(rng.standard_normal((12, 3)), rng.standard_normal((12, 3))) for _ in range(400)]
    assert abs(np.mean(values)) < 3.5 * np.std(values) / 20
    assert min(values) < 0


def test_grows_with_the_shift():
    rng = np.random.default_rng(2)
    a, b = rng.standard_normal((2, 100, 5))
    assert kid(a, b) < kid(a, b + 0.5) < kid(a, b + 1.0)


def test_weights_count_samples_without_pairing_copies():
    rng = np.random.default_rng(3)
    a, b = rng.standard_normal((6, 3)), rng.standard_normal((5, 3))
    matrices = kernels(a, b)
    left_out = np.array([1, 1, 0, 1, 1, 0])
    assert weighted_kid(matrices, left_out, np.ones(5, dtype=np.int64)) == pytest.approx(kid(a[left_out > 0], b))
    twice = weighted_kid(matrices, np.full(6, 2), np.full(5, 3))
    assert twice == pytest.approx(kid(a, b))


def test_refuses_one_sample():
    with pytest.raises(FrisketError, match="at least 2"):
        kid(np.zeros((1, 2)), np.zeros((4, 2)))
