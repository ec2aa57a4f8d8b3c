from __future__ import annotations

import pytest
from torch import nn

from frisket.core import FrisketError
from frisket.core.sites import sited
from frisket.interop.layouts import LAYOUTS, Layout, Stack, describe


class Blocks(nn.Module):
    """A list of blocks under another name."""

    def __init__(self):
        super().__init__()
        block = nn.Module()
        block.mix = nn.Linear(2, 2)
        self.layers = nn.ModuleList([block])


@pytest.fixture
def known(monkeypatch):
    monkeypatch.setattr("frisket.interop.layouts.LAYOUTS", layouts := dict(LAYOUTS))
    monkeypatch.setattr("frisket.interop.sited.LAYOUTS", layouts)


def test_an_unknown_class_is_refused_until_it_is_described(known):
    with pytest.raises(FrisketError, match=r"Blocks lists no sites; tell where its blocks are with .*describe"):
        sited(Blocks())
    describe("Blocks", Layout(stacks=(Stack(where="layers", branches={"mix": "mix"}),)))
    assert sited(Blocks()).sites() == ["model", "block[0]", "block[0].mix"]


def test_a_description_that_does_not_fit_says_what_is_missing(known):
    describe("Blocks", Layout(stacks=(Stack(where="layers", branches={"attn": "attn"}), Stack(where="more"))))
    with pytest.raises(FrisketError, match=r"described with layers\[i\]\.attn, more, which it does not have"):
        sited(Blocks())


def test_a_class_is_described_once(known):
    describe("DiTTransformer2DModel", Layout())
    with pytest.raises(FrisketError, match="DiTTransformer2DModel"):
        describe("DiTTransformer2DModel", Layout(time="t"))


def test_branch_names_are_identifiers():
    with pytest.raises(FrisketError, match="identifiers"):
        Stack(branches={"a.b": "a.b"})
