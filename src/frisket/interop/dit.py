"""Official DiT and SiT weights (facebookresearch/DiT and willisma/SiT models.py, read for facts).

The two share every name and shape. SiT keeps DiT's variance half of the head and its forward leaves it out. Official
times: DiT's step number 0..999; SiT's t in [0, 1] with 0 noise and 1 data, fed as it is.
"""

from __future__ import annotations

import math

from torch import Tensor

from frisket.core.errors import check
from frisket.interop.official import Taken, official, renamed
from frisket.models.backbones.transformer import Transformer
from frisket.models.block import Block, repeat
from frisket.models.doors import Door
from frisket.models.layers.embedders import ClassIds, Timestep
from frisket.models.layers.ends import Patches, PatchesOut

BLOCK = {
    "attn.qkv": "branches.attn.mixer.qkv", "attn.proj": "branches.attn.mixer.inner.out",
    "mlp.fc1": "branches.ffn.mixer.up", "mlp.fc2": "branches.ffn.mixer.down",
    "adaLN_modulation.1": "modulation.linear",
}  # fmt: skip
ENDS = {
    "t_embedder.mlp.0": "time.mlp.up", "t_embedder.mlp.2": "time.mlp.out",
    "final_layer.linear": "output.linear", "final_layer.adaLN_modulation.1": "final_modulation.linear",
}  # fmt: skip


@official("dit")
def load_dit(
    weights: Taken, /, *, num_heads: int, input_size: int | None = None, learn_sigma: bool | None = None
) -> tuple[Transformer, dict[str, Tensor]]:
    """num_heads: of attention. input_size: the state's side; found from the positions if None. learn_sigma: checked
    against the head's rows if given."""
    return _load(weights, num_heads, input_size, learn_sigma, drop_variance=False)


@official("sit")
def load_sit(
    weights: Taken, /, *, num_heads: int, input_size: int | None = None, learn_sigma: bool | None = None
) -> tuple[Transformer, dict[str, Tensor]]:
    """As `dit`; the head's second half stays in the weights and out of the prediction."""
    return _load(weights, num_heads, input_size, learn_sigma, drop_variance=True)


def _load(
    weights: Taken, heads: int, size: int | None, learn_sigma: bool | None, drop_variance: bool
) -> tuple[Transformer, dict[str, Tensor]]:
    patches, table = weights("x_embedder.proj.weight"), weights("pos_embed")
    width, channels, patch, _ = patches.shape
    side = math.isqrt(table.shape[1]) * patch
    check(size is None or size == side, "input_size", size, f"{side}, by the positions in the weights")
    depth, classes = weights.depth("blocks."), weights("y_embedder.embedding_table.weight").shape[0] - 1
    out = weights("final_layer.linear.weight").shape[0] // patch**2
    check(out in (channels, 2 * channels), "channels of the head", out, f"{channels} or {2 * channels}")
    twice = out == 2 * channels
    check(learn_sigma is None or learn_sigma == twice, "learn_sigma", learn_sigma, f"{twice}, by the head's rows")
    unused = channels if twice and drop_variance else 0
    config = Transformer(
        width=width,
        heads=heads,
        input=Patches(channels=channels, size=(side, side), patch=patch),
        output=PatchesOut(channels=out - unused, unused=unused),
        time=Timestep(frequencies=weights("t_embedder.mlp.0.weight").shape[1]),
        doors=(Door(name="label", embedder=ClassIds(classes=classes)),),
        blocks=repeat(Block(), depth),
    )
    ours = renamed(weights, ENDS)
    for i in range(depth):
        ours |= renamed(weights, BLOCK, f"blocks.{i}.", f"blocks.{i}.")
    ours["input.linear.weight"] = patches.flatten(1)
    ours["input.linear.bias"] = weights("x_embedder.proj.bias")
    ours["positions.table"] = table[0]
    ours["doors.embedders.label.table.weight"] = weights("y_embedder.embedding_table.weight")
    return config, ours
