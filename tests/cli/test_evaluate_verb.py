"""`frisket evaluate` prints values, intervals and floors."""

from __future__ import annotations

import json

from run_folders import frisket, refused


def test_images_are_scored_with_floors(dit_run, tmp_path, capsys):
    assert frisket("evaluate", dit_run, "--n", 8, "--out", tmp_path / "a.json") == 0
    said = capsys.readouterr().out
    assert "held-out loss" in said
    assert "Frechet distance" in said
    found = json.loads((tmp_path / "a.json").read_text())
    metrics = found["samples"]["metrics"].values()
    assert said.count("floor") == len(metrics) >= 5
    assert all(isinstance(m["floor"], float) for m in metrics)
    assert found["held_out_loss"]["value"] > 0


def test_text_has_its_bound(mdlm_run, capsys):
    assert frisket("evaluate", mdlm_run, "--n", 4) == 0
    said = capsys.readouterr().out
    assert "bits an element (bound)" in said
    assert "floor" in said


def test_a_bare_model_needs_to_be_told_its_data(dit_run, capsys):
    assert "give --data" in refused(capsys, "evaluate", dit_run / "model", "--n", 4)
    assert frisket("evaluate", dit_run / "model", "--n", 8, "--data", "digits") == 0


def test_data_that_do_not_fit_are_one_line(dit_run, capsys):
    assert "unknown data 'digts'; did you mean 'digits'" in refused(capsys, "evaluate", dit_run, "--data", "digts")
    refused(capsys, "evaluate", dit_run, "--n", 4, "--data", "scenes")
    assert "n = 0" in refused(capsys, "evaluate", dit_run, "--n", 0)
