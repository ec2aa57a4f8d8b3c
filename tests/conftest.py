"""One thread a worker, no network, a cache of our own, and shapes checked on every annotated call."""

from __future__ import annotations

import os
import sys
import tempfile
from pathlib import Path

os.environ["HF_HUB_OFFLINE"] = "1"
os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("FRISKET_CACHE", str(Path(tempfile.gettempdir()) / f"frisket-tests-{os.getuid()}"))

# Test modules of different rooms may have one name (importlib mode), so the stand-ins beside them are put on the path.
TESTS = Path(__file__).parent
sys.path[:0] = [str(TESTS), *(str(p) for p in sorted(TESTS.iterdir()) if p.is_dir() and p.name[0] not in "._")]

if not os.environ.get("FRISKET_NO_SHAPE_CHECKS"):  # before anything imports frisket
    from jaxtyping import install_import_hook

    install_import_hook("frisket", "shape_checks.checked")

import torch
from hypothesis import settings

torch.set_num_threads(1)
settings.register_profile("frisket", max_examples=30, deadline=None, derandomize=True)
settings.load_profile("frisket")

import pytest


@pytest.fixture(scope="session")
def dit_run(tmp_path_factory):
    """The folder of one finished tiny run of `dit`, report and all."""
    from run_folders import DIT, frisket

    folder = tmp_path_factory.mktemp("runs") / "dit"
    assert frisket("run", "dit", *DIT, "--out", folder) == 0
    return folder


@pytest.fixture(scope="session")
def mdlm_run(tmp_path_factory):
    """The folder of one finished tiny run of `mdlm`."""
    from run_folders import MDLM, frisket

    folder = tmp_path_factory.mktemp("runs") / "mdlm"
    assert frisket("run", "mdlm", *MDLM, "--out", folder) == 0
    return folder


@pytest.fixture
def arms_here(monkeypatch):
    """Arms are trained in this process, not in processes of their own that would import everything again."""
    from frisket.experiments import arms

    def work(place, own):
        arms.work_on(place)
        return 0

    monkeypatch.setattr(arms, "in_process_of_its_own", work)
