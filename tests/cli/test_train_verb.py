"""`frisket train`, on the recipe's data and on one's own."""

from __future__ import annotations

from frisket.cli.targets import load_experiment
from frisket.experiments.system import load
from run_folders import DIT, frisket, pictures, refused


def test_pictures_of_ones_own_with_their_classes(tmp_path, capsys):
    data = pictures(tmp_path / "pictures", classes=3, each=6, size=(20, 24))
    words = ["train", "dit", *DIT, "--data", f"imagefolder:{data}", "--data.size", 16, "--out", tmp_path / "run"]
    assert frisket(*words) == 0
    assert "sample it: frisket sample" in capsys.readouterr().out
    pipeline = load(tmp_path / "run")
    assert pipeline.info.classes == ("class-0", "class-1", "class-2")
    assert pipeline.sample(2, steps=1, label="class-2").shape == (2, 3, 16, 16)
    assert load_experiment(str(tmp_path / "run")).data.size == 16
    assert not (tmp_path / "run" / "report.html").exists()
    assert (
        frisket("sample", tmp_path / "run", "--n", 2, "--steps", 1, "--class", "class-1", "--out", tmp_path / "a.png")
        == 0
    )
    assert "unknown class 'class-7'" in refused(capsys, "sample", tmp_path / "run", "--class", "class-7")


def test_a_trained_folder_is_gone_on_with_by_run(tmp_path):
    out = ["--out", tmp_path / "run", "--training.steps", "2"]
    assert frisket("train", "dit", *DIT, *out) == 0
    state = (tmp_path / "run" / "step-00000002" / "state.json").stat().st_mtime_ns
    assert frisket("train", "dit", *DIT, *out) == 0
    assert (tmp_path / "run" / "step-00000002" / "state.json").stat().st_mtime_ns == state
    assert frisket("train", "dit", *DIT, *out, "--resume", "never") == 2


def test_a_run_stopped_by_time_goes_on(tmp_path):
    out = ["--out", tmp_path / "run"]
    assert frisket("train", "dit", *DIT, *out, "--max-time", 0) == 0
    assert [p.name for p in (tmp_path / "run").glob("step-*")] == ["step-00000001"]
    assert frisket("train", "dit", *DIT, *out) == 0
    assert (tmp_path / "run" / "step-00000003").is_dir()
