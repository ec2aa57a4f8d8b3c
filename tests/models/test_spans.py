"""Runs of blocks as sites."""

from __future__ import annotations

import pytest
import torch

from frisket.core import Dispatch, FrisketError, Step, install, use_step
from frisket.models.spans import run_spans, span_sites

STEP = Step(seed=0, sample=torch.arange(1))


class Chain:
    """Appends block numbers to a tuple."""

    def sites(self):
        return span_sites(5)

    def __call__(self):
        return run_spans(lambda i, seen: (*seen, i), 0, 5, (), Dispatch(self))


def test_every_run_is_a_site():
    assert len(span_sites(5)) == 15
    assert "blocks[0:5]" in span_sites(5)
    assert "blocks[2:2]" not in span_sites(5)


def test_handlers_wrap_their_run_and_nest():
    def bracket(name):
        return lambda call, args, step: (*call((*args[0], f"<{name}")), f"{name}>")

    chain = Chain()
    with (
        use_step(STEP),
        install(chain, {"blocks[1:3]": bracket("b"), "blocks[0:4]": bracket("a"), "blocks[4:5]": bracket("c")}),
    ):
        assert chain() == ("<a", 0, "<b", 1, 2, "b>", 3, "a>", "<c", 4, "c>")
    assert chain() == (0, 1, 2, 3, 4)


def test_a_run_may_be_skipped():
    chain = Chain()
    with use_step(STEP), install(chain, {"blocks[1:4]": lambda call, args, step: args[0]}):
        assert chain() == (0, 4)


def test_overlapping_runs_are_refused_by_name():
    chain = Chain()
    skip = {"blocks[0:3]": lambda call, args, step: args[0], "blocks[2:5]": lambda call, args, step: args[0]}
    with use_step(STEP), install(chain, skip), pytest.raises(FrisketError, match=r"blocks\[0:3\] and blocks\[2:5\]"):
        chain()
