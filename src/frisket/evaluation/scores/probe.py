"""What a model's blocks know of the class, read by a linear probe of noisy data.

The tokens behind every block, averaged over the state, are mapped to the classes by ridge regression, which has a closed
form: nothing is trained and nothing is tuned but for a fixed penalty. All conditions are dropped, so the class can only
come from the state.
Shapes: b batch, n items, d features, k classes, l blocks.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from jaxtyping import Float, Int
from torch import Tensor

from frisket.core.errors import FrisketError, check
from frisket.core.registry import register
from frisket.core.sites import Handler, install
from frisket.core.state import moved, shape_of
from frisket.core.step import Step, use_step
from frisket.data.base import Data
from frisket.models.numbering import blocks_of
from frisket.processes.base import Process
from frisket.sampling.conditions import class_counts, read_conditions
from frisket.sampling.pipeline import Pipeline

BATCH = 128


@register("score/probe")
@dataclass(frozen=True, kw_only=True)
class Probe:
    """probe: the share of n test items whose class is read right, in the mean over blocks; probe_best: of the best block.
    t: how noisy the items are. items: of the training split, to fit the probe. penalty: on standardised features."""

    gives: ClassVar[tuple[str, ...]] = ("probe", "probe_best")
    better: ClassVar[str] = "more"
    t: float = 0.3
    items: int = 1024
    penalty: float = 1e-2

    def __post_init__(self):
        check(0 <= self.t <= 1, "score.t", self.t, "between 0 and 1")
        check(self.items >= 2, "score.items", self.items, "at least 2")
        check(self.penalty > 0, "score.penalty", self.penalty, "positive")

    def take(self, pipeline: Pipeline, data: Data, n: int, seed: int) -> dict[str, float]:
        found = self.blocks(pipeline, data, n, seed)
        return {"probe": float(found.mean()), "probe_best": float(found.max())}

    def blocks(self, pipeline: Pipeline, data: Data, n: int, seed: int) -> Float[Tensor, "l"]:
        """The share read right behind each block. Raises `FrisketError` on data without classes."""
        classes = len(pipeline.info.classes)
        check(classes >= 2, "classes of the data", classes, "at least 2, or there is nothing to read")
        known, labels = self._features(pipeline, data.open("train"), self.items, seed)
        asked, truth = self._features(pipeline, data.open("test"), n, seed + 1)
        pairs = zip(known, asked, strict=True)
        return torch.tensor([accuracy(a, labels, b, truth, classes, self.penalty) for a, b in pairs])

    @torch.no_grad()
    def _features(
        self, pipeline: Pipeline, source: Any, n: int, seed: int
    ) -> tuple[Float[Tensor, "l n d"], Int[Tensor, "n"]]:
        """Mean tokens behind every block of the first items of a source, and their labels."""
        if not hasattr(source, "batch"):
            raise FrisketError("this data set is a stream; a probe needs random access")
        n, parts, labels = min(n, source.info.size or n), [], []
        was_training = pipeline.model.training
        pipeline.model.eval()
        try:
            for first in range(0, n, BATCH):
                ids = torch.arange(first, min(first + BATCH, n))
                batch = source.batch(ids)
                parts.append(
                    self._one(pipeline, batch["x"].to(pipeline.device), Step(seed=seed, sample=ids, run="probe"))
                )
                labels.append(batch["label"])
        finally:
            pipeline.model.train(was_training)
        return torch.cat(parts, 1), torch.cat(labels)

    def _one(self, pipeline: Pipeline, x: Tensor, step: Step) -> Float[Tensor, "l b d"]:
        process: Process = pipeline.process
        state, model = pipeline.coder.encode(x), pipeline.model
        t = torch.full((len(x),), self.t, dtype=torch.float64, device=x.device)
        noise = moved(process.noise(shape_of(state), step), x.device)
        corrupted = process.corrupt(state, t, noise)
        dropped: dict[str, Any] = dict.fromkeys(getattr(getattr(model, "doors", None), "ways", ()))
        counts = class_counts(model, pipeline.info)
        cond = read_conditions(dropped, len(x), counts, pipeline.info, x.device, pipeline.readers) if dropped else None
        found: dict[int, Tensor] = {}
        handlers = {f"block[{i}]": _mean(found, i) for i in range(len(blocks_of(model)))}
        with use_step(step), install(model, handlers):
            model(corrupted.x_t, process.model_time(corrupted.local), cond)
        return torch.stack([found[i] for i in sorted(found)]).double().cpu()


def accuracy(
    known: Float[Tensor, "n d"], labels: Int[Tensor, "n"], asked: Float[Tensor, "m d"], truth: Int[Tensor, "m"],
    classes: int, penalty: float,
) -> float:  # fmt: skip
    """The share of `asked` whose class ridge regression on `known` reads right. penalty: over the number of items."""
    mean, std = known.mean(0), known.std(0).clamp(min=1e-8)
    a, b = (known - mean) / std, (asked - mean) / std
    goal = torch.nn.functional.one_hot(labels, classes).to(a)
    centre = goal.mean(0)
    square = a.T @ a + penalty * len(a) * torch.eye(a.shape[1], dtype=a.dtype)
    read = b @ torch.linalg.solve(square, a.T @ (goal - centre)) + centre
    return float((read.argmax(1) == truth).double().mean())


def _mean(found: dict[int, Tensor], i: int) -> Handler:
    def handle(call, args, step):
        tokens = call(*args)
        found[i] = tokens.h.mean(1)
        return tokens

    return handle
