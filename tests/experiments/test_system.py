"""From an experiment to a pipeline and back; whose folder is whose."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from frisket.core import FrisketError
from frisket.core.config import override, to_config
from frisket.experiments.recipes import load_recipe
from frisket.experiments.system import build, differing, dry_run, load, model_of, refuse_another, train


@pytest.fixture
def experiment():
    tiny = load_recipe("dit").experiment("tiny")
    for name, value in {"model.width": 16, "training.batch": 4, "training.steps": 2}.items():
        tiny = override(tiny, name, value)
    return tiny


def test_weights_come_from_the_training_seed(experiment):
    def weights(seed):
        _, pipeline, _ = build(override(experiment, "training.seed", seed).fit())
        return pipeline.model.state_dict()

    first, again, other = weights(0), weights(0), weights(1)
    assert all(torch.equal(v, again[k]) for k, v in first.items())
    assert any(not torch.equal(v, other[k]) for k, v in first.items())


def test_training_returns_what_it_saved_and_another_seed_another_model(experiment, tmp_path):
    pipeline = train(experiment, tmp_path / "a")
    saved = load(tmp_path / "a").model.state_dict()
    assert all(torch.equal(v, saved[k]) for k, v in pipeline.model.state_dict().items())
    other = train(experiment, tmp_path / "b", seed=1).model.state_dict()
    assert any(not torch.equal(v, saved[k]) for k, v in other.items())
    with pytest.raises(FrisketError, match="another training.seed;"):
        train(experiment, tmp_path / "b")


def test_a_quiet_run_makes_no_previews(experiment, tmp_path):
    shown = override(experiment, "training.watching.previews", 1)
    train(shown, tmp_path / "a")
    train(shown, tmp_path / "b", quiet=True)
    assert (tmp_path / "a" / "previews").is_dir()
    assert not (tmp_path / "b" / "previews").exists()


def test_what_cannot_start_leaves_no_folder(experiment, tmp_path):
    with pytest.raises(FrisketError, match="resume"):
        train(experiment, tmp_path / "a", resume="elsewhere")
    wrong = replace(experiment, task=replace(experiment.task, drops={"nobody": 0.5}))
    with pytest.raises(FrisketError, match="reads no condition 'nobody'"):
        train(wrong, tmp_path / "a")
    assert not (tmp_path / "a").exists()


def test_fields_that_differ_are_named(experiment, tmp_path):
    changed = override(override(experiment, "model.heads", 2), "process.path", "cosine")
    assert differing(to_config(experiment), to_config(changed)) == ["process.path", "model.heads"]
    assert differing({"part": "a", "x": [1, 2]}, {"part": "a", "x": [1, 3], "y": 0}) == ["x.1", "y"]
    assert differing({"x": [1]}, {"x": [1, 2]}) == ["x"]
    refuse_another(tmp_path, experiment)  # nobody's yet


def test_a_run_folder_stands_for_its_model(dit_run):
    assert model_of(dit_run) == dit_run / "model"
    assert model_of(dit_run / "model") == dit_run / "model"
    assert model_of("owner/name") == "owner/name"


def test_a_dry_run_says_what_it_would_cost(experiment, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    said = dry_run(experiment)
    assert "1438 items of image (1, 8, 8)" in said
    assert "2 steps of 4 samples" in said
    assert list(tmp_path.iterdir()) == []
