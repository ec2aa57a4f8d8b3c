from dataclasses import replace

import pytest
import torch

from frisket.core.errors import FrisketError
from frisket.experiments.recipes import load_recipe
from frisket.experiments.system import build, differing, dry_run, load, model_of, refuse_another, train


@pytest.fixture(scope="module")
def experiment():
    base = load_recipe("dit").experiment("tiny")
    return replace(base, training=replace(base.training, steps=3, batch=4), study=None)


def test_training_saves_what_loading_returns_and_done_is_done(experiment, tmp_path):
    trained = train(experiment, tmp_path)
    samples = trained.sample(2, steps=2, label=1)
    assert torch.equal(load(tmp_path).sample(2, steps=2, label=1), samples)
    records = (tmp_path / "metrics.jsonl").read_bytes()
    again = train(experiment, tmp_path)
    assert torch.equal(again.sample(2, steps=2, label=1), samples)
    assert (tmp_path / "metrics.jsonl").read_bytes() == records


def test_weights_belong_to_the_seed(experiment):
    fitted = experiment.fit()
    one, same = (build(fitted)[1].model.state_dict() for _ in range(2))
    other = build(replace(fitted, training=replace(fitted.training, seed=1)))[1].model.state_dict()
    assert all(torch.equal(one[k], same[k]) for k in one)
    assert any(not torch.equal(one[k], other[k]) for k in one)


def test_another_experiment_in_the_same_folder_is_refused_by_field(experiment, tmp_path):
    train(experiment, tmp_path)
    before = (tmp_path / "config.json").read_bytes()
    with pytest.raises(FrisketError, match=r"another training\.batch"):
        train(replace(experiment, training=replace(experiment.training, batch=8)), tmp_path)
    assert (tmp_path / "config.json").read_bytes() == before
    refuse_another(tmp_path / "new", experiment)  # an empty place takes anything


def test_fields_that_differ_are_named_from_the_top():
    held = {"part": "a/b", "x": 1, "y": {"part": "c/d", "z": [1, 2]}}
    assert differing(held, held) == []
    assert differing(held, {**held, "x": 2}) == ["x"]
    assert differing(held, {**held, "y": {"part": "c/d", "z": [1, 3]}}) == ["y.z.1"]
    assert differing(held, {**held, "y": {"part": "c/e"}}) == ["y"]


def test_what_is_no_model_is_refused(tmp_path):
    (tmp_path / "file.pt").write_bytes(b"x")
    with pytest.raises(FrisketError, match="is a file"):
        model_of(tmp_path / "file.pt")
    (tmp_path / "metrics.jsonl").write_text("")
    with pytest.raises(FrisketError, match="has not finished"):
        model_of(tmp_path)
    assert model_of("owner/name") == "owner/name"


def test_a_dry_run_says_what_it_would_cost(experiment):
    said = dry_run(experiment)
    assert "1438 items of image (1, 8, 8)" in said
    assert "3 steps of 4 samples" in said
    assert "MACs" in said


def test_what_cannot_start_leaves_no_folder(experiment, tmp_path):
    with pytest.raises(FrisketError, match="resume"):
        train(experiment, tmp_path / "a", resume="elsewhere")
    wrong = replace(experiment, task=replace(experiment.task, drops={"nobody": 0.5}))
    with pytest.raises(FrisketError, match="reads no condition 'nobody'"):
        train(wrong, tmp_path / "a")
    assert not (tmp_path / "a").exists()


def test_a_quiet_run_makes_no_previews(experiment, tmp_path):
    watching = replace(experiment.training.watching, previews=3)
    shown = replace(experiment, training=replace(experiment.training, watching=watching))
    train(shown, tmp_path / "a")
    train(shown, tmp_path / "b", quiet=True)
    assert (tmp_path / "a" / "previews").is_dir()
    assert not (tmp_path / "b" / "previews").exists()
