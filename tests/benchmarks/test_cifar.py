"""The arms are one system with one method each, and every arm comes back with its numbers and a sheet."""

from __future__ import annotations

import pytest
from benchmarks.cifar import METHODS, PROBE, arms, measure, of_steps, plain

from frisket.data.digits import Digits
from frisket.evaluation.features.classifier import Classifier
from frisket.models.backbones.transformer import Transformer

BASE = plain(Digits(), width=16, depth=3, batch=4)


def test_every_arm_is_the_system_with_one_method():
    found = arms(BASE)
    assert set(found) == {"dense", "mdt", *METHODS}
    for name, arm in found.items():
        assert (arm.data, arm.process, arm.sampler, arm.training) == (
            BASE.data, BASE.process, BASE.sampler, BASE.training,
        )  # fmt: skip
        model = arm.model
        assert isinstance(model, Transformer)
        assert (model.width, model.heads, len(model.blocks)) == (16, 1, 3)
        assert (name == "dense") == ((arm.model, arm.task) == (BASE.model, BASE.task))


def test_of_steps_changes_the_length_and_ends_the_schedule_there():
    training = of_steps(BASE, 100).training
    assert training is not None
    assert training.steps == 100
    assert training.schedule.factor(99, 100) < 0.01 < training.schedule.factor(50, 100)


@pytest.mark.parametrize("name", ["sra"])
def test_an_arm_is_measured(tmp_path, monkeypatch, name):
    monkeypatch.setattr("benchmarks.cifar.arms", lambda base: {name: arms(base)[name]})
    (row,) = measure(BASE, 0.0, 32, Classifier(width=4, steps=10), tmp_path, tmp_path / "sheets")
    assert row["steps"] == PROBE
    assert row["step_seconds"] > 0
    assert row["frechet"]["value"] > 0
    assert row["loss"] > 0
    assert (tmp_path / "sheets" / f"{name}.png").is_file()
