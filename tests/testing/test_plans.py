from __future__ import annotations

from dataclasses import dataclass

import pytest
import torch
from torch import nn

from frisket.core import register
from frisket.models.plans.base import Draws, Span
from frisket.models.plans.choose import Uniform
from frisket.models.plans.routing import Routing
from frisket.testing import check_plan


@register("return/of-tests")
@dataclass(frozen=True, kw_only=True)
class Faulty:
    """A bypass with a named fault."""

    fault: str = ""

    def build(self, sizes):
        return _Faulty(self.fault)


class _Faulty(nn.Module):
    def __init__(self, fault):
        super().__init__()
        self.fault = fault

    def forward(self, end):
        out = end.over(end.before.h)
        if self.fault == "dense" and end.kept is None:
            return out + 1e-6
        if self.fault == "order" and end.inner is not None:
            return out + 1e-3 * end.inner.h[:, :1]
        if self.fault == "rows" and end.kept is not None and end.kept.rows is not None:
            return out + torch.linspace(-1, 1, out.shape[-1])
        return out


@register("choose/of-tests")
@dataclass(frozen=True, kw_only=True)
class FaultyChoice:
    fault: str = ""

    def ids(self, tags, step, purpose, noise):
        if self.fault == "constant":
            return torch.arange(3).expand(len(step.sample), -1)
        if self.fault == "batch":
            return step.draw(purpose, (tags.n,), "uniform").roll(1, 0).argsort(1)[:, :5]
        return torch.full((len(step.sample), 2), 3)

    def counts(self, tags):
        return ((1.0, 3),)


@register("plan/of-tests")
@dataclass(frozen=True, kw_only=True)
class FaultyPlan(Draws):
    back: str = ""
    choose: str = ""

    @property
    def spans(self):
        choose = FaultyChoice(fault=self.choose) if self.choose else Uniform()
        return (Span(back=Faulty(fault=self.back), choose=choose),)


def test_sound_plans_pass():
    check_plan(Routing(low=1, high=-1))
    check_plan(FaultyPlan())


@pytest.mark.parametrize(
    ("plan", "promise"),
    [
        (FaultyPlan(back="dense"), "dense pass"),
        (FaultyPlan(back="order"), "order of its tokens"),
        (FaultyPlan(back="rows"), "skips the span"),
        (FaultyPlan(choose="constant"), "another step draws the same tokens"),
        (FaultyPlan(choose="batch"), "depend on its batch"),
        (FaultyPlan(choose="twice"), "named twice"),
    ],
)
def test_each_broken_promise_is_named(plan, promise):
    with pytest.raises(AssertionError, match=promise):
        check_plan(plan)
