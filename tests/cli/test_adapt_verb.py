"""`frisket adapt`: a checkpoint and data in, a plain model and an adapter out."""

from __future__ import annotations

from frisket.experiments.system import load
from run_folders import frisket, refused

FEW = ["--phases.0.training.steps", 2, "--phases.0.training.batch", 4]


def test_adapting_a_run_on_its_own_data(dit_run, tmp_path, capsys):
    out = tmp_path / "out"
    assert frisket("adapt", dit_run, "--with", "lora", "--phases.0.edits.0.rank", 2, *FEW, "--out", out) == 0
    said = capsys.readouterr().out
    assert f"sample it: frisket sample {out}" in said
    assert f"{out / 'adapter-default'}" in said
    assert load(out).sample(1, steps=1, label=3).shape == (1, 1, 8, 8)
    assert frisket("sample", out, "--n", 2, "--steps", 1, "--out", tmp_path / "a.png") == 0


def test_help_shows_the_fields_of_a_method(capsys):
    assert frisket("adapt", "--with", "mc-vton", "--help") == 0
    said = capsys.readouterr().out
    assert "--phases.1.task.substeps" in said
    assert "--phases.0.training.steps" in said


def test_refusals(dit_run, tmp_path, capsys):
    assert "unknown adaptation 'lorra'; did you mean 'lora'?" in refused(capsys, "adapt", dit_run, "--with", "lorra")
    assert "unknown adaptation 'dit'" in refused(capsys, "adapt", dit_run, "--with", "dit")
    out = ["--out", tmp_path / "out"]
    assert "must be image of shape (1, 8, 8)" in refused(capsys, "adapt", dit_run, "--data", "figures", *out)
    assert "--phases.0.rank" in refused(capsys, "adapt", dit_run, "--phases.0.rank", 3, *out)
    assert not (tmp_path / "out").exists()
