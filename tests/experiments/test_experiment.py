"""Experiments as values: fitted to their data, and what a forward pass costs."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from frisket.codecs.readers import Reader
from frisket.core import FrisketError, from_config, to_config
from frisket.core.config import override
from frisket.data.base import Info, parse_data
from frisket.data.imagefolder import ImageFolder
from frisket.data.scenes import Scenes
from frisket.experiments.experiment import Experiment, check_size, classes_of, forward_macs
from frisket.experiments.measures import read_conditions, take
from frisket.experiments.recipes import load_recipe
from frisket.experiments.system import train
from frisket.models.backbones.transformer import Transformer
from frisket.models.block import Block, Branch, repeat
from frisket.models.count import count_macs
from frisket.models.doors import Door
from frisket.models.layers.attention import Cross
from frisket.models.layers.embedders import TextIds
from frisket.processes.gaussian import Gaussian
from frisket.sampling.guidance import cfg
from frisket.sampling.sampler import Sampler
from frisket.training.trainer import Trainer
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


def captioned(**changes):
    """A small experiment on captioned scenes."""
    cross = Branch(name="cross", mixer=Cross(), norm=None, uses=("gate",))
    block = Block(branches=(*Block().branches, cross))
    return Experiment(
        name="captioned", data=Scenes(size=(8, 8)), process=Gaussian(), reads={"caption": Reader()},
        model=Transformer(
            width=16, heads=2, blocks=repeat(block, 1), doors=(Door(name="caption", way="context", embedder=TextIds()),),
        ),
        training=Trainer(batch=4, steps=2), sampler=Sampler(steps=2, guidance=cfg(2.0)), n_samples=16, **changes,
    )  # fmt: skip


def test_captions_are_read_from_the_data_to_the_samples(tmp_path):
    fitted = captioned().fit()
    (door,) = fitted.model.doors
    codec = fitted.reads["caption"].codec
    assert (door.embedder.vocabulary, door.embedder.length, door.embedder.pad) == (codec.vocabulary, codec.length, 0)
    assert fitted.fit() == fitted
    assert from_config(to_config(fitted)) == fitted
    pipeline = train(fitted, tmp_path / "run")
    said = "large red plain three at top left, on navy"
    draw = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for value in pipeline.model.parameters():  # the gates start at zero
            value.add_(0.2 * torch.randn(value.shape, generator=draw))
    one, other = (pipeline.sample(1, caption=text) for text in (said, said.replace("red", "blue")))
    assert not torch.equal(one, other)
    assert torch.equal(pipeline.sample(1, caption=None), pipeline.sample(1, caption=[None]))
    mask = torch.ones(1, 1, 8, 8, dtype=torch.bool)
    assert not torch.equal(*(pipeline.edit(one, mask, caption=text) for text in (said, None)))
    assert len(list(pipeline.snapshots(1, caption=said))) == 3
    assert take(pipeline, fitted.data, ("loss",), n=16)["loss"] > 0
    rows = read_conditions(pipeline, fitted.data, torch.arange(2))["caption"]
    assert pipeline.readers["caption"].codec.decode(rows) == fitted.data.open("test").batch(torch.arange(2))["caption"]
    with pytest.raises(FrisketError, match="unknown word 'thre'"):
        pipeline.sample(1, caption="red thre")


def test_a_reader_needs_a_door():
    with pytest.raises(FrisketError, match="reads names 'caption', but the model has no such door"):
        replace(captioned(), model=Transformer(width=16, heads=2)).fit()
