"""A small sited model with weights that hide nothing, and a sampler's call of it by hand."""

from __future__ import annotations

import torch

from frisket.core import Condition, Step, use_step
from frisket.models.backbones.transformer import Transformer
from frisket.models.block import Block, repeat
from frisket.models.doors import Door
from frisket.models.layers.embedders import ClassIds
from frisket.models.layers.ends import Patches, PatchesOut

LABEL = Door(name="label", embedder=ClassIds(classes=3))


def tiny(depth: int = 3, seed: int = 0, scale: float = 0.3):
    """A transformer of 4x4 images in 4 tokens; nothing is at its zero initialisation."""
    config = Transformer(
        width=16, heads=2, input=Patches(channels=1, size=(4, 4), patch=2), output=PatchesOut(channels=1),
        doors=(LABEL,), blocks=repeat(Block(), depth),
    )  # fmt: skip
    model = config.build().eval()
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for p in model.parameters():
            p.add_(scale * torch.randn(p.shape, generator=generator))
    return model


def forward(model, x, t: float, index: int, total: int = 10, **step):
    """The model's output at one step of a run of the samples 0, 1, ..."""
    step = {"sample": torch.arange(len(x))} | step
    with use_step(Step(seed=0, index=index, total=total, **step)), torch.no_grad():
        return model(x, torch.full((len(x),), t), Condition.of(label=torch.arange(len(x)) % 3)).pred


def states(count: int, batch: int = 2, size: int = 4, seed: int = 0):
    """A list of random states."""
    return list(torch.randn(count, batch, 1, size, size, generator=torch.Generator().manual_seed(seed)))
