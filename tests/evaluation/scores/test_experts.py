"""Measures of how experts are used: closed forms, a network without experts, routers whose rule is known."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace

import pytest
import torch
from small_models import pipeline

from frisket.core import FrisketError
from frisket.data.digits import Digits
from frisket.evaluation.scores.base import score_of
from frisket.evaluation.scores.experts import ExpertClasses, ExpertUse, evenness, information
from frisket.models.block import repeat
from frisket.models.layers.experts import Experts
from frisket.models.layers.ffn import SwiGLU
from frisket.models.layers.routers import Routed
from frisket.recipes.dit_moe import mixed
from frisket.testing.backbones import stir


def test_closed_forms():
    assert evenness(torch.tensor([3.0, 3.0, 3.0])) == pytest.approx(1.0)
    assert evenness(torch.tensor([9.0, 0.0])) == evenness(torch.tensor([9.0])) == 0.0
    assert information(torch.eye(4)) == pytest.approx(2.0)
    assert information(torch.ones(3, 4)) == pytest.approx(0.0, abs=1e-9)
    assert information(torch.tensor([[2.0, 0.0], [0.0, 2.0]])) == pytest.approx(1.0)


def test_a_dense_network_is_one_expert():
    assert set(ExpertUse().take(pipeline(), Digits(), 4, 0).values()) == {0.0}
    assert ExpertClasses().take(pipeline(), Digits(), 4, 0) == {"expert_by_class": 0.0}
    assert score_of("expert_entropy") is ExpertUse


def sparse():
    pipe = pipeline()
    config = replace(pipe.model.config, blocks=repeat(mixed(Experts(experts=4, expert=SwiGLU(ratio=1.0))), 2))
    pipe.model = config.build()
    stir(pipe.model, 0.2)
    return pipe


def test_numbers_are_in_their_ranges_and_the_same_twice():
    pipe = sparse()
    was = pipe.model.training
    found = ExpertUse(times=3).take(pipe, Digits(), 6, 0)
    assert 0 < found["expert_entropy"] <= 1
    assert 0 < found["expert_by_place"] <= 2
    assert 0 <= found["expert_by_time"] <= 2
    assert ExpertUse(times=3).take(pipe, Digits(), 6, 0) == found
    assert pipe.model.training == was
    assert 0 <= ExpertClasses(times=2).take(pipe, Digits(), 6, 0)["expert_by_class"] <= 2


def test_experts_chosen_by_place_alone_tell_the_place_and_not_the_time():
    pipe = sparse()
    for block in pipe.model.blocks:
        router = block.branches["ffn"].mixer.router
        router.active = 1

        def by_place(h, router=router):
            ids = torch.arange(h.shape[1]).remainder(4).expand(len(h), -1).unsqueeze(-1)
            scores = torch.nn.functional.one_hot(ids.squeeze(-1), 4).float()

            return Routed(scores, ids, torch.ones_like(ids, dtype=h.dtype))

        router.forward = by_place
    found = ExpertUse(times=2).take(pipe, Digits(), 4, 0)
    assert found["expert_by_place"] == pytest.approx(2.0)
    assert found["expert_by_time"] == pytest.approx(0.0, abs=1e-6)
    assert found["expert_entropy"] == pytest.approx(1.0)
    assert ExpertClasses(times=2).take(pipe, Digits(), 4, 0)["expert_by_class"] == pytest.approx(0.0, abs=1e-6)


def test_classes_are_asked_for():
    unlabelled = SimpleNamespace(open=lambda split: SimpleNamespace(info=SimpleNamespace(classes=())))
    with pytest.raises(FrisketError, match="classes of the data"):
        ExpertClasses().take(sparse(), unlabelled, 4, 0)
