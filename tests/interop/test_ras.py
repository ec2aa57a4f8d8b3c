"""Parity with the official scheduler: states, choices, counts."""

from __future__ import annotations

import pytest
import torch

from frisket.interop.ras import RUNS, SEEN, arrays, replayed, scheduler_difference
from frisket.sampling.solvers.regions import Regions


@pytest.fixture(scope="module")
def held():
    return arrays()


@pytest.mark.parametrize("name", RUNS)
def test_states_and_choices_are_the_official_ones(name, held):
    states, kept = replayed(name, held)
    for i, k in enumerate(SEEN):
        torch.testing.assert_close(states[k], held[f"{name}/states"][i], rtol=1e-5, atol=1e-5)
    for ours, theirs in zip(kept, held[f"{name}/active"], strict=True):
        chosen = sorted(theirs[theirs >= 0].tolist())
        assert (ours is None and not chosen) or sorted(ours[0].tolist()) == chosen
    assert sum(k is not None for k in kept) == 8


def test_numbers_of_waiting_tokens_are_the_official_ones(held):
    assert Regions(start=3, resets=(7,)).counts(12, 64) == held["low/counts"].tolist()
    growing = Regions(start=3, resets=(7,), growth=64, every=3).counts(12, 4096)
    assert growing == held["growing/counts"].tolist()


def test_the_difference_is_small():
    assert scheduler_difference() < 1e-5
