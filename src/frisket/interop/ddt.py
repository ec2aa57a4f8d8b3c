"""Official DDT weights (MCG-NJU/DDT src/models/denoiser/decoupled_improved_dit.py, read for facts).

The first blocks of the official list are our encoder's, the others the decoder's. Official times are in [0, 1] with 0
noise and 1 data, fed as they are to a sinusoid whose longest period is 2 pi 10. Three orders differ, and rows are
permuted: official rotary pairs take turns between x and y, ours are those of y, then those of x; the head orders a
patch's outputs (channel, place), ours (place, channel); gate and up of the feed-forward layers are one matrix here.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from frisket.core.errors import FrisketError, check
from frisket.interop.dit import wired
from frisket.interop.official import Taken, official, renamed, wires
from frisket.models.backbones.transformer import Transformer
from frisket.models.block import Block, Branch, repeat
from frisket.models.doors import Door
from frisket.models.encoders import TokenEncoder
from frisket.models.layers.attention import Attention
from frisket.models.layers.embedders import ClassIds, Timestep
from frisket.models.layers.ends import Patches, PatchesOut
from frisket.models.layers.ffn import SwiGLU
from frisket.models.layers.modulation import AdaLN
from frisket.models.layers.norms import RMSNorm
from frisket.models.layers.positions import Rotary
from frisket.processes.densities import LogitNormal
from frisket.processes.gaussian import Gaussian
from frisket.processes.model_times import Reversed
from frisket.processes.predictions import VelocityToData
from frisket.sampling.grids import Last
from frisket.sampling.guidance import cfg
from frisket.sampling.pipeline import Pipeline
from frisket.sampling.sampler import Sampler
from frisket.sampling.scales import Constant, Interval
from frisket.sampling.solvers.euler import Euler

SIZES = {"B": (12, 768, 12, 8), "L": (24, 1024, 16, 20), "XL": (28, 1152, 16, 22)}  # depth, width, heads, encoder
PROCESS = Gaussian(prediction=VelocityToData(), density=LogitNormal(), time=Reversed())
TIME = Timestep(period=10.0)
POSITIONS = Rotary(layout="interleaved", span=16.0)
BLOCK = {
    "norm1": "branches.attn.norm", "norm2": "branches.ffn.norm", "attn.proj": "branches.attn.mixer.inner.out",
    "mlp.w2": "branches.ffn.mixer.down", "adaLN_modulation.0": "modulation.linear",
}  # fmt: skip
ENDS = {
    "x_embedder.proj": "input.linear", "s_embedder.proj": "encoder.input.linear",
    "t_embedder.mlp.0": "time.mlp.up", "t_embedder.mlp.2": "time.mlp.out",
    "final_layer.adaLN_modulation.0": "final_modulation.linear",
}  # fmt: skip


def ddt_block() -> Block:
    """RMS norms, normalised queries and keys, SwiGLU; modulation that is not zero at first."""
    attention = Attention(qk_norm=RMSNorm(), qkv_bias=False)
    return Block(
        branches=(
            Branch(name="attn", mixer=attention, norm=RMSNorm()),
            Branch(name="ffn", mixer=SwiGLU(), norm=RMSNorm()),
        ),
        modulation=AdaLN(),
    )


def ddt_transformer(
    width: int, heads: int, encoder: int, decoder: int, *, patch: int = 2, channels: int = 4, side: int = 32,
    classes: int = 1000,
) -> Transformer:  # fmt: skip
    """encoder, decoder: numbers of blocks."""
    return Transformer(
        width=width, heads=heads, input=Patches(channels=channels, size=(side, side), patch=patch),
        output=PatchesOut(channels=channels), positions=POSITIONS, time=TIME,
        doors=(Door(name="label", embedder=ClassIds(classes=classes)),),
        encoder=TokenEncoder(blocks=repeat(ddt_block(), encoder)), blocks=repeat(ddt_block(), decoder),
    )  # fmt: skip


def ddt_of_size(size: str) -> Transformer:
    """A published size, for latents of 256 pixels and 1,000 classes."""
    depth, width, heads, encoder = SIZES[size]
    return ddt_transformer(width, heads, encoder, depth - encoder)


@official("ddt")
def load_ddt(
    weights: Taken, /, *, num_heads: int | None = None, encoder_blocks: int | None = None, input_size: int = 32,
    patch: int = 2,
) -> tuple[Transformer, dict[str, Tensor]]:  # fmt: skip
    """num_heads, encoder_blocks: those of the published size of this depth and width if None. input_size: the state's
    side. patch: its patches' (none of these is told by the weights)."""
    depth, embed = weights.depth("blocks."), weights("x_embedder.proj.weight")
    width, (channels, rest) = embed.shape[0], divmod(embed.shape[1], patch**2)
    check(rest == 0, "patch", patch, f"one whose square divides {embed.shape[1]}")
    heads, first = _published(depth, width, num_heads, encoder_blocks)
    check(0 < first < depth, "encoder_blocks", first, f"between 1 and {depth - 1}")
    table = weights("y_embedder.embedding_table.weight")
    config = ddt_transformer(
        width, heads, first, depth - first, patch=patch, channels=channels, side=input_size, classes=len(table) - 1
    )
    ours = renamed(weights, ENDS) | {"doors.embedders.label.table.weight": table}
    for kind in ("weight", "bias"):
        rows = weights(f"final_layer.linear.{kind}").unflatten(0, (channels, patch**2))
        ours[f"output.linear.{kind}"] = rows.transpose(0, 1).flatten(0, 1).contiguous()
    for i in range(depth):
        place = f"encoder.blocks.{i}." if i < first else f"blocks.{i - first}."
        ours |= _block(weights, f"blocks.{i}.", place, heads)
    return config, ours


def _published(depth: int, width: int, heads: int | None, first: int | None) -> tuple[int, int]:
    known = next(((h, e) for d, w, h, e in SIZES.values() if (d, w) == (depth, width)), None)
    if known is None and (heads is None or first is None):
        raise FrisketError(
            f"no published size has {depth} blocks of width {width}; give num_heads and encoder_blocks as facts"
        )
    held = known or (0, 0)
    return held[0] if heads is None else heads, held[1] if first is None else first


def _block(weights: Taken, theirs: str, place: str, heads: int) -> dict[str, Tensor]:
    ours = renamed(weights, BLOCK, theirs, place)
    qkv = weights(f"{theirs}attn.qkv.weight")
    order = turned_pairs(qkv.shape[0] // (3 * heads))
    q, k, v = qkv.unflatten(0, (3, heads, -1))
    rows = torch.stack([q[:, order], k[:, order], v])
    ours[f"{place}branches.attn.mixer.qkv.weight"] = rows.flatten(0, 2).contiguous()
    for name in ("q_norm", "k_norm"):
        ours[f"{place}branches.attn.mixer.inner.{name}.weight"] = weights(f"{theirs}attn.{name}.weight")[order]
    gate_and_up = [weights(f"{theirs}mlp.{name}.weight") for name in ("w1", "w3")]
    ours[f"{place}branches.ffn.mixer.up.weight"] = torch.cat(gate_and_up)
    return ours


def turned_pairs(head: int) -> Tensor:
    """Where our features of a head lie in the official order: the odd pairs (y), then the even ones (x)."""
    check(head % 4 == 0, "width of a head", head, "a multiple of 4")
    pairs = torch.arange(head).view(-1, 2)
    return torch.cat([pairs[1::2], pairs[0::2]]).flatten()


@wires("ddt")
def ddt_pipeline(model: nn.Module, /, *, vae: str | None = None) -> Pipeline:
    """As trained: straight paths and their velocity, times denser in the middle; as sampled at 256 pixels: 250 Euler
    steps, the last from t = 0.04, with guidance 2 where t is at most 0.7."""
    return wired(model, PROCESS, ddt_sampler(), vae)


def ddt_sampler(steps: int = 250, scale: float = 2.0) -> Sampler:
    """The released sampler."""
    guidance = cfg(Interval(inside=Constant(value=scale), high=0.7))
    return Sampler(steps=steps, update=Euler(), grid=Last(), guidance=guidance)
