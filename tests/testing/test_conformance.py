"""The conformance checks over every registered part of the slots they know."""

from __future__ import annotations

import pytest
import torch

from frisket.codecs.base import Spec
from frisket.core import FrisketError, lookup, names
from frisket.testing import check_backbone, check_codec, check_config, check_data, check_process, check_update
from frisket.testing.data import Info

IMAGES = Spec(kind="continuous", shape=(1, 8, 8))
WORDS = Spec(kind="ids", shape=(12,), vocabulary=7)


# What a check must be told about a set: dear ones are looked at less, and toys of few sequences repeat them by chance.
FACTS = {
    "data/sudoku": {"n": 2, "splits": 2},
    "data/pairs": {"splits": 0},
    "data/parity": {"splits": 0},
}
# Masked continuous tokens: one packed state of tokens, flags and noised copies, which no general promise describes. The
# three parts know only each other; their own tests hold them to what they say.
TOKENS = ("process/masked-tokens", "backbone/masked-tokens", "decoder/tokens")
SMALLER = {"data/sudoku": {"size": 6, "clues": 20}}


def stands(name: str) -> bool:
    """Whether a part can be made without arguments; the others need a file, a model, a name or further parts."""
    try:
        lookup(name)()
    except (FrisketError, TypeError):
        return False
    return True


def ready(*slots: str) -> list[str]:
    """The library's own parts of `slots` (all of them if none is given) that stand."""
    own = [n for slot in slots or ("",) for n in names(slot) if lookup(n).__module__.startswith("frisket.")]
    return [n for n in own if stands(n)]


@pytest.mark.parametrize("name", ready())
def test_every_config_round_trips(name):
    check_config(lookup(name)())


@pytest.mark.parametrize("name", [n for n in ready("process") if n not in TOKENS])
def test_every_process_keeps_its_promises(name):
    part = lookup(name)()
    if hasattr(part, "vocabulary") or hasattr(part, "mask_id"):
        check_process(part, shape=(9,), vocabulary=5)
    else:
        check_process(part)


@pytest.mark.parametrize("spec", [IMAGES, WORDS], ids=["images", "words"])
@pytest.mark.parametrize("name", [n for n in ready("backbone") if n not in TOKENS])
def test_every_backbone_keeps_its_promises(name, spec):
    check_backbone(lookup(name)(), spec=spec)


@pytest.mark.parametrize("name", ready("data"))
def test_every_set_keeps_its_promises(name):
    check_data(lookup(name)(**SMALLER.get(name, {})), **FACTS.get(name, {}))


# Its scheduler fixes a path of its own; tests/sampling/solvers/test_diffusers.py pairs the two.
@pytest.mark.parametrize("name", [n for n in ready("solver") if n != "solver/diffusers"])
def test_every_solver_keeps_its_promises(name):
    check_update(lookup(name)())


@pytest.mark.parametrize("name", [n for n in ready("decoder") if n not in TOKENS])
def test_every_decoder_keeps_its_promises(name):
    check_update(lookup(name)(), vocabulary=5)


def test_pixels_keep_the_promises_of_a_codec():
    x = torch.linspace(0, 1, 192).reshape(3, 1, 8, 8)
    check_codec(lookup("codec/pixels")(), x, Info(kind="image", shape=(1, 8, 8)), error=1e-6)
