"""`frisket shrink` on a run folder and on a bare model."""

from __future__ import annotations

import json

from frisket.cli.shrink_verb import LR, Shrink, learning_rate
from frisket.sampling.pipeline import Pipeline
from run_folders import frisket, refused

QUICK = ["--search", 2, "--recovery", 2, "--batch", 2, "--n", 4, "--through", 1]


def test_a_run_is_shrunk_reported_and_sampled(dit_run, tmp_path, capsys):
    out = tmp_path / "small"
    assert frisket("shrink", dit_run, "--with", "tinyfusion", *QUICK, "--out", out) == 0
    said = capsys.readouterr().out
    assert "held-out loss" in said
    assert "recovered" in said
    made, full = Pipeline.from_pretrained(out / "model"), Pipeline.from_pretrained(dit_run / "model")
    assert len(made.model.blocks) == len(full.model.blocks) // 2
    results = json.loads((out / "report.json").read_text())["results"]["variants"]
    assert [v["name"] for v in results] == ["unpruned", "tinyfusion", "interval", "magnitude", "random"]
    assert (out / "report.html").is_file()
    assert frisket("sample", out, "--n", 1, "--out", tmp_path / "samples.png") == 0


def test_a_bare_model_takes_its_data_by_name(dit_run, tmp_path, capsys):
    words = ["shrink", dit_run / "model", "--with", "ecodiff", *QUICK, "--recovery", 0, "--out", tmp_path / "small"]
    assert "give --data" in refused(capsys, *words)
    assert frisket(*words, "--data", "digits") == 0
    assert Pipeline.from_pretrained(tmp_path / "small" / "model").model.edits


def test_wrong_words_are_one_line(dit_run, mdlm_run, tmp_path, capsys):
    assert "did you mean 'ecodiff'" in refused(capsys, "shrink", dit_run, "--with", "ecodif", "--out", tmp_path / "a")
    said = refused(capsys, "shrink", mdlm_run, "--with", "ecodiff", "--out", tmp_path / "a")
    assert "continuous states" in said
    refused(capsys, "shrink", tmp_path, "--data", "digits", "--out", tmp_path / "a")


def test_the_rate_is_half_of_the_runs_own(dit_run):
    assert learning_rate(Shrink(checkpoint=str(dit_run), lr=0.5)) == 0.5
    assert learning_rate(Shrink(checkpoint=str(dit_run))) == 1e-3
    assert learning_rate(Shrink(checkpoint=str(dit_run / "model"))) == LR
