"""The segmentation task: predict a set of masks with classes, match it to the segments, compare; no process, no noise.

Mask2Former (arXiv 2112.01527, section 3.3; facts from facebookresearch/Mask2Former criterion.py): every layer's
prediction is matched anew and compared alike; classes by cross-entropy in which "no object" weighs little, a weighted
mean over all queries; masks by cross-entropy and dice at points, summed over matched pairs and divided by the number of
segments. That number and that mean are those of the rows in hand, so micro-batches of unequal content weigh segments a
little differently than one batch would, as official code's workers do for classes. With several processes the official
code averages the number of segments over them; here each uses its own.
Shapes: b batch, q queries, k classes, l layers, n matched pairs, h w an image, H W a mask.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional

from frisket.codecs.base import Codec
from frisket.core.condition import Output
from frisket.core.errors import FrisketError, check
from frisket.core.registry import register
from frisket.core.step import Step, use_step
from frisket.data.base import Batch
from frisket.sampling.pipeline import Pipeline
from frisket.tasks.sets.costs import cross_entropy, dice
from frisket.tasks.sets.matching import LeastCost, Pairs
from frisket.tasks.sets.points import Uncertain, read
from frisket.tasks.sets.segments import Segments, segments_of


@register("task/segmentation")
@dataclass(frozen=True, kw_only=True)
class Segmentation:
    """classes, masks, dice: weights of the three losses. nothing: weight of "no object" in the classes' mean. trunk:
    the trunk's learning rate over the others' (below 1 for one that comes trained)."""

    classes: float = 2.0
    masks: float = 5.0
    dice: float = 5.0
    nothing: float = 0.1
    trunk: float = 1.0
    matching: LeastCost = field(default_factory=LeastCost)
    points: Uncertain = field(default_factory=Uncertain)

    def __post_init__(self):
        for name in ("classes", "masks", "dice", "nothing", "trunk"):
            check(getattr(self, name) >= 0, f"task.{name}", getattr(self, name), "0 or more")

    def build(self, pipeline: Pipeline, needs: Mapping[str, Pipeline] | None = None) -> SegmentationTask:
        """The task that trains the pipeline's segmenter. It needs no other pipeline."""
        return SegmentationTask(self, pipeline)


class SegmentationTask(nn.Module):
    """Trains a pipeline's segmenter on images with `semantic` (b, h, w) and, if things are told apart, `instances`."""

    def __init__(self, config: Segmentation, pipeline: Pipeline):
        super().__init__()
        self.config, self.pipeline = config, pipeline
        self.model: nn.Module = pipeline.model
        self.codec: Codec = pipeline.coder
        own: Any = getattr(self.model, "config", None)
        if not hasattr(own, "classes") or not hasattr(own, "stuff"):
            raise FrisketError(f"segmentation trains a model that names masks; {type(self.model).__name__} does not")
        self.count: int = own.classes
        for parameter in getattr(self.model, "trunk", nn.Module()).parameters():
            parameter.lr_scale = config.trunk  # type: ignore[attr-defined]
        self.fixed = ("codec",)

    def forward(self, batch: Batch, step: Step) -> dict[str, Tensor]:
        return self.loss(batch, step)

    def trains(self) -> dict[str, nn.Module]:
        return {"model": self.model}

    def loss(self, batch: Batch, step: Step) -> dict[str, Tensor]:
        """ "classes", "masks" and "dice", each the sum over all layers' predictions, weighted.

        Raises `FrisketError` on a batch without `semantic` or with a class that the model does not have."""
        targets = segments_of(batch, self.count)
        with torch.no_grad():
            state = self.codec.encode(batch["x"])
        with use_step(step):
            output: Output = self.model(state)
        terms: dict[str, Tensor] = {}
        for i, (classes, masks) in enumerate(predictions(output)):
            for name, term in self.compare(classes, masks, targets, step, i).items():
                terms[name] = terms[name] + term if name in terms else term
        return terms

    def compare(
        self, classes: Float[Tensor, "b q k"], masks: Float[Tensor, "b q H W"], targets: Segments, step: Step, layer: int
    ) -> dict[str, Tensor]:
        """The weighted losses of one layer's prediction (logits), matched to the targets."""
        config = self.config
        points = step.draw(f"matching/{layer}", (config.matching.points, 2), "uniform").float()
        pairs = config.matching.match(classes, masks, targets, points)
        logits, truth = masks[pairs.row, pairs.prediction].float(), targets.masks[pairs.row, pairs.target]
        where = config.points.choose(logits, self._candidates(pairs, targets, step, layer))
        logits, truth = read(logits, where), read(truth, where)
        each = max(1, targets.count)
        return {
            "classes": config.classes * class_loss(classes, targets, pairs, config.nothing),
            "masks": config.masks * cross_entropy(logits, truth).sum() / each,
            "dice": config.dice * dice(logits, truth).sum() / each,
        }

    def _candidates(self, pairs: Pairs, targets: Segments, step: Step, layer: int) -> Float[Tensor, "n c 2"]:
        """Uniform points for each matched pair, drawn by image and target."""
        shape = (targets.classes.shape[1], self.config.points.draws, 2)
        return step.draw(f"points/{layer}", shape, "uniform").float()[pairs.row, pairs.target]

    def preview(self, step: Step, n: int) -> Any:
        """None: a segmenter makes no samples; `frisket run` shows what it finds in held-out images."""
        return None

    def save_model(self, folder: Path, weights: Mapping[str, Tensor]) -> None:
        """The pipeline with these weights (named as in this task), to be loaded by `Pipeline.from_pretrained`."""
        own = {n.removeprefix("model."): v for n, v in weights.items() if n.startswith("model.")}
        self.pipeline.save_pretrained(folder, own)


def predictions(output: Output) -> list[tuple[Tensor, Tensor]]:
    """Class and mask logits of all predictions of a segmenter, the last layer's at the end."""
    earlier = zip(output.aux["layer_classes"].unbind(1), output.aux["layer_masks"].unbind(1), strict=True)
    return [*earlier, (output.aux["classes"], output.pred)]


def class_loss(
    logits: Float[Tensor, "b q k"], targets: Segments, pairs: Pairs, nothing: float = 0.1
) -> Float[Tensor, ""]:
    """Cross-entropy in nats of each query's class, unmatched ones being asked for the last, which weighs `nothing`."""
    last = logits.shape[-1] - 1
    asked = torch.full(logits.shape[:2], last, device=logits.device)
    asked[pairs.row, pairs.prediction] = targets.classes[pairs.row, pairs.target]
    weight = torch.ones(last + 1, device=logits.device)
    weight[last] = nothing
    return functional.cross_entropy(logits.float().transpose(1, 2), asked, weight)
