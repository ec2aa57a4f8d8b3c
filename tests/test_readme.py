"""README says what is true: its Python runs, its commands exist, its table is the stored evidence."""

import importlib
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from frisket.cli import VERBS
from frisket.cli.options import option_names
from frisket.core.config import flatten
from frisket.experiments.recipes import load_recipe

ROOT = Path(__file__).parent.parent
TEXT = (ROOT / "README.md").read_text()
PYTHON = re.findall(r"```python\n(.*?)```", TEXT, re.S)
COMMANDS = [
    line.split("#")[0].split("-m ")[-1].strip()
    for block in re.findall(r"```bash\n(.*?)```", TEXT, re.S)
    for line in block.splitlines()
    if "frisket " in line.split("#")[0]
]


def test_the_python_lines_run(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    code = PYTHON[0].replace('experiment("small")', 'experiment("tiny")').replace("steps=20", "steps=2")
    assert code != PYTHON[0], "the README no longer trains at small"
    assert len(code.split("\n\n")[-1].splitlines()) <= 5
    exec(compile(code, "README.md", "exec"), {})
    assert (tmp_path / "threes.png").stat().st_size > 0


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_names_a_verb_and_options_that_exist(command):
    words = shlex.split(command)[1:]
    assert words[0] in VERBS
    module = importlib.import_module(f"frisket.cli.{words[0]}_verb")
    options = getattr(module, words[0].capitalize(), None) or importlib.import_module("frisket.cli.run_verb").Run
    known = {*option_names(options), "class", *flatten(load_recipe("dit").experiment("small"))}
    known |= {"data.size", "cache.every"}  # of the picture folder, and of the cache, that the command names
    for word in words:
        if word.startswith("--"):
            assert word[2:] in known, f"{command}: {word}"


def test_dotted_names_in_the_text_can_be_overridden():
    known = flatten(load_recipe("dit").experiment("small"))
    named = re.findall(r"`--([a-z_]+\.[a-z_.]+)|(?<=\s)--([a-z_]+\.[a-z_.]+)", TEXT)
    found = {a or b for a, b in named} - {"data.size", "cache.every"}
    assert len(found) >= 5
    assert found <= set(known)


def test_the_table_is_the_stored_evidence():
    run = subprocess.run([sys.executable, "docs/make_readme.py", "--check"], cwd=ROOT, capture_output=True, text=True)
    assert run.returncode == 0, "a page is out of date: run python docs/make_readme.py" + run.stderr


def test_the_measured_page_is_the_stored_results():
    run = subprocess.run([sys.executable, "docs/make_measured.py", "--check"], cwd=ROOT, capture_output=True, text=True)
    assert run.returncode == 0, "docs/measured.md is out of date: run python docs/make_measured.py" + run.stderr


def test_numbers_that_were_measured_stand_in_marked_blocks_only():
    outside = re.sub(r"<!-- (\w+): .*?<!-- /\1 -->", "", TEXT, flags=re.S)
    measured = re.findall(r"\d[\d.,]*\s*(?:%|x\b|seconds|minutes|ms\b|MiB|GiB|img/s)", outside)
    assert not measured, measured
