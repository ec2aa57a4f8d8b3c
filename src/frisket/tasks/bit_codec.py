"""The task of a bit codec: reconstruction, a perceptual and an adversarial term, and bits that are used evenly.

MaskBit (arXiv 2409.16211; facts from markweberdev/maskbit modeling/modules/losses.py and modeling/quantizer): squared
error, distance of a classifier's logits, hinge loss of a discriminator with LeCam regularisation (2104.03310) from
`start` on, commitment to the signs, and entropy: each cell's code sure, all codes alike. The discriminator's terms and
the codec's are in one dict with gradients apart: each side sees the other's weights or images as constants, so one
optimiser trains both. Ours: the classifier is a small one of the set's own labels (where the paper has a ResNet-50 of
ImageNet), and the discriminator is a small convolutional one.
Shapes: b batch, c channels, h w pixels.
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

from frisket.codecs.lfq import LFQCodec, entropies, quantise
from frisket.codecs.vq import refill
from frisket.core.errors import FrisketError, check
from frisket.core.registry import register
from frisket.core.step import Step
from frisket.data.base import Batch, Data
from frisket.evaluation.features.classifier import Classifier, network
from frisket.models.count import count_macs_through
from frisket.sampling.pipeline import Pipeline
from frisket.tasks.codec import autoencoding_macs

CITE = "Weber et al. MaskBit: Embedding-free Image Generation via Bit Tokens. 2024. arXiv:2409.16211"


@register("perceptual/classifier")
@dataclass(frozen=True, kw_only=True)
class ByClassifier:
    """The squared distance of a frozen classifier's logits. data: whose labels it learns, once, before the training."""

    data: Data
    features: Classifier = field(default_factory=lambda: Classifier(seed=7))

    def build(self) -> nn.Module:
        return self.features.build(self.data).model

    def macs(self) -> int:
        """Multiply-accumulates of the classifier on one image."""
        info = self.data.open("train").info
        return count_macs_through(info.shape, network(info.shape, len(info.classes), self.features.width, 0))


@register("task/bit-codec", cite=CITE)
@dataclass(frozen=True, kw_only=True)
class BitCodec:
    """Weights of the terms. start: share of the run before the discriminator takes part. lecam: of its regularisation,
    by running means of decay `decay`. temperature: of the soft codes; early: factor of the entropy term at the first step,
    1 after the share `settled` of the run. perceptual: None leaves the term out. width: the discriminator's."""

    reconstruction: float = 4.0
    perceptual: ByClassifier | None = None
    distance: float = 0.1
    adversarial: float = 0.02
    start: float = 0.015
    lecam: float = 0.001
    decay: float = 0.999
    commitment: float = 0.25
    entropy: float = 0.02
    temperature: float = 0.01
    early: float = 2.0
    settled: float = 0.0015
    width: int = 16

    def __post_init__(self):
        for name in ("reconstruction", "distance", "adversarial", "lecam", "commitment", "entropy", "early"):
            check(getattr(self, name) >= 0, f"task.{name}", getattr(self, name), "0 or more")
        for name in ("start", "settled"):
            check(0 <= getattr(self, name) <= 1, f"task.{name}", getattr(self, name), "a share of the run")
        check(0 <= self.decay < 1, "task.decay", self.decay, "at least 0 and below 1")
        check(self.temperature > 0, "task.temperature", self.temperature, "positive")
        check(self.width >= 1, "task.width", self.width, "at least 1")

    def step_macs(self, experiment: Any, forward: int) -> float:
        """Multiply-accumulates of one training step for a sample, in the mean of a run: the codec forward and backward;
        the frozen classifier on both images, backward to the made one alone; the discriminator forward and backward on
        both, and once more, without gradients of its weights, for the codec. The classifier's own training is left out."""
        x = experiment.data.open("train").info.shape
        judged = 0 if self.perceptual is None else self.perceptual.macs()
        told = count_macs_through(x, discriminator(x[0], self.width)) if self.adversarial else 0
        return 3.0 * autoencoding_macs(experiment) + 3 * judged + (1 - self.start) * 8 * told

    def build(self, pipeline: Pipeline, needs: Mapping[str, Pipeline] | None = None) -> BitCodecTask:
        """The task that trains the pipeline's codec. Raises `FrisketError` on a codec that is not of bits."""
        return BitCodecTask(self, pipeline)


class BitCodecTask(nn.Module):
    """Trains a pipeline's codec against a discriminator of its own; calling it computes the loss."""

    means: Tensor

    def __init__(self, config: BitCodec, pipeline: Pipeline):
        super().__init__()
        if not isinstance(pipeline.coder, LFQCodec):
            raise FrisketError(f"task/bit-codec trains codec/lfq, not {type(pipeline.codec).__name__}")
        self.config, self.pipeline = config, pipeline
        self.codec: LFQCodec = pipeline.coder
        self.discriminator = discriminator(self.codec.config.channels, config.width)
        self.judge = config.perceptual.build() if config.perceptual is not None else None
        self.register_buffer("means", torch.zeros(2))  # running means of the discriminator on real and made images
        self.seen: list[Tensor] = []
        self.fixed = ("judge",)

    def forward(self, batch: Batch, step: Step) -> dict[str, Tensor]:
        return self.loss(batch, step)

    def trains(self) -> dict[str, nn.Module]:
        return {"codec": self.codec, "discriminator": self.discriminator}

    def loss(self, batch: Batch, step: Step) -> dict[str, Tensor]:
        """`reconstruct`, `commit`, `entropy`, and where they take part `perceive`, `deceive` (the codec's), `tell` and
        `lecam` (the discriminator's), weighted."""
        config, x = self.config, batch["x"]
        z = self.codec.features(x)
        bits = quantise(z)
        made = self.codec.decode_bits(bits)
        each, mean = entropies(z, config.temperature)
        terms = {
            "reconstruct": config.reconstruction * (made - x).square().mean(),
            "commit": config.commitment * (z - bits.detach()).square().mean(),
            "entropy": config.entropy * self._early(step) * (each - mean),
        }
        if self.judge is not None:
            terms["perceive"] = config.distance * (self.judge(made) - self.judge(x)).square().mean()
        if config.adversarial and step.index >= config.start * step.total:
            terms |= self._adversarial(x, made)
        return terms

    def _adversarial(self, x: Float[Tensor, "b c h w"], made: Float[Tensor, "b c h w"]) -> dict[str, Tensor]:
        held = {name: p.detach() for name, p in self.discriminator.named_parameters()}
        deceived = torch.func.functional_call(self.discriminator, held, (made,))
        real, false = self.discriminator(x), self.discriminator(made.detach())
        if self.training:
            self.seen.append(torch.stack([real.mean(), false.mean()]).detach())
        apart = (
            functional.relu(real - self.means[1]).square().mean()
            + functional.relu(self.means[0] - false).square().mean()
        )
        return {
            "deceive": -self.config.adversarial * deceived.mean(),
            "tell": (functional.relu(1 - real).mean() + functional.relu(1 + false).mean()) / 2,
            "lecam": self.config.lecam * apart,
        }

    def _early(self, step: Step) -> float:
        """The entropy's factor: from `early` down to 1."""
        last = self.config.settled * step.total
        return 1.0 if step.index >= last else self.config.early + (1 - self.config.early) * step.index / last

    def after_step(self, step: Step) -> None:
        """The discriminator's running means follow what this update saw."""
        if self.seen:
            now = torch.stack(self.seen).mean(0)
            self.seen.clear()
            self.means.mul_(self.config.decay).add_(now, alpha=1 - self.config.decay)

    def preview(self, step: Step, n: int) -> Any:
        """None: a codec makes no samples."""
        return None

    def save_model(self, folder: Path, weights: Mapping[str, Tensor]) -> None:
        """The pipeline, its codec with these weights (named as in this task)."""
        held = {n: v.clone() for n, v in self.codec.state_dict().items()}
        self.codec.load_state_dict({n.removeprefix("codec."): v for n, v in weights.items() if n.startswith("codec.")})
        try:
            self.pipeline.save_pretrained(folder)
        finally:
            self.codec.load_state_dict(held)


def discriminator(channels: int, width: int) -> nn.Sequential:
    """Scores (b, 1, y, x) of overlapping pieces of images, with fresh weights of its own generator."""
    with torch.device("meta"):
        layers: list[nn.Module] = [nn.Conv2d(channels, width, 3, padding=1), nn.LeakyReLU(0.2)]
        layers += [nn.Conv2d(width, 2 * width, 4, stride=2, padding=1), nn.LeakyReLU(0.2)]
        model = nn.Sequential(*layers, nn.Conv2d(2 * width, 1, 3, padding=1))
    model.to_empty(device="cpu")
    refill(model, "discriminator")
    return model
