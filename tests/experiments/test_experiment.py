"""Experiments as values: fitted to their data, and what a forward pass costs."""

from __future__ import annotations

from dataclasses import replace

import pytest

from frisket.core import FrisketError
from frisket.core.config import override
from frisket.data.base import Info, parse_data
from frisket.data.imagefolder import ImageFolder
from frisket.experiments.experiment import check_size, classes_of, forward_macs
from frisket.experiments.recipes import load_recipe
from frisket.models.count import count_macs
from run_folders import pictures


def test_fitting_fills_in_the_shape_and_the_classes(tmp_path):
    data = ImageFolder(target=str(pictures(tmp_path, classes=3, each=4)), size=16)
    fitted = replace(load_recipe("dit").experiment("tiny"), data=data).fit()
    assert (fitted.model.input.channels, fitted.model.input.size) == (3, (16, 16))
    assert fitted.model.doors[0].embedder.classes == 3
    assert fitted.fit() == fitted


def test_without_classes_there_is_no_door_and_no_guidance_by_its_absence(tmp_path):
    data = ImageFolder(target=str(pictures(tmp_path, flat=True)), size=16)
    fitted = replace(load_recipe("dit").experiment("tiny"), data=data).fit()
    assert fitted.model.doors == ()
    assert fitted.sampler.guidance.others == ()
    assert load_recipe("dit").experiment("tiny").fit().sampler.guidance.others


def test_fitting_text_fills_in_the_alphabet_and_the_vocabulary():
    fitted = load_recipe("mdlm").experiment("tiny").fit()
    size = len(fitted.codec.alphabet)
    assert (fitted.process.vocabulary, fitted.model.input.vocabulary, fitted.model.output.vocabulary) == (size,) * 3
    assert fitted.model.input.size == (64,)


def test_a_state_that_does_not_divide_into_patches_is_refused():
    with pytest.raises(FrisketError, match="3"):
        override(load_recipe("dit").experiment("tiny"), "model.input.patch", 3).fit()
    with pytest.raises(FrisketError):
        replace(load_recipe("mdlm").experiment("tiny"), data=parse_data("digits")).fit()


def test_macs_are_those_of_the_built_model():
    fitted = load_recipe("dit").experiment("tiny").fit()
    assert forward_macs(fitted) == count_macs(fitted.model.build(), (1, 8, 8))
    deeper = override(load_recipe("dit").experiment("tiny"), "model.depth", 4).fit()
    assert forward_macs(deeper) > 1.5 * forward_macs(fitted)


def test_classes_and_sizes():
    assert classes_of(Info(kind="image", classes=("a", "b"))) == {"label": 2}
    assert classes_of(Info(kind="image")) == {}
    for size in ("tiny", "small", "paper"):
        check_size(size)
    with pytest.raises(FrisketError, match="'tiny', 'small' or 'paper'"):
        check_size("large")
