"""Frozen weights stay as they are in a real run, and are frozen again when the model is read back."""

import pytest
import torch

from frisket.adapters.freeze import Freeze
from frisket.adapters.lora import Lora
from frisket.core import FrisketError, apply_edits
from frisket.core.edits import build_edited
from frisket.models.backbones.transformer import Transformer
from frisket.models.block import Block, repeat
from frisket.testing import check_edit
from frisket.training.optimisers import tags

CONFIG = Transformer(width=8, heads=2, blocks=repeat(Block(), 2))
X, T = torch.randn(2, 1, 8, 8, generator=torch.Generator().manual_seed(0)), torch.tensor([0.2, 0.6])


def learning(model):
    return {n for n, p in model.named_parameters() if p.requires_grad}


def test_it_changes_no_output_and_round_trips():
    check_edit(Freeze(learns=("*.bias",)), CONFIG, lambda m: m(X, T).pred, exact=0.0)


def test_only_what_matches_learns_also_after_reading_back():
    edits = [Lora(), Freeze(learns=("*.lora.*", "output.*"))]
    model = apply_edits(CONFIG.build(), edits)
    wanted = {n for n, _ in model.named_parameters() if ".lora." in n or n.startswith("output.")}
    assert learning(model) == wanted
    assert learning(build_edited(CONFIG, edits)) == wanted


def test_the_last_one_holds_and_tables_never_learn():
    model = apply_edits(CONFIG.build(), [Freeze(learns=("output.*",)), Freeze(learns=("*",))])
    assert learning(model) == learning(CONFIG.build())
    assert "positions.table" not in learning(model)


def test_a_trainer_gives_its_optimiser_nothing_else():
    model = apply_edits(CONFIG.build(), [Lora(), Freeze()])
    tagged = tags(model, {"model": model})
    assert set(tagged) == {n for n, _ in model.named_parameters() if ".lora." in n}
    assert all(tag.hidden and tag.decay for tag in tagged.values())


def test_a_pattern_that_matches_nothing_is_refused():
    with pytest.raises(FrisketError, match="no parameter matches"):
        Freeze(learns=("nowhere",)).build(CONFIG.build())
    with pytest.raises(FrisketError, match=r"edit\.learns"):
        Freeze(learns=())
