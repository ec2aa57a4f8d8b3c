"""Importing frisket stays cheap, and works without any optional library."""

from __future__ import annotations

import subprocess
import sys

import pytest

HEAVY = ["sklearn", "matplotlib", "diffusers", "transformers", "datasets", "rich", "tyro", "scipy", "webdataset",
         "torchvision", "PIL"]  # fmt: skip


def run(code: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)


@pytest.mark.parametrize("module", ["frisket", "frisket.core"])
def test_importing_frisket_imports_nothing_heavy(module):
    code = f"import sys, {module}; print([m for m in {HEAVY!r} if m in sys.modules])"
    done = run(code)
    assert done.stdout.strip() == "[]", done.stdout + done.stderr


def test_every_part_is_found_where_optional_libraries_are_missing():
    code = (
        "import sys\n"
        "for name in ('diffusers', 'transformers', 'peft', 'datasets', 'webdataset', 'torchvision', 'wandb'):\n"
        "    sys.modules[name] = None\n"
        "from frisket.core import names\nprint(len(names()))"
    )
    done = run(code)
    assert done.returncode == 0, done.stderr
    assert int(done.stdout) > 0


def test_importing_frisket_moves_no_global_generator():
    code = (
        "import random, torch, numpy\n"
        "before = torch.get_rng_state(), numpy.random.get_state()[1].tolist(), random.getstate()\n"
        "import frisket.core; frisket.core.names()\n"
        "assert torch.equal(before[0], torch.get_rng_state())\n"
        "assert before[1] == numpy.random.get_state()[1].tolist() and before[2] == random.getstate()\n"
    )
    assert run(code).returncode == 0
