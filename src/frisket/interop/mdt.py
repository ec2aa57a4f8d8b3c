"""Official MDT weights, v1 and v2 (sail-sg/MDT masked_diffusion/models.py on branches mdtv1 and main, read for facts).

Times are DiT's step numbers. v2's three lists of blocks become one, with the published long skips: the encoder folded at
its middle, and every decoder block reading the embedded input. Each attention holds a relative-position table with three
rows that nothing reads; the index that goes with it is computed.
"""

from __future__ import annotations

import math

from torch import Tensor, nn

from frisket.core.errors import check
from frisket.interop.dit import BLOCK, ENDS, wired
from frisket.interop.official import Taken, official, published_heads, renamed, wires
from frisket.models.backbones.sizes import DIT
from frisket.models.backbones.transformer import Transformer
from frisket.models.block import Block, Branch, repeat
from frisket.models.doors import Door
from frisket.models.layers.attention import Attention
from frisket.models.layers.embedders import ClassIds, Timestep
from frisket.models.layers.ends import Patches, PatchesOut
from frisket.models.layers.ffn import Gelu
from frisket.models.layers.positions import Learned, RelativeBias
from frisket.models.plans.base import Choose
from frisket.models.plans.choose import Between, Uniform
from frisket.models.plans.interpolater import Interpolated
from frisket.models.skips import LongSkip, u_shape
from frisket.processes.densities import Steps
from frisket.processes.gaussian import Gaussian
from frisket.processes.model_times import Thousand
from frisket.processes.paths import VPLinear
from frisket.processes.predictions import Eps
from frisket.processes.variances import LearnedRange
from frisket.processes.weights import MinSNR
from frisket.sampling.grids import Respaced
from frisket.sampling.guidance import cfg
from frisket.sampling.pipeline import Pipeline
from frisket.sampling.sampler import Sampler
from frisket.sampling.scales import PowerCosine
from frisket.sampling.solvers.ancestral import Ancestral

PROCESS = Gaussian(
    path=VPLinear(), prediction=Eps(), density=Steps(steps=1000), variance=LearnedRange(), time=Thousand()
)
PROCESS_V2 = Gaussian(
    path=VPLinear(), prediction=Eps(), density=Steps(steps=1000), variance=LearnedRange(), time=Thousand(),
    weight=MinSNR(gamma=5.0),
)  # fmt: skip
BIAS = "attn.rel_pos_bias.relative_position_bias_table"


def mdt_block() -> Block:
    """DiT's block with a relative-position table in each attention."""
    attention = Attention(positions=RelativeBias(spare=3))
    return Block(branches=(Branch(name="attn", mixer=attention), Branch(name="ffn", mixer=Gelu())))


def _transformer(
    depth: int, width: int, heads: int, decoder: int, choose: Choose, skips: tuple[LongSkip, ...], patch: int,
    channels: int, side: int, classes: int, out: int,
) -> Transformer:  # fmt: skip
    return Transformer(
        width=width, heads=heads, input=Patches(channels=channels, size=(side, side), patch=patch),
        output=PatchesOut(channels=out), positions=Learned(start="sincos"), time=Timestep(),
        doors=(Door(name="label", embedder=ClassIds(classes=classes)),), blocks=repeat(mdt_block(), depth),
        plan=Interpolated(decoder=decoder, block=mdt_block(), choose=choose), skips=skips,
    )  # fmt: skip


def mdt_v1(
    depth: int, width: int, heads: int, *, decoder: int = 2, patch: int = 2, channels: int = 4, side: int = 32,
    classes: int = 1000, out: int | None = None,
) -> Transformer:  # fmt: skip
    """The first version: 30 % of the tokens left out of all blocks but the last two. out: twice `channels` if None."""
    out = 2 * channels if out is None else out
    choose = Uniform(drop=0.3, floor="kept")
    return _transformer(depth, width, heads, decoder, choose, (), patch, channels, side, classes, out)


def mdt_v2(
    depth: int, width: int, heads: int, *, decoder: int = 4, patch: int = 2, channels: int = 4, side: int = 32,
    classes: int = 1000, out: int | None = None,
) -> Transformer:  # fmt: skip
    """The second: 30 to 50 % left out, long skips in the encoder and from the embedded input to the decoder."""
    out = 2 * channels if out is None else out
    return _transformer(
        depth, width, heads, decoder, Between(low=0.3, high=0.5), skips_of(depth, decoder), patch, channels, side,
        classes, out,
    )  # fmt: skip


def skips_of(depth: int, decoder: int) -> tuple[LongSkip, ...]:
    """v2's long skips. Raises `FrisketError` unless the encoder has an even number of blocks."""
    check((depth - decoder) % 2 == 0, "decoder", decoder, f"one that leaves an even number of {depth} blocks")
    return (*u_shape((depth - decoder) // 2), *(LongSkip(source=-1, target=i) for i in range(depth - decoder, depth)))


@official("mdtv1")
def load_mdt_v1(
    weights: Taken, /, *, num_heads: int | None = None, decode_layer: int = 2
) -> tuple[Transformer, dict[str, Tensor]]:
    """num_heads: that of the published size if None. decode_layer: blocks that see all tokens (no weight tells)."""
    depth = weights.depth("blocks.")
    facts, width = _facts(weights)
    heads = published_heads(DIT, depth, width) if num_heads is None else num_heads
    ours = _ends(weights)
    for i in range(depth):
        ours |= _block(weights, f"blocks.{i}.", f"blocks.{i}.")
    return mdt_v1(depth, width, heads, decoder=decode_layer, **facts), ours


@official("mdtv2")
def load_mdt_v2(weights: Taken, /, *, num_heads: int | None = None) -> tuple[Transformer, dict[str, Tensor]]:
    """num_heads: that of the published size if None."""
    parts = ("en_inblocks.", "en_outblocks.", "de_blocks.")
    depths = [weights.depth(part) for part in parts]
    check(depths[0] == depths[1], "depths", depths, "equal for en_inblocks and en_outblocks")
    facts, width = _facts(weights)
    heads = published_heads(DIT, sum(depths), width) if num_heads is None else num_heads
    ours, number = _ends(weights), 0
    for part, depth in zip(parts, depths, strict=True):
        for i in range(depth):
            ours |= _block(weights, f"{part}{i}.", f"blocks.{number}.")
            if part != parts[0]:
                ours |= renamed(weights, {f"{part}{i}.skip_linear": f"plan.skips.linears.{number}"})
            number += 1
    return mdt_v2(number, width, heads, decoder=depths[2], **facts), ours


def _facts(weights: Taken) -> tuple[dict[str, int], int]:
    width, channels, patch, _ = weights("x_embedder.proj.weight").shape
    side = math.isqrt(weights("pos_embed").shape[1]) * patch
    classes = weights("y_embedder.embedding_table.weight").shape[0] - 1
    out = weights("final_layer.linear.weight").shape[0] // patch**2
    return {"patch": patch, "channels": channels, "side": side, "classes": classes, "out": out}, width


def _ends(weights: Taken) -> dict[str, Tensor]:
    ours = renamed(weights, ENDS) | _block(weights, "sideblocks.0.", "plan.returns.encoder.block.")
    ours["input.linear.weight"] = weights("x_embedder.proj.weight").flatten(1)
    ours["input.linear.bias"] = weights("x_embedder.proj.bias")
    ours["positions.table"] = weights("pos_embed")[0]
    ours["plan.returns.encoder.table"] = weights("decoder_pos_embed")[0]
    ours["plan.returns.encoder.token"] = weights("mask_token").flatten()
    ours["doors.embedders.label.table.weight"] = weights("y_embedder.embedding_table.weight")
    return ours


def _block(weights: Taken, theirs: str, ours: str) -> dict[str, Tensor]:
    weights.ignore(f"{theirs}attn.rel_pos_bias.relative_position_index")
    table = {f"{ours}branches.attn.mixer.positions.table": weights(f"{theirs}{BIAS}")}
    return renamed(weights, BLOCK, theirs, ours) | table


@wires("mdtv1")
def mdt_v1_pipeline(model: nn.Module, /, *, vae: str | None = None) -> Pipeline:
    """As trained: 1,000 steps of linear betas, the noise predicted; as sampled: 250 ancestral steps, guidance that rises
    to 3.8 with the fourth power, on the first three channels."""
    guidance = cfg(PowerCosine(value=3.8, power=4.0), channels=3)
    return wired(model, PROCESS, Sampler(steps=250, update=Ancestral(), grid=Respaced(), guidance=guidance), vae)


@wires("mdtv2")
def mdt_v2_pipeline(model: nn.Module, /, *, vae: str | None = None) -> Pipeline:
    """As `mdtv1`, with the loss of the second version."""
    guidance = cfg(PowerCosine(value=3.8, power=4.0), channels=3)
    return wired(model, PROCESS_V2, Sampler(steps=250, update=Ancestral(), grid=Respaced(), guidance=guidance), vae)
