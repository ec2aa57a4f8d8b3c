"""How well a trained segmenter finds the segments of held-out images: panoptic quality, average precision, mean IoU.

Shapes: b images, h height, w width, k classes.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from jaxtyping import Bool, Int
from torch import Tensor

from frisket.core.errors import FrisketError, check
from frisket.core.registry import register
from frisket.data.base import Batch, Data
from frisket.evaluation.metrics.average_precision import average_precision
from frisket.evaluation.metrics.mean_iou import confusion, mean_iou
from frisket.evaluation.metrics.panoptic_quality import Tally, tally
from frisket.sampling.pipeline import Pipeline
from frisket.sampling.segmenter import Segmenter

CHUNK = 64


@register("score/segments")
@dataclass(frozen=True, kw_only=True)
class SegmentScore:
    """On the first n test images: "pq", "sq", "rq" of the panoptic map, "ap", "ap50" of the instances of countable
    classes, "miou" of the semantic map; all in [0, 1], higher is better."""

    gives: ClassVar[tuple[str, ...]] = ("pq", "sq", "rq", "ap", "ap50", "miou")

    def take(self, pipeline: Pipeline, data: Data, n: int, seed: int) -> dict[str, float]:
        """The six numbers; nothing is random, so `seed` is not read. Raises `FrisketError` on a pipeline that holds no
        segmenter, and on images without `semantic` and `instances`."""
        segmenter = Segmenter(pipeline)
        total, counts = Tally.empty(segmenter.classes), torch.zeros(segmenter.classes, segmenter.classes).long()
        images: list[Any] = []
        for batch in test_batches(data, n):
            found = segmenter.segment(batch["x"])
            truth, numbers = batch["semantic"], batch["instances"]
            counts += confusion(found.semantic, truth, segmenter.classes)
            for i, own in enumerate(found.instances):
                drawn = found.panoptic.classes[i], found.panoptic.segments[i]
                total += tally(*drawn, truth[i], numbers[i], segmenter.classes)
                images.append((own.classes, own.scores, own.masks, *things(truth[i], numbers[i], segmenter.stuff)))
        return {**total.qualities(), **average_precision(images), "miou": mean_iou(counts)}


def test_batches(data: Data, n: int) -> list[Batch]:
    """The first n test images, in batches. Raises `FrisketError` if they cannot be asked for or are not segmented."""
    check(n >= 1, "n", n, "at least 1")
    source: Any = data.open("test")
    if not hasattr(source, "batch"):
        raise FrisketError("this data set is a stream; measuring needs random access")
    ids = torch.arange(min(n, source.info.size or n))
    batches = [source.batch(part) for part in ids.split(CHUNK)]
    for name in ("semantic", "instances"):
        if name not in batches[0]:
            raise FrisketError(f"segments are measured against {name!r}; the data offers {sorted(batches[0])}")
    return batches


def things(
    semantic: Int[Tensor, "h w"], numbers: Int[Tensor, "h w"], stuff: tuple[int, ...]
) -> tuple[Int[Tensor, "m"], Bool[Tensor, "m h w"]]:
    """Classes and masks of an image's countable segments."""
    countable = (semantic >= 0) & ~torch.isin(semantic, torch.tensor(stuff, dtype=semantic.dtype))
    pairs = torch.stack([semantic[countable], numbers[countable]], 1).unique(dim=0)  # (m, 2)
    classes, own = pairs.unbind(1)
    masks = (semantic == classes[:, None, None]) & (numbers == own[:, None, None])
    return classes, masks
