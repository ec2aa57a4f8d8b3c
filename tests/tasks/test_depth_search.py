"""The search over blocks: what learns, what it decides, and that its result is the pruned model with its own weights."""

from __future__ import annotations

import pytest
import torch
from small_models import pipeline

from frisket.compression.depth import RemoveBlocks
from frisket.core.edits import apply_edits
from frisket.core.errors import FrisketError
from frisket.core.step import Step
from frisket.data.digits import Digits
from frisket.sampling.pipeline import Pipeline
from frisket.tasks.depth_search import DepthSearch
from frisket.tasks.diffusion import Diffusion
from frisket.training.ema import Fixed
from frisket.training.optimisers import AdamW
from frisket.training.trainer import Trainer

BATCH = Digits().open("train").batch(torch.arange(6))
HALF = ((1, 2), (1, 2))


def at(index=0, total=11):
    return Step(seed=5, sample=torch.arange(6), index=index, total=total)


def weights_for(*chosen):
    return {f"gates.logits.{g}": torch.eye(2)[c] for g, c in enumerate(chosen)}


def test_groups_that_keep_all_give_the_plain_loss():
    task = DepthSearch(groups=((4, 4),)).build(pipeline(), {})
    plain = Diffusion().build(pipeline(), {})
    torch.testing.assert_close(task(BATCH, at())["denoise"], plain(BATCH, at())["denoise"])


def test_logits_and_update_learn_and_the_model_does_not():
    task = DepthSearch(groups=HALF, rank=2).build(pipeline(), {})
    task.plain.model.requires_grad_(False)
    task(BATCH, at())["denoise"].backward()
    assert all(logits.grad.abs().min() > 0 for logits in task.gates.logits)
    assert any(up.grad.abs().sum() > 0 for up in task.update.up)
    assert set(task.trains()) == {"gates", "update"}
    assert set(DepthSearch(groups=HALF, rank=0).build(pipeline(), {}).trains()) == {"gates"}
    assert {p.lr_scale for p in task.gates.logits} == {10.0}


def test_the_temperature_falls_from_first_to_last():
    task = DepthSearch(groups=HALF).build(pipeline(), {})
    assert [task.temperature(at(i)) for i in (0, 5, 10)] == pytest.approx([4.0, 2.05, 0.1])


def test_masks_are_drawn_a_sample_and_come_back():
    task = DepthSearch(groups=HALF).build(pipeline(), {})
    whole = task.uniform(at())
    assert whole.shape == (6, 4)
    assert torch.equal(whole[2:4], task.uniform(at().rows(torch.tensor([2, 3]))))
    assert not torch.equal(whole, task.uniform(at(1)))


def test_the_result_is_the_pruned_model_with_its_own_weights(tmp_path):
    task = DepthSearch(groups=HALF, rank=2).build(pipeline(), {})
    with torch.no_grad():
        for up in task.update.up:
            up.add_(1.0)  # must not be exported
    task.save_model(tmp_path / "model", weights_for(1, 0))
    made = Pipeline.from_pretrained(tmp_path / "model")
    wanted = pipeline()
    apply_edits(wanted.model, [RemoveBlocks(indices=(0, 3))])
    assert made.model.edits == wanted.model.edits
    assert torch.equal(made.sample(2, label=3), wanted.sample(2, label=3))
    assert len(task.plain.model.blocks) == 4


def test_a_search_finds_the_blocks_that_do_nothing(tmp_path):
    """Blocks 1 and 2 are silenced; what is kept must be 0 and 3, by the averaged logits."""
    pipe = pipeline()
    with torch.no_grad():
        for i in (1, 2):
            for p in pipe.model.blocks[i].parameters():
                p.mul_(0.0)
    config = DepthSearch(groups=HALF, rank=0)
    trainer = Trainer(batch=16, steps=60, optimiser=AdamW(lr=1e-3), emas=(Fixed(rate=0.9),))
    result = trainer.fit(config.build(pipe, {}), Digits().open("train"), tmp_path / "run")
    assert Pipeline.from_pretrained(result.folder).model.edits == (RemoveBlocks(indices=(1, 2)),)


def test_groups_that_do_not_fit_are_refused():
    with pytest.raises(FrisketError, match="groups of 4 blocks in all, not 6"):
        DepthSearch(groups=((1, 2), (2, 4))).build(pipeline(), {})
    with pytest.raises(FrisketError, match=r"task\.temperature"):
        DepthSearch(groups=HALF, temperature=(4.0, 0.0))


def test_a_preview_samples_the_pruned_model():
    task = DepthSearch(groups=HALF).build(pipeline(), {})
    assert task.preview(at(), 2).shape == (2, 1, 8, 8)
