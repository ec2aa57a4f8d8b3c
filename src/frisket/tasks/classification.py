"""The classification task: predict the label of clean data. It makes the encoders that other trainings read.

Cross-entropy over the set's classes; images may be moved by a few pixels, as the classifier behind the default features
of `evaluation` is trained. That classifier scores samples, so nothing is ever aligned with it: an encoder is another
network, with weights and a seed of its own.
Shapes: b batch, k classes.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from frisket.core.errors import check
from frisket.core.registry import register
from frisket.core.step import Step, use_step
from frisket.data.base import Batch
from frisket.evaluation.features.classifier import shifted
from frisket.sampling.pipeline import Pipeline


@register("task/classification")
@dataclass(frozen=True, kw_only=True)
class Classification:
    """shift: largest random move of an image in training, in pixels along each axis."""

    shift: int = 1

    def __post_init__(self):
        check(self.shift >= 0, "task.shift", self.shift, "0 or more")

    def build(self, pipeline: Pipeline, needs: Mapping[str, Pipeline] | None = None) -> ClassificationTask:
        """The task that trains the pipeline's model. Raises `FrisketError` on data without classes, and on a model that
        tells another number of them apart."""
        return ClassificationTask(self, pipeline)


class ClassificationTask(nn.Module):
    """Trains a pipeline's model, whose output is logits, on `x` and `label`."""

    def __init__(self, config: Classification, pipeline: Pipeline):
        super().__init__()
        count = len(pipeline.info.classes)
        check(count >= 2, "classes of the data", count, "at least 2, or there is nothing to tell apart")
        own = getattr(getattr(pipeline.model, "config", None), "classes", None)
        check(own == count, "classes of the model", own, f"{count}, those of the data")
        self.config, self.pipeline, self.model, self.codec = config, pipeline, pipeline.model, pipeline.coder
        self.fixed = ("codec",)

    def forward(self, batch: Batch, step: Step) -> dict[str, Tensor]:
        return self.loss(batch, step)

    def trains(self) -> dict[str, nn.Module]:
        return {"model": self.model}

    def loss(self, batch: Batch, step: Step) -> dict[str, Tensor]:
        """`classes`, the mean cross-entropy in nats."""
        x = shifted(batch["x"].cpu(), step.at(sample=step.sample.cpu()), self.config.shift).to(batch["x"].device)
        with torch.no_grad():
            state = self.codec.encode(x)
        with use_step(step):
            logits = self.model(state).pred
        return {"classes": functional.cross_entropy(logits.float(), batch["label"])}

    def preview(self, step: Step, n: int) -> Any:
        return None

    def save_model(self, folder: Path, weights: Mapping[str, Tensor]) -> None:
        """The pipeline with these weights."""
        own = {n.removeprefix("model."): v for n, v in weights.items() if n.startswith("model.")}
        self.pipeline.save_pretrained(folder, own)
