"""Parts with one broken promise each."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import torch
from torch import nn

from frisket.codecs.pixels import Pixels
from frisket.core import Condition, Dispatch, FrisketError, Output, register
from frisket.data.base import Info
from frisket.processes.gaussian import Gaussian


class Wrapped:
    """A gaussian process, with some methods replaced."""

    def __init__(self, **methods):
        self.inner, self.methods = Gaussian(), methods

    def __getattr__(self, name):
        method = self.__dict__["methods"].get(name)
        return (lambda *a, **k: method(self.inner, *a, **k)) if method else getattr(self.inner, name)


@register("backbone/toy-of-tests")
@dataclass(frozen=True, kw_only=True)
class Toy:
    """A convolution, a time and a label; `fault` names the promise that its model breaks."""

    fault: str = ""
    channels: int = 1
    out: int = 1
    classes: int = 10

    def fit(self, spec, channels_out, classes):
        return replace(self, channels=spec.shape[0], out=channels_out, classes=classes["label"])

    def build(self):
        return ToyModel(self)


class ToyModel(nn.Module):
    def __init__(self, config: Toy):
        super().__init__()
        self.config, fault = config, config.fault
        self.conv = nn.Conv2d(config.channels, config.out, 3, padding=1)
        self.label = nn.Embedding(config.classes + 1, config.out)
        self.idle = nn.Linear(2, 2) if fault == "idle" else None
        if fault != "seed" and not self.conv.weight.is_meta:
            with torch.no_grad():
                for parameter in self.parameters():
                    parameter.copy_(torch.linspace(-1, 1, parameter.numel()).reshape(parameter.shape))

    def sites(self):
        return ["model", "ghost"] if self.config.fault == "ghost" else ["model"]

    def forward(self, x_t, t=None, cond=None, keep=None):
        return Dispatch(self)("model", self._forward, x_t, t, cond)

    def _forward(self, x_t, t, cond: Condition):
        fault = self.config.fault
        if fault != "deaf" and set(cond.values) != {"label"}:
            raise FrisketError("condition")
        label = cond.values["label"]
        if fault != "drop":
            label = label.masked_fill(cond.dropped("label"), self.config.classes)
        h = self.conv(x_t) + t[:, None, None, None] + self.label(label)[..., None, None]
        if fault == "batch":
            h = h - h.mean(0, keepdim=True)
        if fault == "random":
            h = h + torch.rand(())
        return Output(h.repeat(1, 2, 1, 1) if fault == "shape" else h)


@dataclass(frozen=True, kw_only=True)
class Numbers:
    """Images whose pixels are a function of the id; `fault` names the broken promise."""

    fault: str = ""

    def open(self, split="train"):
        if split not in ("train", "test") and self.fault != "split":
            raise FrisketError("split")
        return NumbersSource(self.fault, split)


class NumbersSource:
    def __init__(self, fault, split):
        self.fault, self.offset = fault, 0 if split == "train" or fault == "leak" else 500
        self.info = Info(kind="image", shape=(1, 2, 2), size=100, digest="" if fault == "digest" else "abc")
        self.calls = 0

    def batch(self, ids):
        self.calls += 1
        x = ((ids + self.offset) / 1000)[:, None, None, None].expand(-1, 1, 2, 2).to(torch.float32)
        x = {"range": x * 3000, "order": x * torch.linspace(0.5, 1, len(ids))[:, None, None, None]}.get(self.fault, x)
        return {"x": x, "id": ids + (self.fault == "id")}


@dataclass(frozen=True, kw_only=True)
class Lossy:
    """Pixels with a fault in how they encode or decode."""

    fault: str
    pixels: Pixels = field(default_factory=Pixels)

    def build(self):
        return self

    def spec(self, info):
        spec = self.pixels.spec(info)
        return replace(spec, shape=(9,)) if self.fault == "shape" else spec

    def encode(self, x, draw=None):
        state = self.pixels.encode(x)
        return state - state.mean(0) if self.fault == "batch" else state

    def decode(self, state):
        back = self.pixels.decode(state)
        return {"wrong": 1 - back, "count": back[:1], "frozen": back.detach()}.get(self.fault, back)
