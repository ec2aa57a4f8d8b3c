import numpy as np
import pytest
import torch
from torch import nn

from frisket.codecs.pixels import Pixels
from frisket.core import FrisketError, Output
from frisket.core.step import current_step
from frisket.data.digits import Digits
from frisket.evaluation.heldout import condition, heldout_loss, midpoints
from frisket.processes.gaussian import Gaussian


class Zero(nn.Module):
    """Predicts no velocity at all; records what it was called with."""

    def __init__(self):
        super().__init__()
        self.calls = []

    def forward(self, x, t, cond=None):
        self.calls.append((t.clone(), cond, self.training, current_step().index))
        return Output(torch.zeros_like(x))


class Perfect(nn.Module):
    """Knows the state: with x0 constant c, the velocity of the straight path is (x_t - c) / t."""

    def forward(self, x, t, cond=None):
        return Output((x - 1.0) / t.view(-1, 1, 1, 1))


class White:
    """White images only: state 1 everywhere."""

    info = Digits().open("test").info

    def batch(self, ids):
        return {"x": torch.ones(len(ids), 1, 8, 8), "id": ids}


SOURCE = Digits().open("test")


def test_the_zero_model_costs_the_mean_square_of_the_velocity():
    found = heldout_loss(Zero(), Gaussian(), Pixels(), White(), n=64, times=8)  # velocity: noise - 1
    assert found.mean.value == pytest.approx(2.0, abs=0.05)
    assert found.mean.low <= found.mean.value <= found.mean.high
    assert len(found.curve) == 8
    assert found.each.shape == (64, 8)
    assert found.each.mean() == pytest.approx(found.mean.value)


def test_the_model_that_knows_loses_nothing():
    assert heldout_loss(Perfect(), Gaussian(), Pixels(), White(), n=8, times=4).mean.value < 1e-8


def test_batches_earlier_calls_and_the_global_generator_change_nothing():
    first = heldout_loss(Zero(), Gaussian(), Pixels(), SOURCE, n=10, times=3, batch=10)
    torch.manual_seed(99)
    again = heldout_loss(Zero(), Gaussian(), Pixels(), SOURCE, n=10, times=3, batch=3)
    assert np.allclose(first.each, again.each, rtol=1e-6)
    other = heldout_loss(Zero(), Gaussian(), Pixels(), SOURCE, n=10, times=3, seed=1)
    assert not np.allclose(first.each, other.each)


def test_more_items_keep_the_first_ones():
    few = heldout_loss(Zero(), Gaussian(), Pixels(), SOURCE, n=4, times=(0.3, 0.9))
    many = heldout_loss(Zero(), Gaussian(), Pixels(), SOURCE, n=9, times=(0.3, 0.9))
    assert np.allclose(few.each, many.each[:4], rtol=1e-6)


def test_model_sees_the_grid_its_condition_and_evaluation_mode():
    model = Zero().train()
    heldout_loss(model, Gaussian(), Pixels(), SOURCE, n=4, times=(0.25, 0.75), conditions=("label",))
    assert [float(t[0]) for t, *_ in model.calls] == [0.25, 0.75]
    assert [index for *_, index in model.calls] == [0, 1]
    assert not any(training for _, _, training, _ in model.calls)
    assert torch.equal(model.calls[0][1].values["label"], SOURCE.labels[:4])
    assert model.training


def test_json_leaves_the_items_out():
    data = heldout_loss(Zero(), Gaussian(), Pixels(), SOURCE, n=4, times=2).as_dict()
    assert set(data) == {"n", "times", "value", "low", "high", "curve"}
    assert data["times"] == [0.25, 0.75]


@pytest.mark.parametrize("options", [{"times": (0.0, 0.5)}, {"times": 0}, {"n": 0}, {"n": 10_000}])
def test_refuses(options):
    with pytest.raises(FrisketError):
        heldout_loss(Zero(), Gaussian(), Pixels(), SOURCE, **options)


def test_missing_conditions_are_named():
    with pytest.raises(FrisketError, match="caption"):
        condition({"x": torch.zeros(1)}, ("caption",))
    assert condition({"x": torch.zeros(1)}, ()) is None
    assert midpoints(2) == (0.25, 0.75)
