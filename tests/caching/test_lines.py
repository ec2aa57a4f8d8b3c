from __future__ import annotations

import pytest
import torch

from frisket.caching.lines import History, Lines, combine, signature, tensors
from frisket.core import Condition, Output, Step
from frisket.models.tokens import Tokens


def step(index=0, total=4, **fields):
    return Step(seed=0, sample=torch.arange(2), index=index, total=total, run="a").at(**fields)


X = (torch.zeros(2, 3),)


def test_a_line_goes_on_while_everything_fits():
    lines = Lines(object)
    first = lines.enter(step(0), X)
    assert lines.enter(step(1), X) is first
    for changed, args in (
        (step(2, branch="null"), X), (step(2, call=1), X), (step(2, run="b"), X), (step(2, seed=1), X),
        (step(2, sample=torch.arange(1, 3)), X), (step(3), (torch.zeros(2, 4),)), (step(3), (X[0].double(),)),
    ):  # fmt: skip
        assert lines.enter(changed, args) is not first
    assert lines.enter(step(1), X) is not first


def test_each_line_has_a_policy_of_its_own():
    lines = Lines(list)
    assert lines.enter(step(), X).policy is not lines.enter(step(branch="null"), X).policy


def test_ended_runs_are_forgotten_and_running_ones_kept():
    lines = Lines(object)
    running = lines.enter(step(0, run="b"), X)
    for index in range(4):
        lines.enter(step(index), X)
    lines.enter(step(0, call=1), X)
    lines.enter(step(0, run="c"), X)
    assert {run for run, *_ in lines.held} == {"b", "c"}
    assert lines.enter(step(1, run="b"), X) is running


def test_where_no_total_is_known_a_new_run_ends_the_others():
    lines = Lines(object)
    lines.enter(step(0, total=0), X)
    lines.enter(step(0, total=0, run="b"), X)
    assert {run for run, *_ in lines.held} == {"b"}


def test_a_history_holds_the_latest_of_one_shape():
    history = History(2)
    for index in range(3):
        history.put(index, torch.full((4,), float(index)), "s")
    assert list(history.at) == [1, 2]
    assert history.bytes() == 2 * 4 * 4
    history.put(3, torch.zeros(5), "t")
    assert list(history.at) == [3]


def test_kept_tokens_count_by_value():
    ids = torch.tensor([[0, 1], [1, 2]])
    assert signature({"span": ids}) == signature({"span": ids.clone()})
    assert signature({"span": ids}) != signature({"span": ids.flip(0)})
    assert signature(Tokens.of(torch.zeros(1, 2, 3))) != signature(Tokens.of(torch.zeros(1, 3, 3)))
    cond = Condition.of(label=torch.arange(2))
    assert signature(cond) == signature(Condition.of(label=torch.arange(2, 4)))
    assert signature(cond) != signature(Condition.of(text=torch.arange(2)))


@pytest.mark.parametrize(
    "make",
    [lambda v: v, lambda v: (v, None), lambda v: Output(v, aux={"a": 2 * v}), lambda v: {"sample": v}],
)
def test_results_of_every_structure_are_combined(make):
    a, b = torch.tensor([1.0, 2.0]), torch.tensor([3.0, 5.0])
    mixed = combine((-1.0, 2.0), (make(a), make(b)))
    for found, wanted in zip(tensors(mixed), tensors(make(2 * b - a)), strict=True):
        assert torch.equal(found, wanted)
    only = make(a)
    assert combine((1.0,), (only,)) is only
