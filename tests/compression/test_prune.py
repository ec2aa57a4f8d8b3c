"""From scores to edits: exact counts, scopes, and preparations that are functions of their arguments."""

from __future__ import annotations

import pytest
import torch
from small_models import built, pipeline

from frisket.compression.depth import RemoveBlocks
from frisket.compression.importance import Magnitude, Random
from frisket.compression.prune import PruneBlocks, PruneUnits, lowest_units
from frisket.compression.width import units_of
from frisket.core import FrisketError, from_config, to_config
from frisket.data.digits import Digits
from frisket.models.count import count_parameters

SCORES = {
    "block[0].attn.attend": torch.tensor([4.0, 3.0]), "block[1].attn.attend": torch.tensor([1.0, 2.0]),
    "block[0].ffn.hidden": torch.tensor([5.0, 1.0, 1.0, 7.0]),
}  # fmt: skip


def gone(scores, shares, scope):
    return {site: units.tolist() for site, units in lowest_units(scores, shares, scope).items()}


def test_the_lowest_go_over_the_model_or_in_each_branch():
    shares = {"heads": 0.5, "hidden": 0.25}
    assert gone(SCORES, shares, "global") == {
        "block[0].attn.attend": [], "block[1].attn.attend": [0, 1], "block[0].ffn.hidden": [2],
    }  # fmt: skip
    assert gone(SCORES, shares, "local") == {
        "block[0].attn.attend": [1], "block[1].attn.attend": [0], "block[0].ffn.hidden": [2],
    }  # fmt: skip
    assert not any(gone(SCORES, {"heads": 0.0, "hidden": 0.0}, "global").values())


@pytest.mark.parametrize("share", [-0.1, 1.0])
def test_shares_that_make_no_sense_are_refused(share):
    with pytest.raises(FrisketError, match="share of heads"):
        lowest_units(SCORES, {"heads": share}, "global")


def test_blocks_are_pruned_by_a_ranking_and_the_seed():
    by_chance = PruneBlocks(by=Random(), remove=2)
    first, again, other = (by_chance.apply(pipeline(), Digits(), {}, seed) for seed in (0, 0, 3))
    assert first.model.edits == again.model.edits != other.model.edits
    assert len(first.model.blocks) == 2
    assert isinstance(first.model.edits[0], RemoveBlocks)
    assert from_config(to_config(by_chance)) == by_chance
    with pytest.raises(FrisketError, match=r"prepare\.remove"):
        PruneBlocks(remove=4).apply(pipeline(), Digits(), {}, 0)


@pytest.mark.parametrize("scope", ["local", "global"])
def test_all_rankings_leave_the_same_number_of_parameters(scope):
    left = set()
    for ranking in (Random(), Magnitude()):
        pruned = PruneUnits(by=ranking, heads=0.25, hidden=0.5, scope=scope).apply(pipeline(), Digits(), {}, 0)
        assert sum(n for s, n in units_of(pruned.model).items() if s.endswith("attend")) == 12
        assert sum(n for s, n in units_of(pruned.model).items() if s.endswith("hidden")) == 64
        left.add(count_parameters(pruned.model))
        assert pruned.sample(1, label=0).isfinite().all()
    assert len(left) == 1
    assert left.pop() == count_parameters(built()) - 4 * (4 * 16 * 4 + 3 * 4) - 64 * (2 * 16 + 1)
