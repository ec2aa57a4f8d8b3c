"""What the recipe says of itself: each arm adds one ingredient, each ingredient is one line, and what paper asks for."""

from __future__ import annotations

from dataclasses import replace

import torch

from frisket.codecs.pixels import Pixels
from frisket.codecs.summary import Dinov2Class
from frisket.core.step import Step
from frisket.experiments.arms import arms_of, equal_flops
from frisket.experiments.experiment import train_flops
from frisket.experiments.phases import Given
from frisket.experiments.system import build
from frisket.processes.gaussian import Gaussian
from frisket.recipes import sr_dit
from frisket.tasks.objectives.contrastive import Contrastive
from frisket.tasks.objectives.targets import Dinov2

CHANGED = {
    "+ alignment": {"task", "needs"}, "+ class vector": {"codec"}, "+ sparse middle": {"model"}, "+ blocks": {"model"},
    "+ contrast": {"task"}, "+ time shift": {"process", "sampler"},
}  # fmt: skip


def test_every_arm_adds_one_ingredient_to_the_one_before():
    grown = sr_dit.GROWN
    assert list(grown) == ["SiT", *CHANGED]
    for (before, one), (after, other) in zip(list(grown.items())[:-1], list(grown.items())[1:], strict=True):
        assert {f for f in sr_dit.FIELDS if getattr(one, f) != getattr(other, f)} == CHANGED[after], (before, after)
    first, last = grown["SiT"], grown[sr_dit.ALL]
    assert first.model.plan is None
    assert last.model.plan.choose.inner.drop == 0.75
    assert (last.process.main.shift, last.sampler.grid.shift) == ((768 / 4096) ** 0.5,) * 2
    assert {o.part_name for o in last.task.objectives} == {"objective/alignment", "objective/contrastive"}


def test_arms_are_those_systems_at_equal_flops():
    experiment = sr_dit.experiment("small")
    arms = arms_of(experiment, experiment.study)
    assert {n: replace(a, name="", study=None) for n, a in arms.items()} == {
        n: replace(a, name="", study=None, n_samples=512).fit() for n, a in sr_dit.GROWN.items()
    }
    scaled = equal_flops(arms)
    costs = [train_flops(arm) for arm in scaled.values()]
    assert max(costs) / min(costs) < 1.02
    assert scaled["+ blocks"].training.steps > scaled["+ class vector"].training.steps


def test_without_the_codecs_entry_everything_holds_one_tensor():
    whole = sr_dit.experiment("tiny").fit()
    alone = replace(sr_dit.experiment("tiny"), codec=Pixels(), task=replace(whole.task, objectives=(Contrastive(),)))
    alone = replace(alone, needs={}).fit()
    assert alone.model.beside == ()
    assert whole.model.beside[0].numbers == sr_dit.FEATURES
    task, pipeline, source = build(alone, Given())
    terms = task.loss(source.batch(torch.arange(4)), Step(seed=0, sample=torch.arange(4), total=10))
    assert set(terms) == {"denoise", "contrast"}
    assert pipeline.spec.shapes == (1, 8, 8)
    assert alone.process.main == Gaussian(shift=(64 / 4096) ** 0.5)


def test_the_sum_of_the_terms_is_the_loss_and_only_the_denoising_of_x_is_unweighted():
    experiment = sr_dit.experiment("tiny").fit()
    held = replace(experiment.needs["encoder"].fit())
    encoder = build(held, Given())[1]
    task, _, source = build(experiment, Given(needs={"encoder": encoder}))
    step = Step(seed=0, sample=torch.arange(8), total=10)
    batch = source.batch(torch.arange(8))
    terms = task.loss(batch, step)
    assert set(terms) == {"denoise", "cls denoise", "alignment", "contrast"}
    heavy = replace(experiment, process=replace(experiment.process, weights={"cls": 0.06}))
    twice = build(heavy, Given(needs={"encoder": encoder}))[0].loss(batch, step)
    torch.testing.assert_close(twice["cls denoise"], 2 * terms["cls denoise"])
    assert all(torch.equal(twice[n], terms[n]) for n in ("denoise", "alignment", "contrast"))


def test_paper_asks_for_dinov2_twice_and_the_published_network():
    paper = sr_dit.experiment("paper")
    assert paper.codec.entries == {"cls": Dinov2Class()}
    alignment, contrast = paper.task.objectives
    assert (alignment.target, alignment.block, alignment.weight) == (Dinov2(), 1, 0.5)
    assert contrast.weight == 0.05
    assert paper.process.main.shift == 2**0.5
    assert paper.process.weights == {"cls": 0.03}
    assert paper.model.plan.choose.rate == 0.05
    assert all(count.compute() == count.published for count in sr_dit.COUNTS)
