from __future__ import annotations

from types import SimpleNamespace

import pytest
import torch

from frisket.interop.clock import MOST_CALLS, Clock


def seen(clock, times):
    """(run number, index, call) of each forward, runs counted from 0."""
    steps = [clock.step(torch.tensor(t), 2) for t in times]
    runs = list(dict.fromkeys(s.run for s in steps))
    return [(runs.index(s.run), s.index, s.call) for s in steps]


def test_new_times_are_steps_and_equal_times_are_calls():
    assert seen(Clock(), [9.0, 9.0, 5.0, 5.0, 1.0]) == [(0, 0, 0), (0, 0, 1), (0, 1, 0), (0, 1, 1), (0, 2, 0)]


@pytest.mark.parametrize("times", [[9.0, 5.0, 1.0], [1.0, 5.0, 9.0]])
def test_a_time_that_turns_back_begins_a_run(times):
    assert [s[:2] for s in seen(Clock(), times * 2)] == [(r, i) for r in range(2) for i in range(3)]


def test_runs_of_one_step_do_not_count_calls_forever():
    runs = [run for run, _, _ in seen(Clock(), [9.0] * (MOST_CALLS + 1))]
    assert runs == [0] * MOST_CALLS + [1]


def test_a_time_for_each_token_counts_as_its_largest():
    clock = Clock()
    assert clock.step(torch.tensor([[0.0, 7.0], [0.0, 7.0]]), 2).index == 0
    assert clock.step(torch.tensor([[0.0, 3.0], [0.0, 3.0]]), 2).index == 1


def test_a_scheduler_gives_totals_and_the_begin_of_runs():
    scheduler = SimpleNamespace(timesteps=torch.tensor([900, 600, 300]))
    clock = Clock(scheduler)
    first = [clock.step(t, 1) for t in (900, 600)]
    assert [(s.index, s.total) for s in first] == [(0, 3), (1, 3)]
    scheduler.timesteps = torch.tensor([500, 400, 300, 300, 200])  # a later begin than where the first was broken off
    later = [clock.step(t, 1) for t in (500, 400)]
    assert [(s.index, s.total) for s in later] == [(0, 4), (1, 4)]
    assert later[0].run != first[0].run


@pytest.mark.parametrize("scale", [1, 1000])
def test_a_run_may_begin_in_the_middle_of_its_schedule(scale):
    clock = Clock(SimpleNamespace(timesteps=torch.tensor([900.0, 600.0, 300.0])))
    assert [clock.step(t / scale, 1).index for t in (600.0, 300.0)] == [1, 2]
