"""Official VDT weights (RERV/VDT models.py, read for facts).

Official states are (b, frames, channels, h, w), ours (b, channels, frames, h, w). Official times are DiT's step numbers.
The label table is DiT's, but the official forward reads row 0 always (the null in a tenth of the training samples); here
it is the condition `label`, to be given as 0.
"""

from __future__ import annotations

import math

from torch import Tensor, nn

from frisket.core.errors import check
from frisket.interop.dit import BLOCK, ENDS, wired
from frisket.interop.official import Taken, official, published_heads, renamed, wires
from frisket.models.backbones.transformer import Transformer
from frisket.models.block import Block, Branch, repeat
from frisket.models.doors import Door
from frisket.models.layers.axial import Axial, Projected
from frisket.models.layers.axis_tables import GroupedSinCos
from frisket.models.layers.embedders import ClassIds
from frisket.models.layers.ends import Patches, PatchesOut
from frisket.models.layers.ffn import Gelu
from frisket.models.layers.norms import LayerNorm
from frisket.processes.densities import Steps
from frisket.processes.gaussian import Gaussian
from frisket.processes.model_times import Thousand
from frisket.processes.paths import VPLinear
from frisket.processes.predictions import Eps
from frisket.processes.variances import LearnedRange
from frisket.sampling.corrections import ImposeKnown
from frisket.sampling.grids import Respaced
from frisket.sampling.pipeline import Pipeline
from frisket.sampling.sampler import Sampler
from frisket.sampling.solvers.ancestral import Ancestral

SIZES = {"S": (12, 384, 6), "L": (28, 1152, 16)}  # depth, width, heads
TIME = {
    "temporal_norm1": "branches.time.norm", "temporal_attn.qkv": "branches.time.mixer.mixer.attention.qkv",
    "temporal_attn.proj": "branches.time.mixer.mixer.attention.inner.out",
    "temporal_fc": "branches.time.mixer.linear",
}  # fmt: skip
SPACE = {
    theirs: ours.replace("branches.attn.mixer.", "branches.attn.mixer.attention.") for theirs, ours in BLOCK.items()
}
PROCESS = Gaussian(
    path=VPLinear(), prediction=Eps(), density=Steps(steps=1000), variance=LearnedRange(), time=Thousand()
)


def vdt_block() -> Block:
    """Attention over time without modulation or gate, then DiT's block with attention inside each frame."""
    over_time = Projected(mixer=Axial(along=(0,)))
    return Block(
        branches=(
            Branch(name="time", mixer=over_time, norm=LayerNorm(eps=1e-5, affine="both"), uses=()),
            Branch(name="attn", mixer=Axial(along=(1, 2))),
            Branch(name="ffn", mixer=Gelu()),
        )
    )


def vdt_transformer(
    width: int, heads: int, depth: int, *, frames: int = 16, side: int = 32, channels: int = 4,
    channels_out: int | None = None, patch: int = 2, classes: int | None = 1000,
) -> Transformer:  # fmt: skip
    """channels_out: twice `channels` (learned variance) if None. classes: of a label; None for no label."""
    return Transformer(
        width=width, heads=heads, input=Patches(channels=channels, size=(frames, side, side), patch=(1, patch, patch)),
        output=PatchesOut(channels=2 * channels if channels_out is None else channels_out),
        positions=GroupedSinCos(groups=((1, 2), (0,))),
        doors=() if classes is None else (Door(name="label", embedder=ClassIds(classes=classes)),),
        blocks=repeat(vdt_block(), depth),
    )  # fmt: skip


def vdt_of_size(size: str) -> Transformer:
    """A published size, for 16 frames of latents of 256 pixels, with the released code's 1,000 classes."""
    depth, width, heads = SIZES[size]
    return vdt_transformer(width, heads, depth)


@official("vdt")
def load_vdt(weights: Taken, /, *, num_heads: int | None = None) -> tuple[Transformer, dict[str, Tensor]]:
    """num_heads: of both attentions; that of the published size of this depth and width if None."""
    patches, places, times = (weights(name) for name in ("x_embedder.proj.weight", "pos_embed", "time_embed"))
    width, channels, patch, _ = patches.shape
    out = weights("final_layer.linear.weight").shape[0] // patch**2
    check(out in (channels, 2 * channels), "channels of the head", out, f"{channels} or {2 * channels}")
    depth, table = weights.depth("blocks."), weights("y_embedder.embedding_table.weight")
    config = vdt_transformer(
        width, published_heads(SIZES, depth, width) if num_heads is None else num_heads, depth,
        frames=times.shape[1], side=math.isqrt(places.shape[1]) * patch, channels=channels, channels_out=out,
        patch=patch, classes=len(table) - 1,
    )  # fmt: skip
    ours = renamed(weights, ENDS)
    for i in range(depth):
        ours |= renamed(weights, SPACE | TIME, f"blocks.{i}.", f"blocks.{i}.")
    ours |= {
        "input.linear.weight": patches.flatten(1), "input.linear.bias": weights("x_embedder.proj.bias"),
        "positions.table_0": places[0], "positions.table_1": times[0],
        "doors.embedders.label.table.weight": table,
    }  # fmt: skip
    return config, ours


@wires("vdt")
def vdt_pipeline(model: nn.Module, /, *, steps: int = 250) -> Pipeline:
    """As trained: 1,000 steps of linear betas, noise and variance predicted, known cells shown clean; as sampled:
    ancestral steps without guidance, known cells put in at every move. Samples are latents."""
    pipeline = wired(model, PROCESS, vdt_sampler(steps), None)
    return pipeline


def vdt_sampler(steps: int = 250) -> Sampler:
    """The released sampler."""
    return Sampler(steps=steps, update=Ancestral(), grid=Respaced(), corrections=(ImposeKnown(how="clean"),))
