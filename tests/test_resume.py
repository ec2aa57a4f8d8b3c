"""A run that is killed and goes on, again and again, ends as one that was not; also at another process count."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from training_toys import Denoise, Points, files, launch, trainer

from frisket.training.parallel import Layout

ROOT = Path(__file__).parent.parent


def test_real_runs_killed_at_random_end_as_if_they_had_not_been(tmp_path):
    """Plain, with micro-batches, on a stream; killed at moments and between file operations."""
    command = [sys.executable, "-m", "benchmarks.soak", "--kills", "6", "--steps", "6", "--seed", "3", "--forked"]
    paths = os.pathsep.join(filter(None, (str(ROOT / "src"), os.environ.get("PYTHONPATH"))))
    out = ["--out", str(tmp_path / "soak.json")]
    done = subprocess.run(
        [*command, *out], cwd=ROOT, env={**os.environ, "PYTHONPATH": paths}, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr[-2000:] + done.stdout[-2000:]
    found = json.loads((tmp_path / "soak.json").read_text())
    assert found["kills"] == found["restarts"] == 6
    assert found["files_that_differ"] == 0
    assert found["bytes_compared"] > 100_000


def seen(run: Path, start: int, end: int) -> dict[int, tuple[int, float]]:
    """Item and first number of the noise of every global position in [start, end), over all processes and attempts."""
    out: dict[int, tuple[int, float]] = {}
    for file in run.parent.glob(f"{run.name}.noted-*"):
        for position, item, noise in json.loads(file.read_text()):
            assert out.setdefault(position, (item, noise)) == (item, noise), "a position was seen with other noise"
    return {p: v for p, v in out.items() if start <= p < end}


def test_another_process_count_sees_the_same_samples_with_the_same_noise(tmp_path):
    """One process is killed at step 7, two go on from step 5 and are killed at step 11, one finishes from step 10."""
    config = trainer(15, accumulate=2, layout=Layout(parallel="ddp"))
    assert launch(config, tmp_path / "run", "kill", 6)[0] == [-signal.SIGKILL]
    codes, said = launch(config, tmp_path / "run", "kill", 10, processes=2)
    assert codes == [-signal.SIGKILL] * 2, said
    assert launch(config, tmp_path / "run")[0] == [0]
    assert launch(config, tmp_path / "straight")[0] == [0]
    noted = seen(tmp_path / "straight", 0, 120)
    assert sorted(noted) == list(range(120))
    assert seen(tmp_path / "run", 0, 120) == noted
    records = [
        [json.loads(line) for line in (tmp_path / n / "metrics.jsonl").read_text().splitlines()]
        for n in ("run", "straight")
    ]
    assert [r["step"] for r in records[0]] == list(range(1, 16))
    for a, b in zip(*records, strict=True):
        assert a["loss"] == pytest.approx(b["loss"], rel=1e-5)


@pytest.mark.parametrize("changes", [{"accumulate": 3}, {"workers": 2}], ids=["accumulate", "workers"])
def test_killed_twice_it_still_ends_bit_for_bit(tmp_path, changes):
    config = trainer(12, **changes)
    for step in (3, 8):
        assert launch(config, tmp_path / "killed", "kill", step)[0] == [-signal.SIGKILL]
    config.fit(Denoise(), Points(), tmp_path / "killed")
    config.fit(Denoise(), Points(), tmp_path / "straight")
    assert files(tmp_path / "straight" / "step-00000012") == files(tmp_path / "killed" / "step-00000012")


def test_noise_is_compared_by_more_than_its_shape(tmp_path):
    """The record that these tests compare differs between positions."""
    task = Denoise()
    trainer(2).fit(task, Points(), tmp_path)
    noises = [n for _, _, n in task.noted]
    assert len(set(noises)) == len(noises) == 16
    assert torch.tensor(noises).std() > 0.1
