"""The codec task: a vector-quantised autoencoder learns to give images back, its codebook follows its encoder.

Terms: reconstruction (mean absolute and squared error) and commitment, of arXiv 1711.00937. No adversarial and no
perceptual term. The codebook moves after each update, by the cells of the whole batch, over all processes.
Shapes: b batch, k codes, d width of a code, n cells.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from frisket.codecs.vq import Quantised, VQCodec
from frisket.core.errors import FrisketError, check
from frisket.core.registry import register
from frisket.core.step import Step
from frisket.data.base import Batch
from frisket.models.count import count_macs_through
from frisket.sampling.pipeline import Pipeline


@register("task/codec")
@dataclass(frozen=True, kw_only=True)
class Codec:
    """commitment: weight of its term. squared: share of the squared error in the reconstruction; the rest is absolute.
    decay: of the codebook's running means. least: running count below which a code restarts."""

    commitment: float = 0.25
    squared: float = 0.5
    decay: float = 0.99
    least: float = 0.1

    def __post_init__(self):
        check(self.commitment >= 0, "task.commitment", self.commitment, "0 or more")
        check(0 <= self.squared <= 1, "task.squared", self.squared, "between 0 and 1")
        check(0 <= self.decay < 1, "task.decay", self.decay, "at least 0 and below 1")
        check(self.least >= 0, "task.least", self.least, "0 or more")

    def step_macs(self, experiment: Any, forward: int) -> float:
        """Multiply-accumulates of one training step for a sample: the codec forward and backward."""
        return 3.0 * autoencoding_macs(experiment)

    def build(self, pipeline: Pipeline, needs: Mapping[str, Pipeline] | None = None) -> CodecTask:
        """The task that trains the pipeline's codec. Raises `FrisketError` on a codec that is not quantised."""
        return CodecTask(self, pipeline)


class CodecTask(nn.Module):
    """Trains a pipeline's codec; calling it computes the loss."""

    def __init__(self, config: Codec, pipeline: Pipeline):
        super().__init__()
        if not isinstance(pipeline.coder, VQCodec):
            raise FrisketError(f"task/codec trains codec/vq, not {type(pipeline.codec).__name__}")
        self.config, self.pipeline = config, pipeline
        self.codec: VQCodec = pipeline.coder
        self.seen: list[tuple[Tensor, Tensor]] = []

    def forward(self, batch: Batch, step: Step) -> dict[str, Tensor]:
        return self.loss(batch, step)

    def trains(self) -> dict[str, nn.Module]:
        return {"codec": self.codec}

    def loss(self, batch: Batch, step: Step) -> dict[str, Tensor]:
        """`reconstruct` and `commit`, means over the batch."""
        found = self.codec.quantise(self.codec.features(batch["x"]))
        gap = self.codec.decode_codes(found.z) - batch["x"]
        share = self.config.squared
        if self.training:
            self._note(found)
        return {
            "reconstruct": share * gap.square().mean() + (1 - share) * gap.abs().mean(),
            "commit": self.config.commitment * found.commitment.mean(),
        }

    def after_step(self, step: Step) -> None:
        """The codebook follows what this update's batch chose; codes that nothing chooses restart."""
        if not self.seen:
            return
        ids, cells = (torch.cat(parts) for parts in zip(*self.seen, strict=True))
        self.seen.clear()
        codes = len(self.codec.codebook)
        chosen = torch.bincount(ids, minlength=codes).to(cells.dtype)
        sums = torch.zeros_like(self.codec.codebook).index_add_(0, ids, cells)
        shared, pool = _summed(torch.cat([chosen[:, None], sums], 1)), _firsts(cells)
        self.codec.follow(shared[:, 0], shared[:, 1:], self.config.decay)
        self.codec.restart(self.config.least, pool, step.shared("restart", (codes,)).to(cells.device))

    def preview(self, step: Step, n: int) -> Any:
        """n training images as they come back."""
        return None

    def save_model(self, folder: Path, weights: Mapping[str, Tensor]) -> None:
        """The pipeline, its codec with these weights (named as in this task)."""
        held = {n: v.clone() for n, v in self.codec.state_dict().items()}
        own = {n.removeprefix("codec."): v for n, v in weights.items() if n.startswith("codec.")}
        self.codec.load_state_dict(own)
        try:
            self.pipeline.save_pretrained(folder)
        finally:
            self.codec.load_state_dict(held)

    def _note(self, found: Quantised) -> None:
        cells = found.raw.detach().movedim(1, -1).flatten(0, 2)
        self.seen.append((found.ids.flatten(), cells))


def autoencoding_macs(experiment: Any) -> int:
    """Multiply-accumulates of the encoder and the decoder of a fitted experiment's codec on one image of its data."""
    codec = experiment.codec.build()
    return count_macs_through(experiment.data.open("train").info.shape, codec.encoder, codec.decoder)


def usage(ids: Tensor, codes: int) -> tuple[float, float]:
    """The share of codes that occur among ids, and the perplexity of their frequencies (`codes` when all are equal)."""
    p = torch.bincount(ids.flatten(), minlength=codes).double() / ids.numel()
    return float((p > 0).double().mean()), float(torch.special.entr(p).sum().exp())


def _summed(values: Tensor) -> Tensor:
    """The sum over all processes."""
    if torch.distributed.is_available() and torch.distributed.is_initialized():
        torch.distributed.all_reduce(values)
    return values


def _firsts(cells: Tensor) -> Tensor:
    """The first process's cells, everywhere."""
    if torch.distributed.is_available() and torch.distributed.is_initialized():
        torch.distributed.broadcast(cells, 0)
    return cells
