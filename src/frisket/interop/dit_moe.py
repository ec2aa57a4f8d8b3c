"""Official DiT-MoE weights (feizc/DiT-MoE models.py, read for facts).

DiT's names, with `moe.experts.i`, `moe.gate` and `moe.shared_experts` in place of the MLP; the flash variant (those of
the larger releases) names its attention otherwise and normalises queries and keys. The releases S and B are trained as
DiT is ("dit-moe"), XL and G along straight paths, t raw in [0, 1] with 1 = noise, and leave the head's variance half out
("dit-moe-rf").
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from frisket.core.errors import check
from frisket.interop.dit import ENDS, dit_pipeline, wired
from frisket.interop.official import Taken, official, published_heads, renamed, wires
from frisket.models.backbones.sizes import DIT
from frisket.models.backbones.transformer import Transformer
from frisket.models.block import Block, Branch, repeat
from frisket.models.doors import Door
from frisket.models.layers.attention import Attention
from frisket.models.layers.embedders import ClassIds, Timestep
from frisket.models.layers.ends import Patches, PatchesOut
from frisket.models.layers.experts import Experts
from frisket.models.layers.ffn import SwiGLU
from frisket.models.layers.norms import LayerNorm
from frisket.processes.densities import LogitNormal
from frisket.processes.gaussian import Gaussian
from frisket.sampling.guidance import cfg
from frisket.sampling.pipeline import Pipeline
from frisket.sampling.sampler import Sampler
from frisket.sampling.solvers.euler import Euler

SIZES = DIT | {"G": (40, 1408, 16)}
PROCESS = Gaussian(density=LogitNormal())
ATTENTION, FLASH = "branches.attn.mixer.", {"attn.Wqkv": "qkv", "attn.out_proj": "inner.out"}
PLAIN = {"attn.qkv": "qkv", "attn.proj": "inner.out"}
NORMS = {"attn.q_norm": "inner.q_norm", "attn.k_norm": "inner.k_norm"}
FFN = "branches.ffn.mixer."


def moe_block(experts: int = 8, active: int = 2, *, qk_norm: LayerNorm | None = None) -> Block:
    """DiT's block with experts in place of the MLP: SwiGLU of hidden width 4 d each, a shared one of 2 d."""
    mixture = Experts(experts=experts, active=active, expert=SwiGLU(ratio=4.0), shared=SwiGLU(ratio=2.0))
    attention = Attention(qk_norm=qk_norm)
    return Block(branches=(Branch(name="attn", mixer=attention), Branch(name="ffn", mixer=mixture)))


def dit_moe(
    size: str, experts: int, *, patch: int = 2, channels: int = 4, side: int = 32, classes: int = 1000, unused: int = 0
) -> Transformer:
    """A published size ("S", "B", "L", "XL", "G"). unused: channels of the head that the prediction leaves out."""
    depth, width, heads = SIZES[size]
    return Transformer(
        width=width, heads=heads, input=Patches(channels=channels, size=(side, side), patch=patch),
        output=PatchesOut(channels=2 * channels - unused, unused=unused),
        doors=(Door(name="label", embedder=ClassIds(classes=classes)),), blocks=repeat(moe_block(experts), depth),
    )  # fmt: skip


@official("dit-moe")
def load_dit_moe(
    weights: Taken, /, *, num_heads: int | None = None, num_experts_per_tok: int = 2
) -> tuple[Transformer, dict[str, Tensor]]:
    """num_heads: of attention; that of the published size of this depth and width if None. num_experts_per_tok: how many
    experts a token passes, which the weights do not tell."""
    return _load(weights, num_heads, num_experts_per_tok, drop_variance=False)


@official("dit-moe-rf")
def load_dit_moe_rf(
    weights: Taken, /, *, num_heads: int | None = None, num_experts_per_tok: int = 2
) -> tuple[Transformer, dict[str, Tensor]]:
    """As `dit-moe`; the head's second half stays in the weights and out of the prediction."""
    return _load(weights, num_heads, num_experts_per_tok, drop_variance=True)


def _load(weights: Taken, heads: int | None, active: int, drop_variance: bool) -> tuple[Transformer, dict[str, Tensor]]:
    patches, table = weights("x_embedder.proj.weight"), weights("pos_embed")
    width, channels, patch, _ = patches.shape
    side, depth = math.isqrt(table.shape[1]) * patch, weights.depth("blocks.")
    out = weights("final_layer.linear.weight").shape[0] // patch**2
    check(out in (channels, 2 * channels), "channels of the head", out, f"{channels} or {2 * channels}")
    unused = channels if drop_variance and out == 2 * channels else 0
    flash = "blocks.0.attn.Wqkv.weight" in weights.weights
    norm = LayerNorm(affine="both") if flash else None
    config = Transformer(
        width=width, heads=published_heads(SIZES, depth, width) if heads is None else heads,
        input=Patches(channels=channels, size=(side, side), patch=patch),
        output=PatchesOut(channels=out - unused, unused=unused),
        time=Timestep(frequencies=weights("t_embedder.mlp.0.weight").shape[1]),
        doors=(Door(name="label", embedder=ClassIds(classes=_classes(weights))),),
        blocks=repeat(moe_block(weights.depth("blocks.0.moe.experts."), active, qk_norm=norm), depth),
    )  # fmt: skip
    ours = renamed(weights, ENDS)
    pairs = {a: ATTENTION + b for a, b in (FLASH | NORMS if flash else PLAIN).items()}
    pairs |= {"adaLN_modulation.1": "modulation.linear", "moe.gate": FFN + "router.linear"}
    for i in range(depth):
        ours |= renamed(weights, pairs, f"blocks.{i}.", f"blocks.{i}.")
        for theirs, name in _experts(weights, f"blocks.{i}.moe."):
            ours |= _swiglu(weights, f"blocks.{i}.moe.{theirs}.", f"blocks.{i}.{FFN}{name}.")
    ours["input.linear.weight"], ours["input.linear.bias"] = patches.flatten(1), weights("x_embedder.proj.bias")
    ours["positions.table"] = table[0]
    ours["doors.embedders.label.table.weight"] = weights("y_embedder.embedding_table.weight")
    return config, ours


def _classes(weights: Taken) -> int:
    return weights("y_embedder.embedding_table.weight").shape[0] - 1


def _experts(weights: Taken, prefix: str) -> list[tuple[str, str]]:
    """Official and our names of a block's feed-forward parts."""
    names = [f"experts.{e}" for e in range(weights.depth(f"{prefix}experts."))]
    return [*((name, name) for name in names), ("shared_experts", "shared")]


def _swiglu(weights: Taken, theirs: str, ours: str) -> dict[str, Tensor]:
    both = [weights(f"{theirs}{name}.weight") for name in ("gate_proj", "up_proj")]
    return {f"{ours}up.weight": torch.cat(both), f"{ours}down.weight": weights(f"{theirs}down_proj.weight")}


@wires("dit-moe")
def dit_moe_pipeline(model: nn.Module, /, *, vae: str | None = None) -> Pipeline:
    """As DiT."""
    return dit_pipeline(model, vae=vae)


@wires("dit-moe-rf")
def dit_moe_rf_pipeline(model: nn.Module, /, *, vae: str | None = None) -> Pipeline:
    """As trained: straight paths, times denser in the middle; as sampled: 50 Euler steps with guidance 2 on all
    channels."""
    return wired(model, PROCESS, Sampler(steps=50, update=Euler(), guidance=cfg(2.0)), vae)
