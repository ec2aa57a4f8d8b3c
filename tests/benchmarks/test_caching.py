"""The benchmark of caches: its arithmetic, and that what it compares is the same before any cache stands."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
import torch

sys.path.insert(0, str(Path(__file__).parents[2]))

from benchmarks.cache_peers import Arm, Host, cache_dit_arms, diffusers_arms, nothing
from benchmarks.caching import SPEEDS, dense_arms, frontier, own_arms
from benchmarks.peers import CASES, ours, theirs

from frisket.core import Condition, Step, use_step


def row(family, method, compute, distance):
    return {"family": family, "method": method, "setting": "s", "compute": compute, "distance": distance}


def test_a_frontier_takes_the_best_at_a_speed_or_above():
    rows = [
        row("frisket", "a", 0.5, 0.2), row("frisket", "b", 0.25, 0.3), row("x", "y", 0.5, 0.1), row("x", "y", 0.2, 0.5),
    ]  # fmt: skip
    found = {f["speed"]: f for f in frontier(rows, "distance", lambda r: 1 / r["compute"])}
    assert list(found) == list(SPEEDS)
    assert (found[2.0]["ours"], found[2.0]["behind"]) == (0.2, ["x: y"])
    assert (found[3.0]["ours"], found[3.0]["behind"]) == (0.3, [])
    assert found[3.0]["others"] == {"x: y": 0.5}


def test_where_ours_is_never_fast_enough_all_others_are_ahead():
    found = frontier([row("x", "y", 0.2, 0.5)], "distance", lambda r: 1 / r["compute"])
    assert all(f["ours"] is None and f["behind"] == ["x: y"] for f in found)


def test_arms_have_names_of_their_own():
    arms = [*dense_arms(50), *own_arms(50), *diffusers_arms(50, [1.0] * 50), *cache_dit_arms(50)]
    assert len({arm.name for arm in arms}) == len(arms)
    assert arms[0].steps == 50
    assert {arm.family for arm in arms} == {"dense", "frisket", "diffusers", "cache-dit"}


def test_the_host_is_the_same_network_whatever_the_order_of_branches():
    case = CASES["digits"]
    model = ours(case).eval()
    host = Host(theirs(case, model).eval(), case.classes)
    x, t = torch.randn(4, *case.shape), torch.tensor([0.3, 0.3, 0.3, 0.3])
    label = torch.tensor([1, 2, 1, 2])
    cond = Condition({"label": label}, {"label": torch.tensor([False, False, True, True])})
    with torch.no_grad():
        torch.testing.assert_close(host(x, t, cond).pred, model(x, t, cond).pred, rtol=1e-4, atol=1e-4)
    assert host.time == pytest.approx(0.3)


def test_hooks_of_an_arm_stay_on_its_own_copy():
    case = CASES["digits"]
    plain = Host(theirs(case, ours(case)).eval(), case.classes)
    arm = next(a for a in diffusers_arms(4, [1.0] * 4) if a.method == "TaylorSeer")
    own = arm.host(plain)
    assert any("_diffusers_hook" in m.__dict__ for m in own.modules())
    assert not any("_diffusers_hook" in m.__dict__ for m in plain.modules())
    with nothing(plain), use_step(Step(seed=0, sample=torch.arange(2))):
        assert Arm("dense", "all steps", "", 4).host(plain) is not plain
