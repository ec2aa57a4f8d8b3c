"""Bad input and full disks through the command line: one line that names what is wrong, exit code 2, files as before."""

from __future__ import annotations

import json
import os
import resource
import shutil
import subprocess
from contextlib import contextmanager

import numpy as np
import pytest
import torch

from frisket.core.files import load_tensors, save_tensors, write_json
from run_folders import DIT, frisket, pictures, refused


def contents(folder):
    return {str(p.relative_to(folder)): p.read_bytes() for p in sorted(folder.rglob("*")) if p.is_file()}


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--data", "imagefolder:none"], "'none' does not exist"),
        (["--data", "imagefolder:empty"], "'empty' holds no file ending in"),
        (["--data", "wds:empty"], "'empty' holds no file ending in .tar"),
        (["--data", "latents:empty"], "holds no whole index.json"),
        (["--data", "imagefolder:photos", "--data.channels", 2], "1 (grey), 3 (colour) or 4"),
        (["--data", "npz:channels.npz"], "has 2 channels in shape (20, 2, 8, 8); 1, 3 or 4 are wanted"),
        (["--data", "npz:sides.npz"], "a divisor of each axis of a state of size (7, 7)"),
        (["--data", "npz:nan.npz"], "values that are not finite"),
        (["--data", "npz:huge.npz"], "values that are not finite in 32 bits"),
        (["--data", "npz:negative.npz"], "20 whole numbers from 0 up, below 10,000,000"),
        (["--data", "npz:classes.npz"], "20 whole numbers from 0 up, below 10,000,000"),
    ],
)
def test_data_that_cannot_be_learnt_from(words, said, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "empty").mkdir()
    pictures(tmp_path / "photos", each=6)
    x = np.zeros((20, 1, 8, 8), np.float32)
    np.savez("channels.npz", x=x.repeat(2, 1))
    np.savez("sides.npz", x=x[..., :7, :7])
    np.savez("nan.npz", x=np.where(np.arange(20).reshape(20, 1, 1, 1) == 13, np.nan, x))
    np.savez("huge.npz", x=np.full((20, 1, 8, 8), 1e300))
    np.savez("negative.npz", x=x, label=np.arange(20) - 1)
    np.savez("classes.npz", x=x, label=np.arange(20) + 2**62)
    before = contents(tmp_path)
    assert said in refused(capsys, "train", "dit", *DIT, *words, "--out", "run")
    assert contents(tmp_path) == before


def test_a_run_that_meets_no_number_names_step_items_and_checkpoint(tmp_path, capsys):
    """One item so large that its square is infinite: finite in the file, and not in the loss."""
    x = np.random.default_rng(0).random((60, 1, 8, 8), np.float32)
    x[50] = 1e30
    np.savez(tmp_path / "x.npz", x=x)
    words = [*DIT, "--data", f"npz:{tmp_path / 'x.npz'}", "--training.steps", 30, "--training.saving.every", 1]
    capsys.readouterr()
    assert frisket("train", "dit", *words, "--out", tmp_path / "run") == 2
    line = capsys.readouterr().err.splitlines()[-1]
    step = int(line.split("at step ")[1].split(",")[0])
    first = (step - 1) * 8
    assert f"whose batch held samples {first}..{first + 7}" in line
    items = [int(n) for n in line.split("(items ")[1].split(" of the training set")[0].split(", ")]
    assert len(items) == 8
    assert 45 in items  # the 50th, without the five before it that are held out
    kept = sorted((tmp_path / "run").glob("step-*"))
    assert (step == 1) == (not kept)
    assert ("there is no checkpoint yet" if not kept else f"the last good checkpoint is {kept[-1]}") in line
    if kept:
        assert kept[-1].name == f"step-{step - 1:08d}"
        assert all(bool(v.isfinite().all()) for v in load_tensors(kept[-1] / "training.safetensors").values())


def test_a_checkpoint_of_another_architecture_is_refused(dit_run, tmp_path, capsys):
    wide = [*DIT, "--model.width", 32, "--out", tmp_path / "wide"]
    said = refused(capsys, "train", "dit", *wide, "--resume", dit_run / "step-00000003")
    assert "the checkpoint is of another model" in said
    assert "of another shape ['model." in said
    deep = [*DIT, "--model.depth", 3, "--out", tmp_path / "deep"]
    assert "missing ['model.blocks.2" in refused(capsys, "train", "dit", *deep, "--resume", dit_run / "step-00000003")


@pytest.mark.parametrize("name", ["training.safetensors", "state.json"])
def test_a_cut_checkpoint_is_named_and_left(name, dit_run, tmp_path, capsys):
    run = tmp_path / "run"
    shutil.copytree(dit_run, run)
    file = run / "step-00000003" / name
    file.write_bytes(file.read_bytes()[: file.stat().st_size // 2])
    before = contents(run)
    assert f"step-00000003/{name} is not" in refused(capsys, "train", "dit", *DIT, "--out", run)
    assert contents(run) == before


@pytest.mark.parametrize("make", ["cut", "pickle", "other"])
def test_weights_that_are_none_of_this_model(make, dit_run, tmp_path, capsys):
    model = tmp_path / "model"
    shutil.copytree(dit_run / "model", model)
    file = model / "model.safetensors"
    if make == "cut":
        file.write_bytes(file.read_bytes()[:-100])
    elif make == "pickle":
        torch.save({"w": torch.zeros(2)}, file)
    else:
        save_tensors(file, {"w": torch.zeros(2)})
    wanted = "does not fit the model" if make == "other" else "is not a whole safetensors file"
    assert wanted in refused(capsys, "sample", model, "--out", tmp_path / "a.png")
    assert not (tmp_path / "a.png").exists()


@contextmanager
def largest_file(size):
    """No file may grow beyond `size` bytes: the system refuses the write, as a full disk would."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


@contextmanager
def small_disk(folder, size):
    """A file system of `size` bytes at `folder`."""
    done = subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={size}", "none", str(folder)], capture_output=True)
    if done.returncode:
        pytest.skip("a file system can only be mounted by root")
    try:
        yield
    finally:
        subprocess.run(["umount", "-l", str(folder)], check=True)


LONGER = [*DIT, "--training.steps", 6, "--training.saving.every", 3]


def test_a_write_that_is_refused_leaves_the_last_checkpoint(tmp_path, capsys):
    run = tmp_path / "run"
    assert frisket("train", "dit", *LONGER, "--max-time", 0, "--out", run) == 0
    before = contents(run / "step-00000001")
    capsys.readouterr()
    with largest_file(60_000):
        assert frisket("train", "dit", *LONGER, "--out", run) == 2
    line = capsys.readouterr().err.splitlines()[-1]
    assert "step-00000003 could not be written" in line
    assert "File too large" in line
    assert [p.name for p in run.glob("*step-*")] == ["step-00000001"]
    assert contents(run / "step-00000001") == before
    assert not list(run.glob(".*"))
    assert frisket("train", "dit", *LONGER, "--out", run) == 0


def test_a_full_disk_leaves_the_last_checkpoint_and_the_run_goes_on_with_room(tmp_path, capsys):
    run = tmp_path / "run"
    run.mkdir()
    with small_disk(run, "4m"):
        assert frisket("train", "dit", *LONGER, "--max-time", 0, "--out", run) == 0
        before = contents(run / "step-00000001")
        free = os.statvfs(run)
        (run / "ballast").write_bytes(b"x" * (free.f_bavail * free.f_bsize - 60_000))
        capsys.readouterr()
        assert frisket("train", "dit", *LONGER, "--out", run) == 2
        line = capsys.readouterr().err.splitlines()[-1]
        assert line.startswith("frisket train: ")
        assert "No space left on device" in line
        assert contents(run / "step-00000001") == before
        (run / "ballast").unlink()
        assert frisket("train", "dit", *LONGER, "--out", run) == 0
        records = [json.loads(r)["step"] for r in (run / "metrics.jsonl").read_text().splitlines()]
        assert records == sorted(set(records))


def test_samples_that_find_no_room_leave_what_was_there(dit_run, tmp_path, capsys):
    for name in ("a.png", "a.npz"):
        (tmp_path / name).write_bytes(b"old")
        with largest_file(200):
            assert frisket("sample", dit_run, "--n", 4, "--steps", 1, "--out", tmp_path / name) == 2
        assert "File too large" in capsys.readouterr().err.splitlines()[-1]
        assert (tmp_path / name).read_bytes() == b"old"


def test_a_config_that_lost_its_fields_is_no_model(dit_run, tmp_path, capsys):
    model = tmp_path / "model"
    shutil.copytree(dit_run / "model", model)
    write_json(model / "config.json", {"format": "frisket/1"})
    assert "lacks 'version'" in refused(capsys, "sample", model)
    (model / "config.json").unlink()
    assert "config.json does not exist" in refused(capsys, "sample", model)
