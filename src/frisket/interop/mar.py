"""Official MAR and Hi-MAR weights (LTH14/mar models/{mar,diffloss}.py and HiDream-ai/himar models/{himar,diffloss,models}.py,
read for facts).

`fake_latent` becomes the last row of the class table. The head's times are DiT's step numbers 0..999 on both. Positions
that himar's head holds for its condition are added by nothing there and are left out; so is its fixed table of
positions, which is computed.
"""

from __future__ import annotations

import torch
from torch import Tensor

from frisket.interop.official import Taken, official, published_heads, renamed
from frisket.models.backbones.masked_tokens import PLAIN, MaskedTokens, TokenLevel
from frisket.models.block import Block, Branch, repeat
from frisket.models.doors import Door
from frisket.models.layers.attention import Attention
from frisket.models.layers.embedders import ClassIds
from frisket.models.layers.ffn import Gelu
from frisket.models.layers.norms import LayerNorm
from frisket.models.layers.phases import Phases
from frisket.models.layers.token_heads import EachToken, WholeGrid
from frisket.processes.densities import Cosine as CosineShare
from frisket.processes.densities import Steps
from frisket.processes.gaussian import Gaussian
from frisket.processes.masked_tokens import Level
from frisket.processes.masked_tokens import MaskedTokens as Process
from frisket.processes.model_times import Thousand
from frisket.processes.paths import Cosine
from frisket.processes.predictions import Eps
from frisket.processes.variances import FixedLarge, LearnedRange

SIZES = {"base": (12, 768, 12), "large": (16, 1024, 16), "huge": (20, 1280, 16)}  # blocks of each half, width, heads
HEADS = {"base": (6, 1024), "large": (8, 1280), "huge": (12, 1536)}  # depth and width of the token head
GRIDS = {"base": (6, 512, 8), "large": (8, 512, 8), "huge": (12, 768, 12)}  # of the grid head, and its attention heads
BLOCK = {
    "norm1": "branches.attn.norm", "attn.qkv": "branches.attn.mixer.qkv", "attn.proj": "branches.attn.mixer.inner.out",
    "norm2": "branches.ffn.norm", "mlp.fc1": "branches.ffn.mixer.up", "mlp.fc2": "branches.ffn.mixer.down",
}  # fmt: skip
RES = {
    "in_ln": "branches.ffn.norm", "mlp.0": "branches.ffn.mixer.up", "mlp.2": "branches.ffn.mixer.down",
    "adaLN_modulation.1": "modulation.linear",
}  # fmt: skip
DIT = {k: v for k, v in BLOCK.items() if "norm" not in k} | {"adaLN_modulation.1": "modulation.linear"}
END = {"final_layer.linear": "output", "final_layer.adaLN_modulation.1": "modulation.linear"}
PHASED = Block(
    branches=tuple(
        Branch(name=name, mixer=mixer, norm=LayerNorm(affine="both"), uses=("scale", "gate"))
        for name, mixer in (("attn", Attention()), ("ffn", Gelu(approximate="none")))
    ),
    modulation=Phases(),
)

TOKEN = Gaussian(
    path=Cosine(), prediction=Eps(), density=Steps(steps=1000), variance=LearnedRange(), time=Thousand()
)  # of MAR's head: squared-cosine steps, noise and variance predicted
GRID = Gaussian(path=Cosine(), prediction=Eps(), density=Steps(steps=1000), variance=FixedLarge(), time=Thousand())


def mar_process(tokens: int = 256) -> Process:
    """As MAR is trained."""
    return Process(levels=(Level(tokens=tokens, inner=TOKEN),))


def himar_process(coarse: int = 64, fine: int = 256) -> Process:
    """As Hi-MAR is trained: the terms weigh by the levels' tokens, times 2 and 3/4."""
    whole = coarse + fine
    return Process(
        levels=(
            Level(name="coarse", tokens=coarse, inner=TOKEN, weight=2.0 * coarse / whole),
            Level(name="fine", tokens=fine, inner=GRID, unit="level", share=CosineShare(), weight=0.75 * fine / whole),
        )
    )


def mar(
    size: str = "base", *, side: int = 16, numbers: int = 16, classes: int = 1000, buffer: int = 64
) -> MaskedTokens:
    """A published size of MAR."""
    (depth, width, heads), (layers, wide) = SIZES[size], HEADS[size]
    level = TokenLevel(axes=(side, side), head=EachToken(width=wide, depth=layers), given=2 * numbers)
    return MaskedTokens(
        width=width, heads=heads, numbers=numbers, given=2 * numbers, levels=(level,), encoder=repeat(PLAIN, depth),
        decoder=repeat(PLAIN, depth), buffer=buffer, doors=(Door(name="label", embedder=ClassIds(classes=classes)),),
    )  # fmt: skip


def himar(
    size: str = "base", *, coarse: int = 8, side: int = 16, numbers: int = 16, classes: int = 1000, buffer: int = 64
) -> MaskedTokens:
    """A published size of Hi-MAR."""
    (depth, width, heads), (layers, wide) = SIZES[size], HEADS[size]
    deep, broad, eyes = GRIDS[size]
    levels = (
        TokenLevel(axes=(coarse, coarse), head=EachToken(width=wide, depth=layers), given=2 * numbers),
        TokenLevel(axes=(side, side), head=WholeGrid(width=broad, depth=deep, heads=eyes), given=numbers),
    )
    return MaskedTokens(
        width=width, heads=heads, numbers=numbers, given=2 * numbers, levels=levels, encoder=repeat(PHASED, depth),
        decoder=repeat(PHASED, depth), buffer=buffer, mask="place",
        doors=(Door(name="label", embedder=ClassIds(classes=classes)),),
    )  # fmt: skip


@official("mar")
def load_mar(weights: Taken, /, *, num_heads: int | None = None) -> tuple[MaskedTokens, dict[str, Tensor]]:
    """num_heads: of attention; that of the published size if None."""
    numbers, n = weights("z_proj.weight").shape[1], weights("diffusion_pos_embed_learned").shape[1]
    depth, width, heads, buffer = _sizes(weights, n, 1, num_heads)
    level = TokenLevel(axes=_square(n), head=_token_head(weights), given=2 * numbers)
    config = MaskedTokens(
        width=width, heads=heads, numbers=numbers, given=2 * numbers, levels=(level,), encoder=repeat(PLAIN, depth),
        decoder=repeat(PLAIN, weights.depth("decoder_blocks.")), buffer=buffer, doors=_doors(weights),
    )  # fmt: skip
    ours = _shared(weights) | _head(weights, "diffloss.net.", "heads.0.inner.", RES, "res_blocks.")
    return config, ours | renamed(weights, {"z_proj": "inputs.0"})


@official("hi-mar")
def load_himar(
    weights: Taken, /, *, num_heads: int | None = None, grid_heads: int | None = None
) -> tuple[MaskedTokens, dict[str, Tensor]]:
    """num_heads: of attention; grid_heads: of the fine level's head; those of the published size if None."""
    numbers, n = weights("z_proj.weight").shape[1], weights("diffusion_pos_embed_learned").shape[1]
    coarse = weights("cond_tokens").shape[1]
    depth, width, heads, buffer = _sizes(weights, n, 2, num_heads)
    pre = "cond_diffloss.net."
    broad, deep = weights(f"{pre}x_embedder.proj.weight").shape[0], weights.depth(f"{pre}blocks.")
    eyes = grid_heads or published_heads({k: (d, w, h) for k, (d, w, h) in GRIDS.items()}, deep, broad)
    ratio = weights(f"{pre}blocks.0.mlp.fc1.weight").shape[0] / broad
    config = MaskedTokens(
        width=width, heads=heads, numbers=numbers, given=2 * numbers,
        levels=(
            TokenLevel(axes=_square(coarse), head=_token_head(weights), given=2 * numbers),
            TokenLevel(
                axes=_square(n - coarse), head=WholeGrid(width=broad, depth=deep, heads=eyes, ratio=ratio), given=numbers
            ),
        ),
        encoder=repeat(PHASED, depth), decoder=repeat(PHASED, weights.depth("decoder_blocks.")), buffer=buffer,
        mask="place", doors=_doors(weights),
    )  # fmt: skip
    ours = _shared(weights) | _phases(weights)
    ours |= _head(weights, "diffloss.net.", "heads.0.inner.", RES, "res_blocks.")
    ours |= _head(weights, pre, "heads.1.inner.", DIT, "blocks.")
    ours |= renamed(weights, {"z_proj": "inputs.1", "cond_proj": "inputs.0", "cond_z_proj": "pivot"})
    weights.ignore(f"{pre}c_pos_embed")
    return config, ours | {"learned": weights("cond_tokens")[0]}


def _sizes(weights: Taken, n: int, phases: int, heads: int | None) -> tuple[int, int, int, int]:
    """Blocks of the encoder, width, heads, buffer tokens."""
    places, width = weights("encoder_pos_embed_learned").shape[1:]
    depth = weights.depth("encoder_blocks.")
    return depth, width, heads or published_heads(SIZES, depth, width), places // phases - n


def _square(n: int) -> tuple[int, int]:
    side = round(n**0.5)
    return side, n // side


def _doors(weights: Taken) -> tuple[Door, ...]:
    return (Door(name="label", embedder=ClassIds(classes=weights("class_emb.weight").shape[0])),)


def _token_head(weights: Taken) -> EachToken:
    width = weights("diffloss.net.input_proj.weight").shape[0]
    return EachToken(width=width, depth=weights.depth("diffloss.net.res_blocks."))


def _shared(weights: Taken) -> dict[str, Tensor]:
    """What both systems hold under the same names."""
    ours = renamed(weights, {"z_proj_ln": "encoder_input", "decoder_embed": "between"})
    for half in ("encoder", "decoder"):
        ours |= renamed(weights, {f"{half}_norm": f"{half}.norm"})
        ours[f"{half}.places"] = weights(f"{half}_pos_embed_learned")[0]
        for i in range(weights.depth(f"{half}_blocks.")):
            ours |= renamed(weights, BLOCK, f"{half}_blocks.{i}.", f"{half}.blocks.{i}.")
    ours["masks"] = weights("mask_token")[0]
    ours["places"] = weights("diffusion_pos_embed_learned")[0]
    ours["doors.embedders.label.table.weight"] = torch.cat([weights("class_emb.weight"), weights("fake_latent")])
    return ours


def _phases(weights: Taken) -> dict[str, Tensor]:
    """The tasks' modulation."""
    from frisket.models.layers.modulation import shared_key

    ours, key = {}, shared_key(PHASED.modulation, PHASED.numbers)
    for half in ("encoder", "decoder"):
        ours |= renamed(weights, {f"{half}_blocks_ada.1": f"{half}.shared.{key}"})
        ours[f"{half}.phases.weight"] = weights(f"{half}_task_emb.weight")
        for i in range(weights.depth(f"{half}_blocks.")):
            for theirs, name in (("scale", "scale"), ("shift", "offset")):
                ours[f"{half}.blocks.{i}.modulation.{name}"] = weights(f"{half}_blocks.{i}.adaLN_{theirs}")[:, 0, 0]
    return ours


def _head(weights: Taken, theirs: str, ours: str, block: dict[str, str], blocks: str) -> dict[str, Tensor]:
    """A head's weights; a convolution over single places is a linear layer."""
    grid = f"{theirs}x_embedder.proj.weight" in weights.weights
    names = (
        {"x_embedder.proj": "input", "c_embedder.proj": "condition", "t_embedder.mlp.0": "time.mlp.up",
         "t_embedder.mlp.2": "time.mlp.out"}
        if grid else
        {"input_proj": "input", "cond_embed": "condition", "time_embed.mlp.0": "time.mlp.up",
         "time_embed.mlp.2": "time.mlp.out"}
    )  # fmt: skip
    out = renamed(weights, names | END, theirs, ours)
    for i in range(weights.depth(theirs + blocks)):
        out |= renamed(weights, block, f"{theirs}{blocks}{i}.", f"{ours}blocks.{i}.")
    if grid:
        out = {k: v.flatten(1) if v.ndim == 4 else v for k, v in out.items()}
        out[f"{ours}positions.table"] = weights(f"{theirs}pos_embed")[0]
    return out
