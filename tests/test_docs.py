"""Documentation that runs: README's commands in their order, and every Python block of the pages."""

import os
import re
import shlex
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from frisket.interop.golden import golden
from frisket.recipes import dit
from run_folders import DIT, frisket, pictures

ROOT = Path(__file__).parent.parent
PAGES = sorted([*(ROOT / "docs").glob("*.md"), *(ROOT / "docs" / "choose").glob("*.md"), ROOT / "README.md"])
BASH = [
    line
    for block in re.findall(r"```bash\n(.*?)```", (ROOT / "README.md").read_text(), re.S)
    for line in block.splitlines()
]
COMMANDS = [line.split("#")[0].strip() for line in BASH if line.split("#")[0].strip()]
SMALLER = {  # what makes a command of README small; a later option wins
    "run": [*DIT, "--out", "runs/dit-digits"],
    "train": [*DIT, "--training.steps", "2"],
    "sample": ["--n", "2", "--steps", "2"],
    "evaluate": ["--n", "16"],
    "shrink": ["--search", "2", "--recovery", "2", "--batch", "2", "--n", "4"],
    "adapt": ["--phases.0.training.steps", "2", "--phases.0.training.batch", "2"],
    "compare": ["--size", "tiny", "--steps", "2", "--procs", "1"],
    "verify": ["--size", "tiny", "--procs", "1"],
}


def without(words: list[str], options: list[str]) -> list[str]:
    """The words but for the named options and their values."""
    taken = {i + d for i, word in enumerate(words) if word in options for d in (0, 1)}
    return [word for i, word in enumerate(words) if i not in taken]


def smaller(words: list[str]) -> list[str]:
    more = SMALLER.get(words[0], [])
    return [*without(words, [m for m in more if m.startswith("--")]), *more]


def grey(folder: Path) -> None:
    """Pictures like digits: of one channel."""
    from PIL import Image

    for file in folder.rglob("*.png"):
        Image.open(file).convert("L").save(file)


@pytest.fixture
def desk(tmp_path, monkeypatch, arms_here):
    """A folder with what README's commands name."""
    monkeypatch.chdir(tmp_path)
    pictures(tmp_path / "photos", size=(32, 32))
    grey(pictures(tmp_path / "drawings", classes=10, each=2, size=(8, 8)))
    for name in ("a.png", "m.png"):
        from frisket.evaluation.pictures import save_picture

        save_picture(tmp_path / name, torch.eye(8)[None])
    torch.save(golden("dit")[0], tmp_path / "DiT-XL-2-256x256.pt")
    bench = {**dit.STUDY.bench, "training.steps": 2, "training.batch": 4, "n_samples": 16}
    monkeypatch.setattr(dit, "STUDY", replace(dit.STUDY, bench=bench))
    return tmp_path


def test_the_commands_of_readme_run_in_their_order(desk):
    ran = []
    for command in COMMANDS:
        words = shlex.split(command.replace('"num_heads": 16', '"num_heads": 4'))  # the golden model's, not XL's
        if words[0] != "frisket":
            continue
        assert frisket(*smaller(words[1:])) == 0, command
        ran.append(words[1])
    assert {
        "run",
        "train",
        "sample",
        "edit",
        "shrink",
        "adapt",
        "evaluate",
        "compare",
        "verify",
        "papers",
        "import",
        "new",
    } <= set(ran)
    made = (
        "runs/dit-digits/report.html",
        "x.png",
        "fast.png",
        "b.png",
        "small/model",
        "mine/adapter-default",
        "results/dit.json",
        "out/config.json",
        "mine.py",
    )
    assert all((desk / name).exists() for name in made)


def test_the_command_for_many_processes_runs_with_two(desk):
    (command,) = [c for c in COMMANDS if c.startswith("torchrun")]
    words = shlex.split(command.replace("--nproc-per-node 8", "--nproc-per-node 2"))
    own = words[words.index("frisket") + 1 :]
    started = words[1 : words.index("frisket") + 1]
    environment = os.environ | {"PYTHONPATH": f"{ROOT / 'src'}", "OMP_NUM_THREADS": "1"}
    run = subprocess.run(
        [sys.executable, "-m", "torch.distributed.run", *started, *smaller(own), "--data.size", "16"],
        capture_output=True, text=True, env=environment, timeout=300,
    )  # fmt: skip
    assert run.returncode == 0, run.stderr[-2000:]
    assert list((desk / "runs").glob("*/model/model.safetensors"))


def test_make_has_the_targets_that_the_text_names():
    targets = set(re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(), re.M))
    text = (ROOT / "README.md").read_text() + (ROOT / "CONTRIBUTING.md").read_text()
    named = set(re.findall(r"^make ([a-z]+)|`make ([a-z]+)`", text, re.M))
    assert {a or b for a, b in named} <= targets


@pytest.mark.parametrize("page", [p for p in PAGES if "```python" in p.read_text()], ids=lambda p: p.name)
def test_the_python_of_a_page_runs(page, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    small = page.read_text().replace('experiment("small")', 'experiment("tiny")').replace("steps=20", "steps=2")
    names: dict = {"__name__": page.stem}
    monkeypatch.setitem(sys.modules, page.stem, type(sys)(page.stem))  # where a dataclass looks its module up
    for block in re.findall(r"```python\n(.*?)```", small, re.S):
        exec(compile(block, page.name, "exec"), names)
