"""PT-DiT (Qihoo-T2X) and its official weights (Ascend/MindSpeed-MM pt_dit_diffusers.py, to which 360CVGroup/Qihoo-T2X
points; read for facts).

States are images or video with a frame axis (b, c, f, h, w), patches span one frame. Official times are 0..1000, and its
own positions come with the weights (a quarter of the features for the frame, where ours share equally), so a loaded
model keeps to the fitted grid. The official code repeats the times of a batch in another order than its windows, so
samples of different times swap their modulation there; here each keeps its own. Left out: the size and aspect
conditions that it adds for latents of side 128 (their weights are refused), and several proxies a window.
"""

from __future__ import annotations

from typing import Any

from torch import Tensor

from frisket.core.errors import check
from frisket.interop.official import Taken, official, renamed
from frisket.models.backbones.transformer import Transformer
from frisket.models.block import Block, Branch, ZeroLinear, repeat
from frisket.models.doors import Door
from frisket.models.layers.attention import Attention, Cross
from frisket.models.layers.base import Embedder
from frisket.models.layers.embedders import FeaturesMlp, Timestep
from frisket.models.layers.ends import Patches, PatchesOut
from frisket.models.layers.ffn import Gelu
from frisket.models.layers.modulation import Direct, Reused, shared_key
from frisket.models.layers.norms import LayerNorm, Norm
from frisket.models.layers.proxies import Proxies
from frisket.models.layers.windows import Box, Windows

BEFORE = "transformer_blocks."
OF = (0, 1, 2, 0, 1, 2, 3, 4, 5)  # the shifted windows begin from the numbers of the plain ones
UNBIASED, PLAIN_NORM = Attention(qkv_bias=False), LayerNorm()


def pt_dit_block(window: Box, attention: Attention = UNBIASED, norm: Norm = PLAIN_NORM, pick: Any = "mean") -> Block:
    """PT-DiT's block: proxies of the windows, windows, windows shifted by half their size, text, feed-forward.

    window: tokens of a window along each axis, or one number for all. attention: what every attention is like."""
    half = tuple(p // 2 for p in window) if isinstance(window, tuple) else window // 2
    bias: dict[str, Any] = {"qkv_bias": attention.qkv_bias, "out_bias": attention.out_bias}
    proxies = Proxies(size=window, pick=pick, among=attention, read=Cross(reads="proxies", **bias), norm=norm)
    return Block(
        branches=(
            Branch(name="proxy", mixer=proxies, norm=None, uses=(), behind=ZeroLinear()),
            Branch(name="window", mixer=Windows(size=window, attention=attention), norm=norm),
            Branch(name="shifted", mixer=Windows(size=window, shift=half, attention=attention), norm=norm,
                   behind=ZeroLinear()),
            Branch(name="cross", mixer=Cross(**bias), norm=None, uses=()),
            Branch(name="ffn", mixer=Gelu(), norm=norm),
        ),
        modulation=Reused(of=OF),
    )  # fmt: skip


def pt_dit_transformer(
    width: int, heads: int, block: Block, depth: int, text: Embedder, *, channels: int = 4, channels_out: int = 8,
    unused: int = 0, size: tuple[int, ...] = (128, 128), patch: int = 2,
) -> Transformer:  # fmt: skip
    """size: of a state, without its channels; a third axis in front is that of the frames, each cut by itself. unused:
    of the channels that come out, those which the prediction leaves out."""
    cut = (1,) * (len(size) - 2) + (patch, patch)
    return Transformer(
        width=width, heads=heads, input=Patches(channels=channels, size=size, patch=cut),
        output=PatchesOut(channels=channels_out - unused, unused=unused), time=Timestep(),
        doors=(Door(name="text", way="context", embedder=text),), blocks=repeat(block, depth),
        final_modulation=Direct(),
    )  # fmt: skip


ATTENTIONS = {
    "proxy_attn1": ("branches.proxy.mixer.among", "qkv"),
    "pvisual_attn2": ("branches.proxy.mixer.read", "q kv"),
    "attn1": ("branches.window.mixer.inner", "qkv"),
    "attn3": ("branches.shifted.mixer.inner", "qkv"),
    "attn2": ("branches.cross.mixer", "q kv"),
}
PLAIN = {
    "linear_1_visual": "branches.proxy.behind",
    "linear_2": "branches.shifted.behind",
    "ff.net.0.proj": "branches.ffn.mixer.up",
    "ff.net.2": "branches.ffn.mixer.down",
}
NORMS = {
    "proxy_norm1": "branches.proxy.mixer.norm_among",
    "norm_before": "branches.proxy.mixer.norm_asked",
    "proxy_cross_norm": "branches.proxy.mixer.norm_read",
    "norm1": "branches.window.norm",
    "shift_window_norm": "branches.shifted.norm",
    "norm2": "branches.ffn.norm",
}
ENDS = {
    "adaln_single.emb.timestep_embedder.linear_1": "time.mlp.up",
    "adaln_single.emb.timestep_embedder.linear_2": "time.mlp.out",
    "caption_projection.linear_1": "doors.embedders.text.up",
    "caption_projection.linear_2": "doors.embedders.text.out",
    "proj_out": "output.linear",
}


@official("pt-dit")
def load_pt_dit(
    weights: Taken,
    /,
    *,
    num_heads: int,
    window: tuple[int, int, int],
    norm_eps: float = 1e-6,
    input_size: int | None = None,
) -> tuple[Transformer, dict[str, Tensor]]:
    """num_heads: of every attention. window: `compress_ratios`, tokens of a window along (f, h, w). norm_eps: of the
    blocks' norms. input_size: height and width of the state; a square grid by the positions if None. States are (b, c, f,
    h, w); the null of the text, which the official code has no weight for, is zero: pass the empty text's features."""
    patches, table = weights("pos_embed.proj.weight"), weights("pos_embed.pos_embed")
    width, channels, patch, _ = patches.shape
    frames, places = table.shape[1:3]
    side = round(places**0.5) * patch
    check(side**2 == places * patch**2, "pos_embed", tuple(table.shape), "positions of a square grid")
    check(input_size in (None, side), "input_size", input_size, f"{side}, by the positions in the weights")
    first = f"{BEFORE}0."
    affine = f"{first}norm1.weight" in weights.weights
    norm = LayerNorm(eps=norm_eps, affine="both" if affine else "none")
    attention = Attention(qkv_bias=f"{first}attn1.to_q.bias" in weights.weights)
    features = weights("caption_projection.linear_1.weight").shape[1]
    out = weights("proj_out.weight").shape[0] // patch**2
    depth = weights.depth(BEFORE)
    config = pt_dit_transformer(
        width, num_heads, pt_dit_block(window, attention, norm), depth, FeaturesMlp(features=features),
        channels=channels, channels_out=out, size=(frames, side, side), patch=patch,
    )  # fmt: skip
    ours = renamed(weights, ENDS)
    for i in range(depth):
        ours |= _block(weights, f"{BEFORE}{i}.", f"blocks.{i}.", affine)
    ours |= {"input.linear.weight": patches.flatten(1), "input.linear.bias": weights("pos_embed.proj.bias")}
    ours["positions.table"] = table.reshape(-1, width)
    ours["doors.embedders.text.null"] = patches.new_zeros(width)
    ours["final_modulation.table"] = weights("scale_shift_table").flatten()
    ours |= renamed(weights, {"adaln_single.linear": f"shared.{shared_key(Reused(of=OF), len(OF))}"})
    return config, ours


def _block(weights: Taken, theirs: str, ours: str, affine: bool) -> dict[str, Tensor]:
    out = renamed(weights, PLAIN | (NORMS if affine else {}), theirs, ours)
    for name, (where, parts) in ATTENTIONS.items():
        for part in parts.split():
            for kind in ("weight", "bias"):
                found = [f"{theirs}{name}.to_{letter}.{kind}" for letter in part]
                if kind == "weight" or found[0] in weights.weights:
                    out[f"{ours}{where}.{part}.{kind}"] = _joined(weights, found)
        out |= renamed(weights, {f"{name}.to_out.0": f"{where}.inner.out"}, theirs, ours)
    plain, shifted = (weights(f"{theirs}{n}scale_shift_table") for n in ("", "proxy_"))
    out[f"{ours}modulation.table"] = _joined(None, [plain[:3], shifted, plain[3:]]).flatten()
    return out


def _joined(weights: Taken | None, parts: list[Any]) -> Tensor:
    import torch

    return torch.cat([p if weights is None else weights(p) for p in parts], 0)
