"""Taps on whole sequences, on spans, beside conditions in sequence."""

from __future__ import annotations

import pytest
import torch
from aligning import BATCH, SIX, aligned, at, seen_by
from small_models import pipeline

from frisket.core.errors import FrisketError
from frisket.models.plans.choose import Cells, Skip, Uniform
from frisket.models.plans.fusion import Fused
from frisket.models.plans.routing import Routing
from frisket.models.tokens import Tokens
from frisket.tasks.objectives.alignment import Alignment
from frisket.tasks.objectives.taps import check_sites, number_of, same_tokens, site_of, state_tokens, token_count

N = 16


def test_blocks_are_named_from_either_end():
    model = pipeline(config=SIX).model
    assert [site_of(model, i, "block") for i in (0, 5, -1, -6)] == ["block[0]", "block[5]", "block[5]", "block[0]"]
    assert number_of("block[12]") == 12
    for wrong in (6, -7):
        with pytest.raises(FrisketError, match=f"objective.block = {wrong}"):
            site_of(model, wrong, "objective.block")
    assert token_count(pipeline(config=SIX)) == N


def test_a_model_that_does_not_describe_its_tokens_is_refused():
    own = pipeline(config=SIX)
    own.model = torch.nn.Linear(2, 2)
    with pytest.raises(FrisketError, match="Linear does not describe its tokens"):
        token_count(own)


def test_what_stands_behind_the_state_is_left_out():
    tokens = Tokens.of(torch.arange(2 * 5 * 1.0).reshape(2, 5, 1))
    h, ids = state_tokens(tokens, 3)
    assert ids is None
    assert torch.equal(h, tokens.h[:, :3])
    h, ids = state_tokens(tokens.take(torch.tensor([[0, 2, 3, 4], [1, 2, 3, 4]])), 3)
    assert ids.tolist() == [[0, 2], [1, 2]]
    assert torch.equal(h[..., 0], torch.tensor([[0.0, 2.0], [6.0, 7.0]]))
    whole = torch.arange(6.0).reshape(2, 3, 1)
    assert same_tokens(whole, None) is whole
    assert same_tokens(whole, ids)[..., 0].tolist() == [[0, 2], [4, 5]]


class Read:
    """An objective that only reads."""

    def __init__(self, *sites):
        self.sites = sites

    def build(self, pipeline, needs):
        return self

    def loss(self, seen):
        return {}


@pytest.mark.parametrize("plan", [Routing(low=2, high=-1), Fused(low=2, high=-1, choose=Cells())])
def test_inside_a_span_a_tap_gives_the_kept_tokens_and_says_which(plan):
    task = aligned(Read("block[1]", "block[3]"), plan=plan)
    seen = seen_by(task)
    kept = next(iter(task.keep(seen.corrupted, task.chooses, at()).values()))
    h, ids = state_tokens(seen.taps["block[1]"], N)
    assert ids is None
    assert h.shape == (4, N, 16)
    h, ids = state_tokens(seen.taps["block[3]"], N)
    assert torch.equal(ids, kept)
    assert h.shape == (*kept.shape, 16)


def test_a_block_that_whole_samples_skip_cannot_be_read():
    plan = Fused(low=2, high=-1, choose=Skip(inner=Cells(), rate=0.1))
    with pytest.raises(
        FrisketError, match=r"reads block\[2\], inside the span 'middle' \(blocks 2 to 4\), which whole"
    ):
        aligned(Read("block[2]"), plan=plan)
    aligned(Read("block[1]"), plan=plan)
    aligned(Read("block[5]"), plan=plan)
    aligned(Read("block[2]"), plan=plan, choose={"middle": Cells()})
    with pytest.raises(FrisketError, match="whole samples skip"):
        aligned(Read("block[0]"), choose={"blocks[0:1]": Skip()})
    check_sites(pipeline(config=SIX), ["block[0]"], {"blocks[:]": Uniform()})


def test_alignment_in_a_route_compares_the_tokens_that_are_there():
    from aligning import ToldTarget

    features = torch.randn(1, N, 5, generator=torch.Generator().manual_seed(1))
    task = aligned(Alignment(block=3, target=ToldTarget(features)), plan=Routing(low=2, high=-1))
    seen = seen_by(task)
    found = task.objectives[0].loss(seen)["alignment"]
    h, ids = state_tokens(seen.taps["block[3]"], N)
    wanted = torch.stack([features[0][row] for row in ids])
    cosine = torch.nn.functional.cosine_similarity(task.objectives[0].projector(h), wanted, dim=-1).mean(1)
    torch.testing.assert_close(found, -0.5 * cosine)
    assert set(task(BATCH, at())) == {"denoise", "alignment"}
