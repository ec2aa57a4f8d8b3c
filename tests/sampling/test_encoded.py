"""References become states before a model sees them; a reference that nobody gives is left out."""

import pytest
import torch

from frisket.adapters.reference import Reference
from frisket.codecs.pixels import Pixels
from frisket.core.condition import Condition
from frisket.core.edits import apply_edits
from frisket.core.errors import FrisketError
from frisket.core.step import Step
from frisket.data.digits import Digits
from frisket.evaluation.heldout import heldout_loss
from frisket.experiments.experiment import Experiment
from frisket.experiments.system import build
from frisket.models.backbones.transformer import Transformer
from frisket.models.block import Block, repeat
from frisket.models.doors import Door
from frisket.processes.gaussian import Gaussian
from frisket.sampling.encoded import encoded
from frisket.sampling.sampler import Sampler
from frisket.tasks.diffusion import Diffusion
from frisket.training.trainer import Trainer


@pytest.fixture
def pipeline():
    experiment = Experiment(
        name="t", data=Digits(), process=Gaussian(), sampler=Sampler(steps=2), training=Trainer(),
        model=Transformer(width=16, heads=2, doors=(Door(),), blocks=repeat(Block(), 1)),
    )  # fmt: skip
    _, made, _ = build(experiment.fit())
    g = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for p in made.model.parameters():
            if p.requires_grad:
                p.normal_(0.0, 0.3, generator=g)
    apply_edits(made.model, [Reference(name="image")])
    return made


IMAGE, LABEL = torch.rand(2, 1, 8, 8, generator=torch.Generator().manual_seed(1)), torch.tensor([3, 4])


def test_values_go_through_the_codec_once(pipeline):
    out = encoded(Condition.of(label=LABEL, image=IMAGE), pipeline.model, Pixels())
    assert torch.equal(out.values["image"], Pixels().encode(IMAGE))
    assert torch.equal(out.values["label"], LABEL)


def test_what_every_row_drops_is_left_out(pipeline):
    cond = Condition.of(label=LABEL, image=IMAGE)
    assert "image" not in encoded(cond.without("image"), pipeline.model, Pixels()).values
    some = encoded(cond.without("image", where=torch.tensor([True, False])), pipeline.model, Pixels())
    assert "image" in some.values
    assert some.drop["image"].tolist() == [True, False]
    assert "label" in encoded(cond.without("label"), pipeline.model, Pixels()).values


def test_a_model_without_such_doors_gets_what_it_was_given(pipeline):
    cond = Condition.of(label=LABEL)
    assert encoded(cond, torch.nn.Linear(1, 1), Pixels()) is cond
    assert encoded(None, pipeline.model, Pixels()) is None


def test_a_pipeline_samples_with_none_or_without_the_reference_alike(pipeline):
    one, two = pipeline.sample(2, label=LABEL), pipeline.sample(2, label=LABEL, image=None)
    assert torch.equal(one, two)
    assert not torch.equal(one, pipeline.sample(2, label=LABEL, image=IMAGE))


def test_held_out_loss_and_training_give_the_model_states(pipeline):
    seen = []
    pipeline.model.doors.embedders["image"].register_forward_pre_hook(lambda module, args: seen.append(args[0]))

    class Source:
        info = Digits().open("test").info

        @staticmethod
        def batch(ids):
            return {**Digits().open("test").batch(ids), "image": torch.ones(len(ids), 1, 8, 8)}

    heldout_loss(pipeline.model, pipeline.process, pipeline.coder, Source(), n=2, times=1)
    assert all(torch.equal(v, torch.ones(2, 1, 8, 8)) for v in seen)  # Pixels maps 1 to 1
    seen.clear()
    heldout_loss(pipeline.model, pipeline.process, Pixels(mean=(0.0,)), Source(), n=2, times=1)
    assert all(torch.equal(v, torch.full((2, 1, 8, 8), 2.0)) for v in seen)
    assert seen


def test_a_reference_that_is_always_dropped_need_not_be_in_the_data(pipeline):
    source = Digits().open("train")
    batch = {**source.batch(torch.arange(4)), "position": torch.arange(4)}
    step = Step(seed=0, sample=torch.arange(4))
    task = Diffusion(drop=0.0, drops={"image": 1.0}).build(pipeline)
    assert list(task.conditions(batch, step).values) == ["label"]
    assert torch.isfinite(task.loss(batch, step)["denoise"])
    with pytest.raises(FrisketError, match="the model reads 'image'"):
        Diffusion(drop=0.0).build(pipeline).loss(batch, step)
    held = Digits().open("test")
    assert heldout_loss(pipeline.model, pipeline.process, pipeline.coder, held, n=2, times=1).mean.value > 0
