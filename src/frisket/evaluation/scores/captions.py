"""Whether samples show what their captions say, judged on scenes by a reader that no model has seen.

The reader looks for every object that a caption names, at the place and of the size it states (`Reader.find`), so the
share of objects found needs no picture to compare with. Beside it: how different the samples of one caption are.
Shapes: n samples, k objects of a caption.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from jaxtyping import Float
from torch import Tensor

from frisket.core.errors import FrisketError
from frisket.core.registry import register
from frisket.data.base import Data
from frisket.data.scenes.judge import reader
from frisket.data.scenes.words import parse
from frisket.sampling.pipeline import Pipeline

FOUND = 0.5  # the probability of class and colour from which an object counts as seen


@register("score/captions")
@dataclass(frozen=True, kw_only=True)
class Captions:
    """agreement: share of the objects of n test captions that the samples show. spread: mean absolute difference of two
    samples of one caption, over the first eighth of them. rows: model rows a sample took, every branch of guidance and
    every stage counted."""

    gives: ClassVar[tuple[str, ...]] = ("agreement", "spread", "rows")

    def take(self, pipeline: Pipeline, data: Data, n: int, seed: int) -> dict[str, float]:
        """Raises `FrisketError` unless the model reads captions and the data has them."""
        if "caption" not in pipeline.readers:
            raise FrisketError(
                "the agreement with captions is measured of a model that reads 'caption'; this one does not"
            )
        source: Any = data.open("test")
        captions = source.batch(torch.arange(n))["caption"]
        counted = Counting(pipeline)
        images = pipeline.sample(n, seed=seed, caption=captions)
        rows = counted.stop() / n
        few = max(1, n // 8)
        again = pipeline.sample(few, seed=seed + 1, caption=captions[:few])
        return {
            "agreement": agreement(images, captions).mean().item(),
            "spread": (images[:few] - again).abs().mean().item(),
            "rows": rows,
        }


def agreement(images: Float[Tensor, "n 3 h w"], captions: list[str], judge: Any = None) -> Float[Tensor, "n"]:
    """The share of the objects each caption names that its image shows; 1 for a caption without objects. judge: what
    finds them, the reader that only scores if None."""
    found = (judge or reader("score")).find(images, [parse(text) for text in captions])
    return torch.tensor([sum(p >= FOUND for p in row) / len(row) if row else 1.0 for row in found])


class Counting:
    """Counts the rows that go through a pipeline's model and those of its stages, until it is stopped."""

    def __init__(self, pipeline: Pipeline):
        self.rows = 0
        self.handles = [model.register_forward_pre_hook(self._see) for model in self._models(pipeline)]

    def _models(self, pipeline: Pipeline) -> list[Any]:
        return [pipeline.model, *(m for stage in pipeline.stages.values() for m in self._models(stage))]

    def _see(self, module: Any, args: tuple[Any, ...]) -> None:
        self.rows += len(args[0])

    def stop(self) -> int:
        """Rows so far; nothing is counted any more."""
        for handle in self.handles:
            handle.remove()
        return self.rows
