"""Official U-DiT weights (YuchuanTian/U-DiT udit_models.py, read for facts).

Each official block is two of ours: attention and convolutional MLP, twice, each pair with an adaLN of its own. Official
rotary features alternate between columns and rows, ours take one axis after the other, so the rows that make queries and
keys are permuted within each head (their products stay). Official times are DiT's step numbers. The official evaluation
mode folds the wide MLPs and adds to the trained kernels in place; `compression.folding` does the same on a copy.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from frisket.core.errors import FrisketError, check
from frisket.interop.dit import dit_pipeline
from frisket.interop.official import Taken, official, renamed, wires
from frisket.models.backbones.hourglass import Hourglass, Stage
from frisket.models.block import Block, Branch, repeat
from frisket.models.doors import Door
from frisket.models.layers.convolutions import ConvolutionIn, ConvolutionOut
from frisket.models.layers.depthwise import Reparameterised
from frisket.models.layers.downsampled import Phases
from frisket.models.layers.embedders import ClassIds
from frisket.sampling.pipeline import Pipeline

SIZES = {"S": (96, 4), "B": (192, 8), "L": (384, 16)}  # width of the first stage, heads
DEPTHS = (2, 5, 8, 5, 2)  # of official blocks
WIDER = (1, 2, 4, 2, 2)
PARTS = ("encoder_level_1.", "encoder_level_2.", "latent.", "decoder_level_2.", "decoder_level_1.")
WAYS = {"down1_2": 1, "down2_3": 2, "up3_2": 3, "up2_1": 4}
JOINS = {"reduce_chan_level2": 3, "reduce_chan_level1": 4}


def u_block(factor: int = 2) -> Block:
    """Attention among tokens of equal phase, then the convolutional MLP in its wide form."""
    attn, ffn = Phases(factor=factor), Reparameterised(ratio=2.0)
    return Block(branches=(Branch(name="attn", mixer=attn), Branch(name="ffn", mixer=ffn)))


def u_transformer(
    width: int, heads: int, depths: tuple[int, ...] = DEPTHS, *, channels: int = 4, channels_out: int | None = None,
    side: int = 32, classes: int = 1000, block: Block | None = None,
) -> Hourglass:  # fmt: skip
    """width: of the first stage. depths: of the five stages in official blocks, two of ours each. channels_out: twice
    `channels` (learned variance) if None."""
    check(len(depths) == len(WIDER), "depths", depths, f"{len(WIDER)} numbers")
    stages = zip(WIDER, depths, strict=True)
    return Hourglass(
        stages=tuple(Stage(width=width * m, blocks=repeat(block or u_block(), 2 * n)) for m, n in stages), heads=heads,
        input=ConvolutionIn(channels=channels, size=(side, side)),
        output=ConvolutionOut(channels=2 * channels if channels_out is None else channels_out),
        doors=(Door(name="label", embedder=ClassIds(classes=classes)),),
    )  # fmt: skip


@official("u-dit")
def load_u_dit(
    weights: Taken, /, *, num_heads: int | None = None, input_size: int = 32
) -> tuple[Hourglass, dict[str, Tensor]]:
    """num_heads: of every stage; that of the published size of this width if None. input_size: the state's side, which
    the weights do not tell."""
    stem = weights("x_embedder.proj.weight")
    width, channels = stem.shape[:2]
    published = dict(SIZES.values())
    if num_heads is None and width not in published:
        raise FrisketError(f"no published U-DiT has width {width}; give num_heads as a fact")
    heads = published[width] if num_heads is None else num_heads
    depths = tuple(weights.depth(part) for part in PARTS)
    config = u_transformer(
        width, heads, depths, channels=channels, channels_out=weights("final_layer.out_proj.weight").shape[0],
        side=input_size, classes=weights("y_embedder_1.embedding_table.weight").shape[0] - 1,
    )  # fmt: skip
    ours = renamed(weights, _ends(width))
    for s, (part, depth) in enumerate(zip(PARTS, depths, strict=True)):
        for i in range(depth):
            for half in (1, 2):
                ours |= _block(weights, f"{part}{i}.", str(half), f"stages.{s}.blocks.{2 * i + half - 1}.", heads)
    for name, s in JOINS.items():
        ours[f"stages.{s}.join.weight"] = weights(f"{name}.weight").flatten(1)
        ours[f"stages.{s}.join.bias"] = weights(f"{name}.bias")
    return config, ours


def _ends(width: int) -> dict[str, str]:
    """Official and our names of what lies outside blocks."""
    out = {"x_embedder.proj": "input.conv", "output": "finish", "final_layer.out_proj": "output.conv"}
    out["final_layer.adaLN_modulation.1"] = "final_modulation.linear"
    out |= {f"{name}.body.0": f"stages.{s}.enter.conv" for name, s in WAYS.items()}
    for level, prefix in ((1, ""), (2, f"more.{2 * width}."), (3, f"more.{4 * width}.")):
        out |= {
            f"t_embedder_{level}.mlp.0": f"{prefix}time.mlp.up",
            f"t_embedder_{level}.mlp.2": f"{prefix}time.mlp.out",
        }
        out[f"y_embedder_{level}.embedding_table"] = f"{prefix}doors.embedders.label.table"
    return out


def _block(weights: Taken, theirs: str, half: str, ours: str, heads: int) -> dict[str, Tensor]:
    """One half of an official block."""
    attn, mlp = f"{theirs}attn{half}.", f"{theirs}mlp{half}."
    a, f = f"{ours}branches.attn.mixer.", f"{ours}branches.ffn.mixer."
    out = renamed(weights, {f"{theirs}adaLN_modulation{half}.1": f"{ours}modulation.linear"})
    out |= renamed(weights, {f"{attn}downsampler.layer": f"{a}local"})
    out |= renamed(weights, {f"{mlp}dwconv.{i}": f"{f}local.{i}" for i in range(3)})
    for kind in ("weight", "bias"):
        out[f"{a}qkv.{kind}"] = _axis_by_axis(weights(f"{attn}to_qkv.{kind}"), heads)
    out[f"{a}scores.scale"] = weights(f"{attn}logit_scale").flatten()
    out |= _pointwise(weights, f"{attn}to_out", f"{a}out")
    for i in range(2):
        out |= _pointwise(weights, f"{mlp}project_in.{i}", f"{f}up.{i}")
        out |= _pointwise(weights, f"{mlp}project_out.{i}", f"{f}down.{i}")
    return out


def _pointwise(weights: Taken, theirs: str, ours: str) -> dict[str, Tensor]:
    """A 1x1 convolution as a linear layer."""
    return {f"{ours}.weight": weights(f"{theirs}.weight").flatten(1), f"{ours}.bias": weights(f"{theirs}.bias")}


def _axis_by_axis(rows: Tensor, heads: int) -> Tensor:
    """Rows of queries, keys and values; in the first two the pairs of a head, (column, row) in turn, become those of all
    rows and then those of all columns."""
    q, k, v = rows.chunk(3)

    def sorted_pairs(part: Tensor) -> Tensor:
        pairs = part.unflatten(0, (heads, -1, 2, 2))  # head, frequency, axis, member of the pair
        return pairs.flip(2).transpose(1, 2).flatten(0, 3)

    return torch.cat([sorted_pairs(q), sorted_pairs(k), v]).contiguous()


@wires("u-dit")
def u_dit_pipeline(model: nn.Module, /, *, vae: str | None = None) -> Pipeline:
    """As DiT."""
    return dit_pipeline(model, vae=vae)
