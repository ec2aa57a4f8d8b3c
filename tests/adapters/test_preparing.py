"""Edits as a preparation: applied in order, saved with the pipeline."""

from frisket.adapters.freeze import Freeze
from frisket.adapters.lora import Lora
from frisket.adapters.preparing import ApplyEdits
from frisket.data.digits import Digits
from frisket.experiments.preparation import Preparation
from frisket.experiments.system import build
from frisket.recipes import dit
from frisket.sampling.pipeline import Pipeline
from frisket.testing import check_config


def test_edits_are_applied_in_order_and_come_back_with_the_pipeline(tmp_path):
    preparing = ApplyEdits(edits=(Lora(rank=2), Freeze()))
    check_config(preparing)
    assert isinstance(preparing, Preparation)
    _, pipeline, _ = build(dit.experiment("tiny").fit())
    same = preparing.apply(pipeline, Digits(), {}, 0)
    assert same is pipeline
    assert pipeline.model.edits == preparing.edits
    again = Pipeline.from_pretrained(pipeline.save_pretrained(tmp_path / "model"))
    assert again.model.edits == preparing.edits
    learning = [n for n, p in again.model.named_parameters() if p.requires_grad]
    assert learning
    assert all(".lora." in n for n in learning)
