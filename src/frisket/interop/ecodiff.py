"""EcoDiff's functions (YaNgZhAnG-V5/EcoDiff src/sdib, read for facts) against ours, on stored arrays.

Gates, penalties, the choice of what stays, and the outputs of pruned diffusers layers: attention with its head slices,
GELU and gated-GELU feed-forward layers. The released surgery of a tanh GELU rebuilds it as the exact one; the stored
output has that, so it is compared with our exact GELU.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from frisket.compression.gates import hard_concrete
from frisket.compression.penalties import Bounded, Expected, Norm
from frisket.compression.prune import lowest_units
from frisket.compression.width import Cut, RemoveUnits
from frisket.core.errors import FrisketError
from frisket.interop.golden import GOLDEN

Arrays = dict[str, Tensor]
PENALTIES = {
    "bounded_1": Bounded(power=1), "bounded_2": Bounded(power=2), "norm_1": Norm(power=1), "norm_2": Norm(power=2),
    "expected": Expected(),
}  # fmt: skip


def arrays_of(folder: Path = GOLDEN) -> Arrays:
    """The stored arrays by name. Raises `FrisketError` where they are not at hand."""
    path = folder / "ecodiff.npz"
    if not path.is_file():
        raise FrisketError(f"{path} does not exist; parity is measured in the source tree, which holds the arrays")
    with np.load(path, allow_pickle=False) as held:
        return {name: torch.from_numpy(held[name]) for name in held.files}


def function_difference(folder: Path = GOLDEN) -> float:
    """The largest absolute difference over all functions compared."""
    held = arrays_of(folder)
    return max(max(part(held)) for part in (gates, penalties, choices, surgery))


def gates(held: Arrays) -> list[float]:
    """Differences of the hard-concrete gates, for three widths of the noise."""
    return [_gap(hard_concrete(held["lam"], held["u"], float(eps)), held[f"gate_{eps}"]) for eps in ("0.1", "0.5", "1e-08")]


def penalties(held: Arrays) -> list[float]:
    layers = [held[f"layer_{i}"] for i in range(3)]
    return [_gap(penalty.of(layers), held[f"reg_{name}"]) for name, penalty in PENALTIES.items()]


def choices(held: Arrays) -> list[float]:
    """0 or 1 for each layer, under the local and the global ranking of three layers at 70 % kept."""
    scores = {f"block[{i}].ffn.hidden": held[f"layer_{i}"] for i in range(3)}
    total, out = sum(len(v) for v in scores.values()), []
    for scope in ("local", "global"):
        for i, (site, value) in enumerate(scores.items()):
            group = {site: value} if scope == "local" else scores
            size = len(value) if scope == "local" else total
            gone = lowest_units(group, {"hidden": 1 - int(size * 0.7) / size}, "global")[site]
            kept = torch.ones(len(value))
            kept[gone] = 0.0
            out.append(_gap(kept, held[f"{scope}_{i}"]))
    return out


def surgery(held: Arrays) -> list[float]:
    """Differences of the outputs of the pruned layers, our weights carried by the edit's own rule."""
    return [_attention(held), _feed_forward(held, "gelu"), _feed_forward(held, "geglu")]


def _attention(held: Arrays) -> float:
    own = {"inner.out.weight": held["attn/to_out.0.weight"], "inner.out.bias": held["attn/to_out.0.bias"]}
    for kind in ("weight", "bias"):
        own[f"qkv.{kind}"] = torch.cat([held[f"attn/to_{part}.{kind}"] for part in "qkv"])
    new, kept = _carried(own, "attn.attend", held["attn_kept"])
    q, k, v = (part.unflatten(-1, (kept, -1)).transpose(1, 2) for part in _linear(held["x"], new, "qkv").chunk(3, -1))
    out = torch.nn.functional.scaled_dot_product_attention(q, k, v).transpose(1, 2).flatten(2)
    return _gap(_linear(out, new, "inner.out"), held["attn_out"])


def _feed_forward(held: Arrays, kind: str) -> float:
    names = {"up": "net.0.proj", "down": "net.2"}
    own = {f"{ours}.{k}": held[f"{kind}/{theirs}.{k}"] for ours, theirs in names.items() for k in ("weight", "bias")}
    new, _ = _carried(own, "ffn.hidden", held[f"{kind}_kept"])
    hidden = _linear(held["x"], new, "up")
    if kind == "geglu":
        value, gate = hidden.chunk(2, -1)
        hidden = value * torch.nn.functional.gelu(gate)
    else:
        hidden = torch.nn.functional.gelu(hidden)
    return _gap(_linear(hidden, new, "down"), held[f"{kind}_out"])


def _carried(own: Arrays, place: str, kept: Tensor) -> tuple[Arrays, int]:
    """A branch's weights without the units that are not kept, and how many are."""
    removed = tuple(int(i) for i in (kept == 0).nonzero().flatten())
    cut = Cut(site=f"block[0].{place}", of=len(kept), removed=removed)
    carried = RemoveUnits(cuts=(cut,)).carry({cut.prefix + name: value for name, value in own.items()})
    return {name.removeprefix(cut.prefix): value for name, value in carried.items()}, len(kept) - len(removed)


def _linear(x: Tensor, weights: Arrays, name: str) -> Tensor:
    return torch.nn.functional.linear(x, weights[f"{name}.weight"], weights[f"{name}.bias"])


def _gap(ours: Tensor, theirs: Tensor) -> float:
    if ours.shape != theirs.shape:
        raise FrisketError(f"ours has the shape {tuple(ours.shape)}, the stored array {tuple(theirs.shape)}")
    return float((ours - theirs).abs().max())
