"""The door: verbs, exit codes, one line for what went wrong."""

from __future__ import annotations

import subprocess
import sys
import types

import pytest

from frisket import __version__
from frisket.cli import VERBS
from frisket.core import FrisketError
from run_folders import frisket


def test_python_m_frisket_is_frisket():
    done = subprocess.run([sys.executable, "-m", "frisket", "sample", "nowhere"], capture_output=True, text=True)
    assert done.returncode == 2
    assert done.stdout == ""
    assert done.stderr.count("\n") == 1
    assert done.stderr.startswith("frisket sample: nowhere is neither a folder nor")


def test_help_of_every_verb_is_cheap():
    code = f"""
import sys
from frisket.cli import main
for verb in {[*VERBS]!r}:
    assert main([verb, "--help"]) == 0, verb
heavy = {{"diffusers", "transformers", "datasets", "matplotlib", "sklearn", "gradio"}} & set(sys.modules)
assert not heavy, heavy
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert all(f"usage: frisket {verb} " in done.stdout for verb in VERBS)


def test_overview_and_version(capsys):
    for words in ([], ["--help"], ["-h"]):
        assert frisket(*words) == 0
        said = capsys.readouterr().out
        assert all(f"\n  {verb} " in said for verb in VERBS)
    assert frisket("--version") == 0
    assert capsys.readouterr().out == f"{__version__}\n"


def test_an_unknown_verb_names_the_nearest(capsys):
    assert frisket("smaple") == 2
    said = capsys.readouterr().err
    assert said.startswith("frisket: unknown verb 'smaple'; did you mean 'sample'?")
    assert said.count("\n") == 1


@pytest.mark.parametrize(
    ("error", "code", "said"),
    [
        (FrisketError("two\nlines"), 2, "frisket cite: two lines\n"),
        (
            PermissionError(13, "Permission denied", "/there"),
            2,
            "frisket cite: [Errno 13] Permission denied: '/there'\n",
        ),
        (KeyboardInterrupt(), 130, "frisket cite: stopped\n"),
        (BrokenPipeError(), 0, ""),
        (SystemExit(0), 0, ""),
    ],
)
def test_what_goes_wrong_becomes_an_exit_code(error, code, said, monkeypatch, capsys):
    def fail(argv):
        raise error

    monkeypatch.setitem(sys.modules, "frisket.cli.cite_verb", types.SimpleNamespace(main=fail))
    assert frisket("cite") == code
    assert capsys.readouterr().err == said


def test_a_bug_is_not_hidden(monkeypatch):
    def fail(argv):
        raise KeyError("a bug")

    monkeypatch.setitem(sys.modules, "frisket.cli.cite_verb", types.SimpleNamespace(main=fail))
    with pytest.raises(KeyError):
        frisket("cite")
