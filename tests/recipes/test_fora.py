"""FORA's own promises: its published schedule, the official network's outputs, and arms of equal full forwards."""

from __future__ import annotations

from dataclasses import replace

import pytest

from frisket.caching.intervals import Interval
from frisket.recipes import fora


def test_every_published_count_comes_out():
    assert all(count.compute() == count.published for count in fora.COUNTS)


def test_a_schedule_of_another_phase_is_no_parity(monkeypatch):
    assert fora.difference() <= fora.PARITY.limit
    monkeypatch.setattr(fora, "Interval", lambda every: Interval(every=every, first=3))
    assert fora.difference() == float("inf")


@pytest.mark.parametrize("every", [2, 3, 5])
def test_the_rival_takes_as_many_steps_as_there_are_full_ones(every):
    arm = fora.STUDY.arms[f"as many steps as N = {every} has full ones"]
    assert arm["sampler.steps"] == Interval(every=every).full_steps(fora.STEPS)
    assert arm["sampler.caches"] == ()


def test_it_trains_nothing_of_its_own():
    experiment = fora.experiment("small")
    assert experiment.training is None
    assert experiment.start == replace(fora.dit.experiment("small"), study=None)
