import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import accuracy_score, mutual_info_score

from frisket.core import FrisketError
from frisket.evaluation.metrics.scores import class_accuracy, hits, inception_score


def test_ends_of_the_range():
    assert inception_score(np.eye(7)) == pytest.approx(7.0)
    assert inception_score(np.full((5, 7), 1 / 7)) == pytest.approx(1.0)
    assert inception_score(np.tile(np.eye(7)[0], (5, 1))) == pytest.approx(1.0)


@given(st.lists(st.integers(0, 4), min_size=2, max_size=40))
def test_of_certain_answers_is_the_exponential_of_their_entropy(labels):
    p = np.eye(5)[labels]
    assert inception_score(p) == pytest.approx(np.exp(mutual_info_score(labels, labels)), rel=1e-9)


@given(st.integers(0, 10_000))
def test_bounds(seed):
    p = np.random.default_rng(seed).dirichlet(np.full(6, 0.3), size=25)
    assert 1.0 - 1e-9 <= inception_score(p) <= 6.0 + 1e-9


def test_accuracy_is_scikit_learns():
    rng = np.random.default_rng(0)
    p, labels = rng.dirichlet(np.ones(4), 30), rng.integers(0, 4, 30)
    assert class_accuracy(p, labels) == pytest.approx(accuracy_score(labels, p.argmax(1)))
    assert hits(np.eye(4), np.array([0, 1, 2, 0])).tolist() == [True, True, True, False]


@pytest.mark.parametrize("p", [np.ones((3, 2)), np.zeros((0, 3)), np.array([[1.5, -0.5]])])
def test_refuses_what_is_no_distribution(p):
    with pytest.raises(FrisketError, match="probabilities"):
        inception_score(p)


@pytest.mark.parametrize("labels", [[0, 4], [-1, 0]])
def test_refuses_labels_that_do_not_fit(labels):
    with pytest.raises(FrisketError, match="labels"):
        class_accuracy(np.eye(4)[:2], np.array(labels))
