"""Official Mask2Former heads (facebookresearch/Mask2Former, read for facts): pixel decoder and query decoder by name.

Names are those under `sem_seg_head.` of a released checkpoint: `pixel_decoder.*` and `predictor.*`. Trunks are not
read: the releases keep them as pickles under detectron2's names.
Shapes: b batch, q queries, k classes, h w the finest map.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from frisket.core.errors import FrisketError, check
from frisket.core.sites import Dispatch
from frisket.interop.golden import GOLDEN, golden
from frisket.interop.official import Taken, renamed
from frisket.models.backbones.queries.decoder import Prediction, QueryDecoder
from frisket.models.backbones.queries.focus import Predicted
from frisket.models.backbones.queries.pixels import Deformable
from frisket.models.init import build_real
from frisket.models.layers.maps import GroupNorm

STEP = re.compile(r"pixel_decoder\.adapter_\d+\.weight")
GROUPS = 32  # of every group norm of the official pixel decoder


def load_heads(weights: Mapping[str, Tensor], *, heads: int = 8) -> tuple[nn.Module, QueryDecoder]:
    """Our pixel decoder and query decoder with official weights, in evaluation mode. heads: of every attention.

    Raises `FrisketError` on names that are missing or that nothing reads, and on shapes that do not fit.
    """
    given = Taken(weights)
    width, channels = _sizes(given)
    layers = given.depth("pixel_decoder.transformer.encoder.layers.")
    levels = given.depth("pixel_decoder.input_proj.")
    hidden = given("pixel_decoder.transformer.encoder.layers.0.linear1.weight").shape[0] / width
    config = Deformable(layers=layers, levels=levels, hidden=hidden, norm=GroupNorm(groups=GROUPS))
    pixels = build_real(lambda: config.build(channels, width, heads))
    decoder = build_real(lambda: _empty_decoder(given, width, heads, levels))
    _fill(pixels, _pixels(given, layers, levels, len(channels) - levels))
    _fill(decoder, _decoder(given))
    left = sorted(set(given.weights) - given.used)
    if left:
        raise FrisketError(f"official mask2former weights have names that nothing reads: {', '.join(left[:12])}")
    return pixels.eval(), decoder.eval()


def predict(pixels: nn.Module, decoder: QueryDecoder, maps: list[Tensor]) -> list[Prediction]:
    """All predictions for a trunk's maps, finest first."""
    with torch.no_grad():
        return decoder(pixels(maps), Dispatch(decoder))


def heads_difference(folder: Path = GOLDEN) -> float:
    """The largest absolute difference between our heads' outputs and the official ones for the stored weights and maps:
    the last layer's masks and classes, and the classes of every layer before it."""
    weights, maps, out = _stored(folder)
    found = predict(*load_heads(weights, heads=4), maps)
    earlier = torch.stack([p.classes for p in found[:-1]], 1)
    pairs = (found[-1].masks, out["masks"]), (found[-1].classes, out["classes"]), (earlier, out["layer_classes"])
    return max(float((ours - theirs).abs().max()) for ours, theirs in pairs)


def _stored(folder: Path) -> tuple[dict[str, Tensor], list[Tensor], dict[str, Tensor]]:
    path = folder / "mask2former_forward.npz"
    if not path.is_file():
        golden("mask2former", folder)  # raises, saying why
    with np.load(path, allow_pickle=False) as held:
        arrays = {name: torch.from_numpy(held[name]).float() for name in held.files}
    part = {p: {n.removeprefix(p): v for n, v in arrays.items() if n.startswith(p)} for p in ("w/", "in/", "out/")}
    return part["w/"], [part["in/"][name] for name in ("res2", "res3", "res4", "res5")], part["out/"]


def _sizes(given: Taken) -> tuple[int, list[int]]:
    """The width, and the trunk's channels, finest map first."""
    width = given("pixel_decoder.mask_features.weight").shape[1]
    check(width % GROUPS == 0, "width", width, f"a multiple of {GROUPS}")
    steps = sum(STEP.fullmatch(name) is not None for name in given.weights)
    fine = [given(f"pixel_decoder.adapter_{i + 1}.weight").shape[1] for i in range(steps)]
    levels = given.depth("pixel_decoder.input_proj.")
    coarse = [given(f"pixel_decoder.input_proj.{i}.0.weight").shape[1] for i in range(levels)]
    return width, [*fine, *reversed(coarse)]


def _empty_decoder(given: Taken, width: int, heads: int, levels: int) -> QueryDecoder:
    return QueryDecoder(
        Predicted(), width=width, heads=heads, classes=given("predictor.class_embed.weight").shape[0] - 1,
        queries=given("predictor.query_feat.weight").shape[0],
        layers=given.depth("predictor.transformer_ffn_layers."), levels=levels,
        hidden=given("predictor.transformer_ffn_layers.0.linear1.weight").shape[0],
        project="predictor.input_proj.0.weight" in given.weights,
    )  # fmt: skip


def _pixels(given: Taken, layers: int, levels: int, steps: int) -> dict[str, Tensor]:
    out = renamed(given, {"mask_features": "pixels"}, "pixel_decoder.")
    for i in range(levels):
        out |= renamed(given, {"0": "0", "1": "1"}, f"pixel_decoder.input_proj.{i}.", f"inputs.{i}.")
    out["level"] = given("pixel_decoder.transformer.level_embed")
    layer = {
        "self_attn.sampling_offsets": "attention.offsets", "self_attn.attention_weights": "attention.weights",
        "self_attn.value_proj": "attention.value", "self_attn.output_proj": "attention.out", "norm1": "norms.0",
        "linear1": "up", "linear2": "down", "norm2": "norms.1",
    }  # fmt: skip
    for i in range(layers):
        out |= renamed(given, layer, f"pixel_decoder.transformer.encoder.layers.{i}.", f"layers.{i}.")
    for i in range(steps):
        number = steps - i  # theirs are numbered from the finest map
        names = {f"adapter_{number}": "lateral.0", f"adapter_{number}.norm": "lateral.1",
                 f"layer_{number}": "output.0", f"layer_{number}.norm": "output.1"}  # fmt: skip
        out |= renamed(given, names, "pixel_decoder.", f"steps.{i}.")
    return out


def _decoder(given: Taken) -> dict[str, Tensor]:
    tables = {"query_feat": "query", "query_embed": "place", "level_embed": "level"}
    out = {ours: given(f"predictor.{theirs}.weight") for theirs, ours in tables.items()}
    out |= renamed(given, {"decoder_norm": "norm", "class_embed": "classes"}, "predictor.")
    out |= renamed(given, {f"mask_embed.layers.{i}": f"masks.{i}" for i in range(3)}, "predictor.")
    if "predictor.input_proj.0.weight" in given.weights:
        levels = given.depth("predictor.input_proj.")
        out |= renamed(given, {f"input_proj.{i}": f"inputs.{i}" for i in range(levels)}, "predictor.")
    for i in range(given.depth("predictor.transformer_ffn_layers.")):
        parts = {"ffn_layers": "ffn", "cross_attention_layers": "cross", "self_attention_layers": "attn"}
        for theirs, ours in parts.items():
            here = f"predictor.transformer_{theirs}.{i}."
            out |= renamed(given, {"norm": f"norms.{ours}"}, here, f"layers.{i}.")
            if ours == "ffn":
                out |= renamed(given, {"linear1": "up", "linear2": "down"}, here, f"layers.{i}.")
            else:
                inner = "multihead_attn." if ours == "cross" else "self_attn."
                out |= _attention(given, here + inner, f"layers.{i}.{ours}.")
    return out


def _attention(given: Taken, theirs: str, ours: str) -> dict[str, Tensor]:
    """Queries, keys and values lie in one packed matrix there."""
    out = renamed(given, {"out_proj": "out"}, theirs, ours)
    for kind in ("weight", "bias"):
        parts = given(f"{theirs}in_proj_{kind}").chunk(3)
        out |= {f"{ours}{name}.{kind}": part for name, part in zip("qkv", parts, strict=True)}
    return out


def _fill(module: nn.Module, ours: Mapping[str, Tensor]) -> None:
    wanted = module.state_dict()
    wrong = sorted(set(wanted) ^ set(ours) | {n for n in set(wanted) & set(ours) if wanted[n].shape != ours[n].shape})
    if wrong:
        raise FrisketError(f"official mask2former weights do not fit: {', '.join(wrong[:12])}")
    module.load_state_dict(dict(ours))
