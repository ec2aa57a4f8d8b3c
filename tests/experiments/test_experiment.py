from dataclasses import replace

import pytest

from frisket.core.config import flatten, from_config, override, to_config
from frisket.core.errors import FrisketError
from frisket.data.base import Info
from frisket.data.imagefolder import ImageFolder
from frisket.experiments.experiment import check_size, classes_of, forward_macs
from frisket.experiments.recipes import load_recipe
from frisket.models.count import macs_of_size
from run_folders import pictures


@pytest.fixture(scope="module")
def dit():
    return load_recipe("dit").experiment("tiny")


def test_fitting_takes_shape_and_classes_from_the_data(dit):
    fitted = dit.fit()
    assert fitted.model.input.size == (8, 8)
    assert fitted.model.doors[0].embedder.classes == 10
    assert fitted.fit() == fitted
    colour = override(override(dit, "data", "scenes"), "data.size", "16, 16").fit()
    assert (colour.model.input.channels, colour.model.input.size) == (3, (16, 16))


def test_fitting_text_gives_process_and_network_one_vocabulary():
    fitted = load_recipe("mdlm").experiment("tiny").fit()
    assert fitted.process.vocabulary == len(fitted.codec.alphabet) == fitted.model.input.vocabulary


def test_a_shape_that_does_not_divide_is_refused(dit):
    with pytest.raises(FrisketError, match="patch"):
        override(dit, "model.input.patch", "3").fit()


def test_every_leaf_can_be_named_and_the_whole_comes_back(dit):
    assert {"model.depth", "process.path", "sampler.steps", "training.optimiser.lr"} <= set(flatten(dit))
    assert from_config(to_config(dit)) == dit


def test_cost_follows_the_fitted_shape(dit):
    fitted = dit.fit()
    assert forward_macs(fitted) == macs_of_size(fitted.model, (1, 8, 8))
    deeper = replace(fitted, model=fitted.model.with_depth(4))
    assert forward_macs(deeper) > forward_macs(fitted)


def test_classes_and_sizes():
    assert classes_of(Info(kind="image", classes=("a", "b"))) == {"label": 2}
    assert classes_of(Info(kind="text")) == {}
    with pytest.raises(FrisketError, match="size = 'huge'"):
        check_size("huge")


def test_without_classes_there_is_no_door_and_no_guidance_by_its_absence(dit, tmp_path):
    data = ImageFolder(target=str(pictures(tmp_path, flat=True)), size=16)
    fitted = replace(dit, data=data).fit()
    assert fitted.model.doors == ()
    assert fitted.sampler.guidance.others == ()
    assert dit.fit().sampler.guidance.others
