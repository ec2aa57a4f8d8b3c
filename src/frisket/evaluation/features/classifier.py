"""The default extractor: a small classifier trained once per data set on its own labels, then cached.

Published scores use networks trained on ImageNet, which say little about 8x8 digits or drawn scenes; a classifier of
the set itself sees what matters there. Two configs with other seeds (or other halves of the data) are independent
judges: one may be optimised against, the other then scores.
Weights, order, shifts and halves come from counter-based draws, so a cache that is lost is rebuilt alike.
Shapes: b batch, c channels, d features, k classes.
"""

from __future__ import annotations

import hashlib
import logging
import math
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from frisket.core import random
from frisket.core.config import digest
from frisket.core.errors import check
from frisket.core.files import load_tensors, save_tensors
from frisket.core.registry import register
from frisket.core.step import Step
from frisket.data.base import Data, Info, Source, Stream
from frisket.evaluation.features.base import cache_folder

log = logging.getLogger(__name__)
VERSION = "1"  # raise when the network or its training changes, so that no older cache is read
TESTED = 2000


@register("features/classifier")
@dataclass(frozen=True, kw_only=True)
class Classifier:
    """Features (b, d) before the last layer, and probabilities over the set's classes.

    width: first channels and d = 4 * width features. steps, batch, rate: of AdamW under a one-cycle rate. shift:
    largest random translation in training, in pixels. seed: of everything random. half: train on every item, or only
    those with an even or odd number.
    """

    width: int = 16
    steps: int = 500
    batch: int = 64
    rate: float = 8e-3
    shift: int = 1
    seed: int = 0
    half: Literal["all", "even", "odd"] = "all"

    def __post_init__(self):
        check(self.half in ("all", "even", "odd"), "features.half", self.half, "'all', 'even' or 'odd'")
        for name in ("width", "steps", "batch"):
            check(getattr(self, name) >= 1, f"features.{name}", getattr(self, name), "at least 1")
        check(self.rate > 0, "features.rate", self.rate, "positive")
        check(self.shift >= 0, "features.shift", self.shift, "at least 0")

    def build(self, data: Data) -> ClassifierExtractor:
        """Load the classifier of `data`, or train and store it.

        Raises `FrisketError` when the set has no classes or is not made of arrays.
        """
        source = data.open("train")
        info = source.info
        check(len(info.classes) >= 2, "features", "classifier",
              "another part (pixels, inception, dinov2): this data set has no class labels")  # fmt: skip
        check(bool(info.shape), "features", "classifier", f"another part: items of kind {info.kind!r} are not arrays")
        check(self.half == "all" or hasattr(source, "batch"), "features.half", self.half, "'all' for a stream")
        path = self.path(info)
        model = network(info.shape, len(info.classes), self.width, self.seed)
        if path.is_file():
            weights = load_tensors(path)
            accuracy = float(weights.pop("test_accuracy"))
            model.load_state_dict(weights)
        else:
            self._train(model, source)
            accuracy = self._test(model, data.open("test"))
            kept = {**model.state_dict(), "test_accuracy": torch.tensor(accuracy, dtype=torch.float64)}
            save_tensors(path, kept, {"data": info.digest})
            log.info("trained a classifier (%.1f %% on the test split): %s", 100 * accuracy, path)
        return ClassifierExtractor(model.eval().requires_grad_(False), len(info.classes), accuracy, path.stem)

    def path(self, info: Info) -> Path:
        """The cache file: named by this config, the data's content hash, its shape and its classes."""
        facts = repr((VERSION, digest(self), info.digest, info.shape, info.classes))
        return cache_folder() / "features" / f"classifier-{hashlib.sha256(facts.encode()).hexdigest()[:16]}.safetensors"

    def _train(self, model: nn.Module, source: Source | Stream) -> None:
        optimiser = torch.optim.AdamW(model.parameters(), lr=self.rate, weight_decay=0.02, fused=True)
        order = self._order(source.info.size) if hasattr(source, "batch") else None
        model.train()
        for index in range(self.steps):
            rows = torch.arange(index * self.batch, (index + 1) * self.batch)
            step = Step(seed=self.seed, sample=rows, index=index)
            batch = source.read(self.batch) if order is None else source.batch(order[rows])  # type: ignore[union-attr]
            x = shifted(batch["x"].float(), step, self.shift) if batch["x"].ndim == 4 else batch["x"].float()
            loss = nn.functional.cross_entropy(model(x), batch["label"])
            done = (index + 1) / self.steps
            for group in optimiser.param_groups:  # up over the first tenth, then half a cosine down
                group["lr"] = self.rate * min(done * 10, 0.5 + 0.5 * math.cos(math.pi * max(0.0, done - 0.1) / 0.9))
            optimiser.zero_grad(set_to_none=True)
            loss.backward()
            optimiser.step()

    def _order(self, size: int | None) -> Int[Tensor, "n"]:
        """The items of all steps: shuffled anew each epoch, or the first ones of an endless set."""
        rows = torch.arange(self.steps * self.batch)
        parity, stride = {"all": (0, 1), "even": (0, 2), "odd": (1, 2)}[self.half]
        if size is None:
            return rows * stride + parity
        count = (size - parity + stride - 1) // stride
        word = random.hash_text(f"classifier order {self.seed}")
        epochs = [random.permutation_of(part % count, count, word + i) for i, part in enumerate(rows.split(count))]
        return torch.cat(epochs) * stride + parity

    def _test(self, model: nn.Module, source: Source | Stream) -> float:
        n = min(source.info.size or TESTED, TESTED)
        batch = source.batch(torch.arange(n)) if hasattr(source, "batch") else source.read(n)  # type: ignore[union-attr]
        model.eval()
        with torch.no_grad():
            return float((model(batch["x"].float()).argmax(1) == batch["label"]).double().mean())


class ClassifierExtractor:
    """A trained classifier, frozen. accuracy: on the test split, in [0, 1]."""

    def __init__(self, model: nn.Module, classes: int, accuracy: float, name: str):
        self.model, self.classes, self.accuracy, self.name = model, classes, accuracy, name

    @torch.no_grad()
    def __call__(self, x: Float[Tensor, "b ..."]) -> tuple[Float[Tensor, "b d"], Float[Tensor, "b k"]]:
        features = self.model[:-1](x.float())  # type: ignore[index]
        return features, self.model[-1](features).softmax(-1)  # type: ignore[index]


def network(shape: tuple[int, ...], classes: int, width: int, seed: int) -> nn.Sequential:
    """Convolutions over images (c, h, w) until 4x4 or less remain, a perceptron over anything else."""
    wide = 4 * width
    if len(shape) == 3:
        layers: list[nn.Module] = [nn.Conv2d(shape[0], width, 3, padding=1), nn.SiLU()]
        channels, size = width, max(shape[1:])
        while size > 4:
            out = min(2 * channels, wide)
            layers += [nn.Conv2d(channels, out, 3, padding=1), nn.GroupNorm(1, out), nn.SiLU()]
            layers += [nn.MaxPool2d(2, ceil_mode=True)]
            channels, size = out, (size + 1) // 2
        flat = channels * math.prod(_shrunk(s, max(shape[1:])) for s in shape[1:])
        layers += [nn.Flatten(), nn.Linear(flat, wide)]
    else:
        layers = [nn.Flatten(), nn.Linear(math.prod(shape), 2 * wide), nn.SiLU(), nn.Linear(2 * wide, wide)]
    # normalised, so that features of any set have a scale near 1 and a cubic kernel on them is not ruled by outliers
    model = nn.Sequential(*layers, nn.LayerNorm(wide), nn.SiLU(), nn.Linear(wide, classes))
    initialise(model, seed)
    return model


def _shrunk(size: int, largest: int) -> int:
    while largest > 4:
        size, largest = (size + 1) // 2, (largest + 1) // 2
    return size


def initialise(model: nn.Module, seed: int) -> None:
    """Normal weights of variance 2 / fan-in and zero biases, each tensor keyed by its name."""
    for name, value in model.named_parameters():
        with torch.no_grad():
            if value.ndim < 2:
                value.fill_(1.0 if name.endswith("weight") else 0.0)
                continue
            keys = random.key(seed, torch.zeros(1, dtype=torch.int64), random.hash_text("classifier " + name))
            value.copy_(random.normal(keys, value.numel()).reshape(value.shape) * math.sqrt(2 / value[0].numel()))


def shifted(x: Float[Tensor, "b c h w"], step: Step, largest: int) -> Float[Tensor, "b c h w"]:
    """Each image moved by up to `largest` pixels per axis, edges repeated."""
    if largest == 0:
        return x
    b, _, h, w = x.shape
    moves = (step.draw("shift", (2,), "uniform") * (2 * largest + 1)).long()  # (b, 2) in 0..2 largest
    padded = nn.functional.pad(x, [largest] * 4, mode="replicate")
    rows = moves[:, 0, None] + torch.arange(h)  # (b, h)
    columns = moves[:, 1, None] + torch.arange(w)  # (b, w)
    index = torch.arange(b)[:, None, None]
    return padded.permute(0, 2, 3, 1)[index, rows[:, :, None], columns[:, None, :]].permute(0, 3, 1, 2)
