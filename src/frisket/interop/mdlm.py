"""Official MDLM weights: the DDiT backbone (kuleshov-group/mdlm models/dit.py, read for facts).

Its table and head have a row for the mask id, the last one; the head's is kept, so logits are the official ones. The
official time is sigma, which MDLM sets to zero unless it is conditioned on time.
"""

from __future__ import annotations

from torch import Tensor

from frisket.core.errors import FrisketError
from frisket.interop.official import Taken, official, renamed
from frisket.models.backbones.sizes import ddit_block
from frisket.models.backbones.transformer import Transformer
from frisket.models.block import repeat
from frisket.models.layers.embedders import Timeless, Timestep
from frisket.models.layers.ends import Ids, Logits
from frisket.models.layers.norms import LayerNorm
from frisket.models.layers.positions import Rotary

BLOCK = {
    "norm1": "branches.attn.norm", "attn_qkv": "branches.attn.mixer.qkv", "attn_out": "branches.attn.mixer.inner.out",
    "norm2": "branches.ffn.norm", "mlp.0": "branches.ffn.mixer.up", "mlp.2": "branches.ffn.mixer.down",
    "adaLN_modulation": "modulation.linear",
}  # fmt: skip
ENDS = {
    "sigma_map.mlp.0": "time.mlp.up", "sigma_map.mlp.2": "time.mlp.out", "output_layer.norm_final": "final_norm",
    "output_layer.linear": "output.linear", "output_layer.adaLN_modulation": "final_modulation.linear",
}  # fmt: skip


@official("mdlm")
def load_mdlm(
    weights: Taken, /, *, num_heads: int, length: int, time_conditioning: bool = False, dropout: float = 0.1
) -> tuple[Transformer, dict[str, Tensor]]:
    """num_heads: of attention. length: of a sequence. time_conditioning: feed the time given (sigma) instead of zero.
    dropout: in training; weights do not tell it. Names may start with "backbone.", as in the official checkpoints."""
    inside = Taken({name.removeprefix("backbone."): value for name, value in weights.weights.items()})
    if len(inside.weights) != len(weights.weights):
        raise FrisketError("official mdlm weights hold the same name with and without 'backbone.'")
    table = inside("vocab_embed.embedding")
    rows, width = table.shape
    depth, logits = inside.depth("blocks."), inside("output_layer.linear.weight").shape[0]
    frequencies = inside("sigma_map.mlp.0.weight").shape[1]
    config = Transformer(
        width=width,
        heads=num_heads,
        condition=inside("sigma_map.mlp.2.weight").shape[0],
        input=Ids(vocabulary=rows - 1, size=(length,)),
        output=Logits(vocabulary=logits),
        positions=Rotary(layout="half"),
        time=Timestep(frequencies=frequencies) if time_conditioning else Timeless(frequencies=frequencies),
        blocks=repeat(ddit_block(dropout), depth),
        final_norm=LayerNorm(eps=1e-5, affine="weight"),
    )
    ours = renamed(inside, ENDS) | {"input.table.weight": table}
    for i in range(depth):
        ours |= renamed(inside, BLOCK, f"blocks.{i}.", f"blocks.{i}.")
    inside.ignore("rotary_emb.inv_freq")  # a formula
    weights.ignore(*(name for name in weights.weights if name.removeprefix("backbone.") in inside.used))
    return config, ours
