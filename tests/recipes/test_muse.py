"""What Muse promises beyond what every recipe does."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
import torch

from frisket.core.step import Step
from frisket.experiments.system import build
from frisket.processes.known import Known
from frisket.recipes import muse
from frisket.sampling.corrections import ImposeKnown
from frisket.sampling.guidance import cfg
from frisket.sampling.sampler import Sampler

CAPTION = "red star at centre, on navy"


def moved(pipeline):
    """Every weight moved away from its start."""
    draw = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for value in pipeline.model.parameters():
            value.add_(0.3 * torch.randn(value.shape, generator=draw))
    return pipeline


@pytest.fixture(scope="module")
def base():
    return moved(build(muse.base("tiny").fit())[1])


@pytest.fixture(scope="module")
def fine(base):
    alone = replace(muse.experiment("tiny"), needs={}, prepare=())
    pipeline = moved(build(alone.fit())[1])
    pipeline.stages["low"] = base
    return pipeline


def test_the_hidden_share_has_the_published_density():
    u = (torch.arange(20_000, dtype=torch.float64) + 0.5) / 20_000
    share = muse.MASKED.schedule.hidden(muse.MASKED.times(u))
    assert float(share.mean()) == pytest.approx(2 / math.pi, abs=1e-4)
    assert float((share > 0.5).double().mean()) == pytest.approx(1 - 2 / math.pi * math.asin(0.5), abs=1e-3)


def test_the_second_stage_hides_only_its_own_grid(fine):
    task = muse.experiment("tiny").task.build(fine, {})
    batch = muse.DATA.open("train").batch(torch.arange(4))
    step = Step(seed=0, sample=torch.arange(4))
    cond = task.conditions(batch, step)
    assert torch.equal(cond.values["low"], fine.stages["low"].coder.encode(batch["x"]))
    assert not cond.dropped("low").any(), "the coarse grid is never left out"
    assert task.encode(batch, step).shape == (4, 16, 16)


def test_a_caption_becomes_a_picture_by_way_of_the_coarse_one(fine, base):
    made = fine.sample(2, seed=3, caption=CAPTION)
    coarse = base.sample(2, seed=3, caption=CAPTION)
    assert torch.equal(made, fine.sample(2, seed=3, caption=CAPTION, low=coarse))
    assert not torch.equal(made, fine.sample(2, seed=3, caption=CAPTION.replace("red", "blue")))
    assert not torch.equal(
        made, fine.sample(2, seed=3, caption=CAPTION, negative={"caption": "blue star at centre, on navy"})
    )


def test_edits_leave_what_is_not_masked(fine):
    images = muse.DATA.open("test").batch(torch.arange(3))["x"]
    mask = torch.zeros(3, 1, 16, 16, dtype=torch.bool)
    mask[:, :, 3:9, 8:] = True
    edited = fine.edit(images, mask, caption=CAPTION)
    assert torch.equal(edited.masked_fill(mask, 0), images.masked_fill(mask, 0))
    assert not torch.equal(edited, images)


def test_known_ids_never_change_and_few_moves_are_enough(base):
    ids = torch.randint(0, 16, (2, 8, 8), generator=torch.Generator().manual_seed(0))
    where = torch.zeros_like(ids, dtype=torch.bool)
    where[:, ::2] = True
    where[1] = True
    where[1, 0, 0] = False
    sampler = replace(base.sampler, corrections=(ImposeKnown(),), guidance=cfg(1.0))
    step, known = Step(seed=0, sample=torch.arange(2)), Known(values=ids, where=where)
    cond = base._conditions({"caption": CAPTION}, 2)
    shots = list(sampler.run(base.model, base.process, shape=(8, 8), step=step, cond=cond, known=known))
    for shot in shots[1:]:
        assert torch.equal(shot.x[where], ids[where])
    hidden = [(shot.x == base.process.mask_id).flatten(1).sum(1).tolist() for shot in shots]
    first = 32
    assert [h[0] for h in hidden[1:]] == [
        *(math.floor(first * math.cos(math.pi / 2 * k / 8) + 1e-9) for k in range(1, 8)),
        0,
    ]
    assert [h[1] for h in hidden[1:]] == [1] * 7 + [0], "what is last waits for the last move"


def test_one_move_is_one_draw_of_everything(base):
    one = Sampler(steps=1, update=muse.maskgit(), guidance=cfg(1.0))
    step, cond = Step(seed=0, sample=torch.arange(2)), base._conditions({"caption": CAPTION}, 2)
    shots = list(one.run(base.model, base.process, shape=(8, 8), step=step, cond=cond))
    assert shots[-1].rows == {"": 2}
    hidden = torch.full((2, 8, 8), base.process.mask_id)
    with torch.no_grad():
        logits = base.process.estimate(base.model(hidden, None, cond), hidden, torch.ones(2)).logits
    drawn = one.update.proposal.propose(logits.flatten(1, 2), step.at(total=1)).view(2, 8, 8)
    assert torch.equal(shots[-1].x, drawn)


def test_without_what_is_read_from_the_text_the_caption_says_nothing(base):
    quiet = moved(build(muse.base("tiny").fit())[1])
    with torch.no_grad():
        for block in quiet.model.blocks:
            for value in block.branches["cross"].mixer.inner.out.parameters():
                value.zero_()
    hidden = torch.full((1, 8, 8), quiet.process.mask_id)
    conds = [quiet._conditions({"caption": text}, 1) for text in (CAPTION, None)]
    with torch.no_grad():
        said, silent = (quiet.model(hidden, None, cond).pred for cond in conds)
        loud = [base.model(hidden, None, cond).pred for cond in conds]
    assert torch.equal(said, silent)
    assert not torch.allclose(*loud)
