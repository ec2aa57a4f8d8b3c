"""Methods put on other systems."""

from __future__ import annotations

import pytest

from frisket.core.config import from_config, to_config
from frisket.core.errors import FrisketError
from frisket.experiments.adding import at_share, depth_of, with_objective, with_plan
from frisket.experiments.experiment import step_flops
from frisket.experiments.recipes import load_recipe
from frisket.models.plans.routing import Routing
from frisket.recipes import dit, mdlm, repa, sprint, sra, tread
from frisket.tasks.objectives.self_alignment import SelfAlignment

SMALL = dit.experiment("small")


def test_published_shares_become_blocks_of_another_depth():
    assert [at_share(8 / 28, d) for d in (28, 12, 6, 4, 3, 1)] == [7, 2, 1, 0, 0, 0]
    assert [at_share(20 / 28, d) for d in (28, 6, 3)] == [19, 3, 1]
    with pytest.raises(FrisketError, match="share"):
        at_share(0.0, 6)


@pytest.mark.parametrize("plan", [tread, sprint, None])
@pytest.mark.parametrize("objective", [repa, sra, None])
def test_plans_and_objectives_go_together_in_either_order(plan, objective):
    parts = [part for part in (plan, objective) if part]
    made, turned = SMALL, SMALL
    for part in parts:
        made = part.added(made)
    for part in reversed(parts):
        turned = part.added(turned)
    assert made == turned
    assert from_config(to_config(made)) == made
    assert (made.model.plan is not None, len(made.task.objectives)) == (plan is not None, int(objective is not None))
    assert set(made.needs) == ({"encoder"} if objective is repa else set())


def test_what_a_method_costs_is_counted():
    dense = step_flops(SMALL.fit())
    for method, low, high in ((tread, 0.5, 0.9), (sprint, 0.3, 0.9), (repa, 1.0, 2.5), (sra, 1.1, 1.6)):
        assert low < step_flops(method.added(SMALL).fit()) / dense < high, method.__name__


def test_what_cannot_be_added_is_refused():
    with pytest.raises(FrisketError, match="plans do not nest"):
        sprint.added(tread.added(SMALL))
    with pytest.raises(FrisketError, match="square patches"):
        repa.added(mdlm.experiment("tiny"))
    with pytest.raises(FrisketError, match="takes no token plan"):
        with_plan(repa.experiment("tiny").needs["encoder"], Routing())
    with pytest.raises(FrisketError, match="no objective can be added"):
        with_objective(repa.experiment("tiny").needs["encoder"], SelfAlignment())
    other = repa.encoder(SMALL.data, 2, steps=7)
    with pytest.raises(FrisketError, match=r"needs\.encoder"):
        with_objective(repa.added(SMALL), SelfAlignment(), encoder=other)
    with pytest.raises(FrisketError, match="defines no added"):
        load_recipe("dit").added(SMALL)
    assert depth_of(SMALL) == 6
    assert load_recipe("tread").added(SMALL) == tread.added(SMALL)
