"""Published sizes of isotropic backbones, by name: "DiT-XL/2" and so on.

DiT (arXiv 2212.09748) is read on 32 x 32 x 4 latents of 1000 classes with a learned variance; DDiT is MDLM's
(arXiv 2406.07524). A PiT is a DiT of patch 1 with learned positions (arXiv 2406.09415). A DiM (arXiv 2405.15881) is
read with a scan in attention's place; its tables were not at hand, so its sizes are reconstructed from DiT's.
"""

from __future__ import annotations

from dataclasses import replace

from frisket.core.errors import unknown
from frisket.models.backbones.transformer import Transformer
from frisket.models.block import Block, Branch, repeat
from frisket.models.doors import Door
from frisket.models.layers.attention import Attention
from frisket.models.layers.embedders import ClassIds, Timeless
from frisket.models.layers.ends import Ids, Logits, Patches, PatchesOut
from frisket.models.layers.ffn import Gelu
from frisket.models.layers.norms import LayerNorm
from frisket.models.layers.positions import Learned, Rotary
from frisket.models.layers.ssm import SSM

DIT = {"S": (12, 384, 6), "B": (12, 768, 12), "L": (24, 1024, 16), "XL": (28, 1152, 16)}  # depth, width, heads
DIM_MIXER = SSM()
DDIT = {"tiny": (8, 512, 8), "small": (12, 768, 12), "medium": (24, 1024, 16)}


def dit(
    size: str,
    patch: int = 2,
    *,
    channels: int = 4,
    channels_out: int | None = None,
    side: int = 32,
    classes: int = 1000,
) -> Transformer:
    """DiT of a published size ("S", "B", "L", "XL"). channels_out: twice `channels` (learned variance) if None."""
    if size not in DIT:
        raise unknown("DiT size", size, DIT)
    depth, width, heads = DIT[size]
    return Transformer(
        width=width,
        heads=heads,
        input=Patches(channels=channels, size=(side, side), patch=patch),
        output=PatchesOut(channels=2 * channels if channels_out is None else channels_out),
        doors=(Door(name="label", embedder=ClassIds(classes=classes)),),
        blocks=repeat(Block(), depth),
    )


def pit(size: str, **facts) -> Transformer:
    """A DiT of patch 1 whose positions are learned; `facts` as in `dit`."""
    return replace(dit(size, 1, **facts), positions=Learned())


def dim_block(ffn: bool = False, mixer: SSM = DIM_MIXER) -> Block:
    """DiM's block: the two-way scan alone, which gates and widens by itself. ffn: DiT's feed-forward behind it."""
    scan = Branch(name="ssm", mixer=mixer)
    return Block(branches=(scan, Branch(name="ffn", mixer=Gelu())) if ffn else (scan,))


def dim(size: str, patch: int = 2, **facts) -> Transformer:
    """A DiT of that size whose blocks are `dim_block`, twice as many, for half of a block's weights are gone; `facts` as
    in `dit`."""
    config = dit(size, patch, **facts)
    return replace(config, blocks=repeat(dim_block(), 2 * config.depth))


def ddit_block(dropout: float = 0.1) -> Block:
    """MDLM's block: norms with a weight, attention without biases, dropout before the gates."""
    norm = LayerNorm(eps=1e-5, affine="weight")
    attention = Attention(qkv_bias=False, out_bias=False)
    return Block(
        branches=(
            Branch(name="attn", mixer=attention, norm=norm, dropout=dropout),
            Branch(name="ffn", mixer=Gelu(), norm=norm, dropout=dropout),
        )
    )


def ddit(
    size: str, *, vocabulary: int, length: int, logits: int | None = None, dropout: float = 0.1, condition: int = 128
) -> Transformer:
    """MDLM's DDiT of a published size ("tiny", "small", "medium"). vocabulary: ids without the mask id. logits:
    `vocabulary` if None; the official head has one more row, for the mask id, which its loss then forbids."""
    if size not in DDIT:
        raise unknown("DDiT size", size, DDIT)
    depth, width, heads = DDIT[size]
    return Transformer(
        width=width,
        heads=heads,
        condition=condition,
        input=Ids(vocabulary=vocabulary, size=(length,)),
        output=Logits(vocabulary=vocabulary if logits is None else logits),
        positions=Rotary(layout="half"),
        time=Timeless(),
        blocks=repeat(ddit_block(dropout), depth),
        final_norm=LayerNorm(eps=1e-5, affine="weight"),
    )
