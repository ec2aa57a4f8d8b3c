"""A small transformer with every weight filled, a pipeline around it, and a call of it."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import torch

from frisket.codecs.pixels import Pixels
from frisket.core.condition import Condition
from frisket.data.digits import Digits
from frisket.models.backbones.transformer import Transformer
from frisket.models.block import Block, Branch, repeat
from frisket.models.doors import Door
from frisket.models.layers.attention import Attention
from frisket.models.layers.embedders import ClassIds
from frisket.models.layers.ends import Patches
from frisket.models.layers.ffn import Gelu, SwiGLU
from frisket.processes.gaussian import Gaussian
from frisket.sampling.guidance import cfg
from frisket.sampling.pipeline import Pipeline
from frisket.sampling.sampler import Sampler

GATED = Block(branches=(Branch(name="attn", mixer=Attention()), Branch(name="ffn", mixer=SwiGLU(ratio=2.0))))
PLAIN = Block(branches=(Branch(name="attn", mixer=Attention(qkv_bias=False, out_bias=False)),
                        Branch(name="ffn", mixer=Gelu(ratio=2.0, bias=False))))  # fmt: skip
CONFIG = Transformer(
    width=16, heads=4, input=Patches(size=(8, 8), patch=4), doors=(Door(embedder=ClassIds(classes=10)),),
    blocks=repeat(Block(branches=(Branch(), Branch(name="ffn", mixer=Gelu(ratio=2.0)))), 4),
)  # fmt: skip
X = torch.randn(3, 1, 8, 8, generator=torch.Generator().manual_seed(0))
CALL = (X, torch.tensor([0.1, 0.5, 0.9]), Condition.of(label=torch.tensor([0, 2, 7])))


def built(seed: int = 1, config: Transformer = CONFIG) -> Any:
    """The model with every weight drawn, adaLN's gates too."""
    model = config.build()
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for p in model.parameters():
            p.normal_(0.0, 0.3, generator=generator)
    return model.eval()


def pipeline(seed: int = 1, config: Transformer = CONFIG, steps: int = 3, scale: float = 1.5) -> Pipeline:
    """A pipeline of digits around `built`."""
    model, info = built(seed, config), Digits().open("train").info
    return Pipeline(model, Gaussian(), Pixels().fit(Digits().open("train")), Sampler(steps=steps, guidance=cfg(scale)), info)


def of_depth(depth: int) -> Transformer:
    return replace(CONFIG, blocks=CONFIG.blocks[:1] * depth)
