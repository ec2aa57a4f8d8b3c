"""The conformance checks over every registered part of the slots they know."""

from __future__ import annotations

import dataclasses

import pytest
import torch

from frisket.codecs.base import Spec
from frisket.core import lookup, names
from frisket.testing import check_backbone, check_codec, check_config, check_data, check_process, check_update
from frisket.testing.data import Info

IMAGES = Spec(kind="continuous", shape=(1, 8, 8))
WORDS = Spec(kind="ids", shape=(12,), vocabulary=7)


def ready(*slots: str) -> list[str]:
    """The parts of `slots` that stand with their defaults (the others need a file, a model or a name)."""
    return [n for slot in slots for n in names(slot) if not needs(lookup(n))]


def needs(cls: type) -> list[str]:
    missing = dataclasses.MISSING
    return [f.name for f in dataclasses.fields(cls) if f.init and f.default is missing and f.default_factory is missing]


@pytest.mark.parametrize("name", [n for n in names() if not needs(lookup(n))])
def test_every_config_round_trips(name):
    check_config(lookup(name)())


@pytest.mark.parametrize("name", ready("process"))
def test_every_process_keeps_its_promises(name):
    part = lookup(name)()
    if hasattr(part, "vocabulary") or hasattr(part, "mask_id"):
        check_process(part, shape=(9,), vocabulary=5)
    else:
        check_process(part)


@pytest.mark.parametrize("spec", [IMAGES, WORDS], ids=["images", "words"])
@pytest.mark.parametrize("name", ready("backbone"))
def test_every_backbone_keeps_its_promises(name, spec):
    check_backbone(lookup(name)(), spec=spec)


@pytest.mark.parametrize("name", ready("data"))
def test_every_set_keeps_its_promises(name):
    check_data(lookup(name)())


@pytest.mark.parametrize("name", ready("solver"))
def test_every_solver_keeps_its_promises(name):
    check_update(lookup(name)())


@pytest.mark.parametrize("name", ready("decoder"))
def test_every_decoder_keeps_its_promises(name):
    check_update(lookup(name)(), vocabulary=5)


def test_pixels_keep_the_promises_of_a_codec():
    x = torch.linspace(0, 1, 192).reshape(3, 1, 8, 8)
    check_codec(lookup("codec/pixels")(), x, Info(kind="image", shape=(1, 8, 8)), error=1e-6)
