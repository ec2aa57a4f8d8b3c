import importlib

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.neighbors import NearestNeighbors

from frisket.core import FrisketError
from frisket.evaluation.metrics.precision_recall import inside, precision_recall


@given(st.integers(0, 10_000), st.integers(1, 4))
def test_agrees_with_scikit_learns_neighbours(seed, k):
    rng = np.random.default_rng(seed)
    points, manifold = rng.standard_normal((20, 2)), rng.standard_normal((15, 2))
    radius = NearestNeighbors(n_neighbors=k + 1).fit(manifold).kneighbors(manifold)[0][:, k]
    distance = np.linalg.norm(points[:, None] - manifold[None], axis=-1)
    assert np.array_equal(inside(points, manifold, k), (distance <= radius).any(1))


def test_same_set_is_perfect_and_far_set_is_nothing():
    x = np.random.default_rng(0).standard_normal((50, 3))
    assert precision_recall(x, x) == (1.0, 1.0)
    assert precision_recall(x + 100, x) == (0.0, 0.0)


def test_one_mode_of_two_is_precise_but_misses_half():
    rng = np.random.default_rng(1)
    left, right = rng.standard_normal((200, 2)), rng.standard_normal((200, 2)) + 50
    precision, recall = precision_recall(rng.standard_normal((200, 2)), np.concatenate([left, right]))
    assert precision > 0.9
    assert 0.4 < recall <= 0.5


def test_blocks_change_nothing(monkeypatch):
    rng = np.random.default_rng(2)
    a, b = rng.standard_normal((30, 3)), rng.standard_normal((25, 3))
    whole = inside(a, b)
    monkeypatch.setattr(importlib.import_module("frisket.evaluation.metrics.precision_recall"), "BLOCK", 7)
    assert np.array_equal(inside(a, b), whole)


@pytest.mark.parametrize("k", [0, 5])
def test_refuses_impossible_neighbours(k):
    with pytest.raises(FrisketError, match="neighbours"):
        inside(np.zeros((3, 2)), np.zeros((5, 2)), k)
