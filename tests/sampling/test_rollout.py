"""Windows move on by what they make, and what was given comes back bit for bit."""

from __future__ import annotations

import pytest
import torch

from frisket.core import FrisketError
from frisket.data.base import Info
from frisket.sampling.pipeline import Pipeline
from frisket.sampling.rollout import extend


class Echo(Pipeline):
    """A pipeline whose repainted frames hold the mean of the window's given ones, plus the number it is told."""

    def __init__(self):
        self.calls, self.info = [], Info(kind="video", shape=(1, 6, 2, 2))

    def edit(self, x, mask, *, seed, **conditions):
        self.calls.append((x.clone(), mask.clone(), seed, conditions))
        made = x[:, :, :4].mean() + conditions["number"]
        return torch.where(mask, made, x)


def test_each_window_begins_with_the_end_of_what_there_is():
    pipeline, x = Echo(), torch.arange(8.0).view(1, 1, 8, 1, 1).expand(2, 1, 8, 2, 2)
    out = extend(pipeline, x, [{"number": 10.0}, {"number": 20.0}], fresh=2, seed=5)
    assert out.shape == (2, 1, 12, 2, 2)
    assert torch.equal(out[:, :, :8], x)
    first, second = pipeline.calls
    assert torch.equal(first[0][:, :, :4], x[:, :, 4:])
    assert torch.equal(second[0][:, :, :4], out[:, :, 6:10])
    assert out[0, 0, 8, 0, 0] == 5.5 + 10
    assert [first[1][0, 0, :, 0, 0].tolist(), second[2]] == [[False] * 4 + [True] * 2, 6]
    assert first[1].shape == (2, 1, 6, 2, 2)


def test_a_window_of_new_frames_alone_needs_nothing_given():
    pipeline = Echo()
    pipeline.edit = lambda x, mask, *, seed, **conditions: torch.full_like(x, float(seed))
    out = extend(pipeline, torch.zeros(1, 1, 0, 2, 2), [{}, {}], fresh=6, seed=3)
    assert out.shape == (1, 1, 12, 2, 2)
    assert out[0, 0, :, 0, 0].tolist() == [3.0] * 6 + [4.0] * 6


def test_too_few_frames_and_wrong_lengths_are_refused():
    with pytest.raises(FrisketError, match="frames given"):
        extend(Echo(), torch.zeros(1, 1, 3, 2, 2), [{"number": 0.0}], fresh=2)
    with pytest.raises(FrisketError, match="fresh"):
        extend(Echo(), torch.zeros(1, 1, 6, 2, 2), [{"number": 0.0}], fresh=7)
