"""A run's folder: what it holds, and that a finished one is not trained again."""

from __future__ import annotations

import json
import re
import shutil

import pytest

from frisket.core import FrisketError
from frisket.core.files import load_tensors
from frisket.experiments.run import read_metrics
from run_folders import DIT, MDLM, frisket, pictures, refused

OUTSIDE = re.compile(r"""(?:src|href)\s*=\s*["']?\s*(?:https?:)?//|url\(\s*["']?https?:|@import""", re.IGNORECASE)


def held(folder):
    return json.loads((folder / "report.json").read_text())


@pytest.mark.parametrize("run", ["dit_run", "mdlm_run"])
def test_a_run_leaves_a_model_and_a_report_with_everything_inside(run, request):
    folder = request.getfixturevalue(run)
    assert {f.name for f in (folder / "model").iterdir()} == {"config.json", "model.safetensors", "README.md"}
    page = (folder / "report.html").read_text()
    assert not OUTSIDE.search(page)
    assert "<html" in page
    assert "held_out_loss" in held(folder)["results"]
    assert held(folder)["command"].startswith("frisket run ")


def test_the_reports_show_what_each_kind_of_data_calls_for(dit_run, mdlm_run):
    metrics = held(dit_run)["results"]["samples"]["metrics"]
    assert metrics["class_accuracy"]["floor"] > 0.9
    assert len([s for s in held(dit_run)["sections"] if s["figures"]]) >= 4
    found = held(mdlm_run)["results"]["likelihood"]
    assert found["baselines"]["bigram"] < found["baselines"]["unigram"]
    assert found["bits"]["low"] <= found["bits"]["value"] <= found["bits"]["high"]
    assert any(s["title"] == "Filled in" and s["samples"] for s in held(mdlm_run)["sections"])


def test_a_text_is_filled_in_between_the_brackets_only(mdlm_run):
    section = next(s for s in held(mdlm_run)["sections"] if s["title"] == "Filled in")
    texts = [text for _, text in section["samples"]]
    for original, made in zip(texts[::2], texts[1::2], strict=True):
        assert original.split("[")[0] == made.split("[")[0]
        assert original.split("]")[1] == made.split("]")[1]


def test_a_finished_folder_is_reported_again_and_not_trained(dit_run, tmp_path):
    folder = tmp_path / "dit"
    shutil.copytree(dit_run, folder)
    before, weights = held(folder), load_tensors(folder / "model" / "model.safetensors")
    records, state = read_metrics(folder), (folder / "step-00000003" / "state.json").stat().st_mtime_ns
    (folder / "report.json").unlink()
    assert frisket("run", "dit", *DIT, "--out", folder) == 0
    assert held(folder)["results"] == before["results"]
    assert read_metrics(folder) == records
    assert (folder / "step-00000003" / "state.json").stat().st_mtime_ns == state
    again = load_tensors(folder / "model" / "model.safetensors")
    assert all((again[k] == v).all() for k, v in weights.items())


def test_pictures_without_classes_go_all_the_way(tmp_path):
    folder = pictures(tmp_path / "pictures", classes=1, each=20, flat=True)
    words = ["run", "dit", *DIT, "--data", f"imagefolder:{folder}", "--data.size", 16]
    assert frisket(*words, "--data.holdout", 2, "--out", tmp_path / "run") == 0
    assert set(held(tmp_path / "run")["results"]["samples"]["metrics"]) == {"kid", "precision", "recall"}
    assert held(tmp_path / "run")["config"]["model"]["doors"] == []
    assert frisket(*words, "--out", tmp_path / "few") == 0
    few = held(tmp_path / "few")
    assert "samples" not in few["results"]
    assert any("2 held-out images are too few" in section["text"] for section in few["sections"])


def test_text_of_ones_own_goes_all_the_way(tmp_path):
    (tmp_path / "mine.txt").write_text("the cat sat on the mat. " * 60)
    assert frisket("run", "mdlm", *MDLM, "--data", f"text:{tmp_path / 'mine.txt'}", "--out", tmp_path / "run") == 0
    assert held(tmp_path / "run")["config"]["codec"]["alphabet"] == " .acehmnost"


def test_a_folder_without_records_is_no_run(tmp_path):
    with pytest.raises(FrisketError, match="is no run"):
        read_metrics(tmp_path)


def test_another_config_in_the_same_folder_is_refused_by_field(dit_run, capsys):
    said = refused(capsys, "run", "dit", *DIT, "--model.depth", 3, "--process.path", "cosine", "--out", dit_run)
    assert "process.path, model.blocks;" in said
    said = refused(capsys, "run", "dit", *DIT, "--seed", 1, "--out", dit_run)
    assert "another training.seed;" in said
