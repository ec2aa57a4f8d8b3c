"""Official MaskBit generators (markweberdev/maskbit modeling/bert.py `LFQBert`, read for facts).

The class token stands behind the state's tokens with a learned position of its own, which is added to every row of its
table here. The official dropout inside attention is left out.
"""

from __future__ import annotations

from torch import Tensor

from frisket.core.errors import check
from frisket.interop.official import Taken, official, renamed
from frisket.models.backbones.transformer import Transformer
from frisket.models.block import Block, Branch, repeat
from frisket.models.doors import Door
from frisket.models.layers.attention import Attention
from frisket.models.layers.base import Embedder
from frisket.models.layers.bits import Bits, GroupLogits
from frisket.models.layers.embedders import ClassIds
from frisket.models.layers.ends import Input
from frisket.models.layers.ffn import Gelu
from frisket.models.layers.modulation import Unmodulated
from frisket.models.layers.norms import LayerNorm, NoNorm
from frisket.models.layers.positions import Learned

NORM = LayerNorm(eps=1e-12, affine="both")
BLOCK = {
    "0.mha.out_proj": "branches.attn.mixer.inner.out", "0.norm": "branches.attn.after",
    "1.net.0": "branches.ffn.mixer.up", "1.net.2": "branches.ffn.mixer.down", "1.norm": "branches.ffn.after",
}  # fmt: skip


def bert_block(ratio: float = 4.0, dropout: float = 0.0) -> Block:
    """Attention and feed-forward, each followed by the norm of the sum."""
    attn = Branch(name="attn", mixer=Attention(), norm=None, after=NORM, dropout=dropout)
    ffn = Branch(name="ffn", mixer=Gelu(ratio=ratio, approximate="none"), norm=None, after=NORM, dropout=dropout)
    return Block(branches=(attn, ffn), modulation=Unmodulated())


def maskbit(
    width: int = 1024, depth: int = 24, heads: int = 16, *, bits: int = 14, groups: int = 2, side: int = 16,
    classes: int = 1000, ratio: float = 4.0, dropout: float = 0.0, input: Input | None = None,
) -> Transformer:  # fmt: skip
    """The generator; bits: of a token, in `groups`. input: in place of the bits themselves."""
    check(bits % groups == 0, "groups", groups, f"a divisor of {bits} bits")
    symbols, embedder = 2 ** (bits // groups), ClassIds(classes=classes)
    own: Embedder = embedder
    return Transformer(
        width=width, heads=heads, time=None, input=input or Bits(vocabulary=symbols, size=(side, side, groups)),
        output=GroupLogits(vocabulary=symbols, groups=groups), positions=Learned(),
        doors=(Door(name="label", way="tokens", embedder=own),), blocks=repeat(bert_block(ratio, dropout), depth),
        first_norm=NORM, final_norm=NoNorm(), final_modulation=Unmodulated(),
    )  # fmt: skip


@official("maskbit")
def load_maskbit(weights: Taken, /, *, num_heads: int = 16, groups: int = 2) -> tuple[Transformer, dict[str, Tensor]]:
    """num_heads: of attention. groups: of bits in a token."""
    width, bits = weights("input_proj.weight").shape
    places, depth = weights("pos_emb")[0], weights.depth("transformer.layers.")
    side = round((len(places) - 1) ** 0.5)
    hidden = weights("transformer.layers.0.1.net.0.weight").shape[0]
    config = maskbit(
        width, depth, num_heads, bits=bits, groups=groups, side=side, ratio=hidden / width,
        classes=weights("class_emb.weight").shape[0] - 1,
    )  # fmt: skip
    ours = renamed(weights, {
        "input_proj": "input.linear", "first_layer.0": "first_norm", "last_layer.0": "output.hidden",
        "last_layer.2": "output.norm", "prediction_layer": "output.linear",
    })  # fmt: skip
    for i in range(depth):
        here, there = f"transformer.layers.{i}.", f"blocks.{i}."
        ours |= renamed(weights, BLOCK, here, there)
        for kind in ("weight", "bias"):
            ours[f"{there}branches.attn.mixer.qkv.{kind}"] = weights(f"{here}0.mha.in_proj_{kind}")
    ours["positions.table"] = places[:-1]
    ours["doors.embedders.label.table.weight"] = weights("class_emb.weight") + places[-1]
    weights.ignore("bits_to_indices")
    return config, ours
