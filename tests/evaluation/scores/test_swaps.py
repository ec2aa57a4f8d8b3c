"""The score of swaps, on made-up pictures whose score is known."""

from __future__ import annotations

import pytest
import torch

from frisket.data.figures.source import Figures
from frisket.evaluation.scores import swaps
from frisket.evaluation.scores.base import score_of
from frisket.experiments.system import build
from frisket.recipes import mc_vton
from frisket.testing import check_config

DATA, N = Figures(), 6
PIPELINE = build(mc_vton.base("tiny").fit())[1]


def taken(monkeypatch, make):
    monkeypatch.setattr(swaps, "filled", lambda pipeline, batch, seed: make(batch))
    monkeypatch.setattr(swaps, "forwards", lambda pipeline, batch: 24)
    return swaps.Swaps(candidates=5).take(PIPELINE, DATA, N, 0)


def test_the_truth_is_found_every_time(monkeypatch):
    check_config(swaps.Swaps())
    found = taken(monkeypatch, lambda batch: batch["x"])
    assert found["retrieval"] == 1.0
    assert found["swap_psnr"] == pytest.approx(100.0)
    assert found["outside"] == 0.0
    assert found["forwards"] == 24.0
    assert set(found) == set(swaps.Swaps.gives)
    assert score_of("swap_gain") is swaps.Swaps


def test_a_floor_gains_nothing(monkeypatch):
    assert taken(monkeypatch, swaps.pasted)["swap_gain"] <= 0
    source = DATA.open("test")
    assert taken(monkeypatch, lambda batch: swaps.average(source, batch))["swap_gain"] <= 0


def test_a_picture_that_ignores_the_garment_retrieves_by_chance(monkeypatch):
    monkeypatch.setattr(swaps, "filled", lambda pipeline, batch, seed: batch["person"])
    monkeypatch.setattr(swaps, "forwards", lambda pipeline, batch: 1)
    assert swaps.Swaps(candidates=10).take(PIPELINE, DATA, 40, 0)["retrieval"] < 0.4


def test_a_change_outside_is_seen(monkeypatch):
    assert taken(monkeypatch, lambda batch: batch["x"] + 0.25)["outside"] == pytest.approx(0.25)


def test_distance_to_the_truth_lowers_it(monkeypatch):
    noise = torch.randn(N, 3, 24, 16, generator=torch.Generator().manual_seed(0))
    near, far = (taken(monkeypatch, lambda batch, k=k: batch["x"] + k * noise)["swap_psnr"] for k in (0.01, 0.1))
    assert near == pytest.approx(far + 20, abs=0.1)
