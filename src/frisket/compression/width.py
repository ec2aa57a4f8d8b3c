"""Removing units inside branches: attention heads and hidden units of feed-forward layers, for real.

A branch with some units fewer gives exactly what it gave with those units gated to 0; one without any gives the bias of
its output layer, and so becomes a pass-through of the residual but for that. Removing a head of width e of a token of
width d takes 4 d e weights and 3 e biases, a hidden unit 2 d + 1 (GELU) or 3 d (SwiGLU, no biases).
Shapes: b batch, n tokens, d width, e width of a head, u units.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn

from frisket.core.errors import FrisketError, check
from frisket.core.registry import register
from frisket.models.init import ZEROS, parameter
from frisket.models.layers.base import BranchCall
from frisket.models.layers.positions import RelativeBias
from frisket.models.numbering import blocks_of
from frisket.models.tokens import Tokens

SITE = re.compile(r"block\[(\d+)\]\.([A-Za-z_]\w*)\.(attend|hidden)")
READERS = {"attend": "inner.out", "hidden": "down"}  # the layer whose input columns are the units
WRITERS = {"attend": {"qkv": 3, "q": 1, "kv": 2, "context": 2}, "hidden": {"up": 0}}  # layers -> parts of their rows


@register("edit/units")
@dataclass(frozen=True, kw_only=True)
class Cut:
    """site: `block[i].attn.attend` (units are heads) or `block[i].ffn.hidden` (hidden units). of: how many there are.
    removed: which of them go, from 0."""

    site: str
    of: int
    removed: tuple[int, ...]

    def __post_init__(self):
        check(SITE.fullmatch(self.site) is not None, "cut.site", self.site, "block[i].BRANCH.attend or .hidden")
        good = len(set(self.removed)) == len(self.removed) and all(0 <= i < self.of for i in self.removed)
        check(good, "cut.removed", self.removed, f"different numbers from 0 to {self.of - 1}")

    @property
    def kept(self) -> tuple[int, ...]:
        return tuple(i for i in range(self.of) if i not in set(self.removed))

    @property
    def prefix(self) -> str:
        """What the names of the branch's weights begin with."""
        block, branch, _ = self.parts
        return f"blocks.{block}.branches.{branch}.mixer."

    @property
    def parts(self) -> tuple[int, str, str]:
        """Block number, branch name, kind of unit."""
        found = SITE.fullmatch(self.site)
        assert found is not None
        return int(found[1]), found[2], found[3]


@register("edit/remove_units")
@dataclass(frozen=True, kw_only=True)
class RemoveUnits:
    """cuts: one a site, as the model numbers its blocks and units before the edit."""

    cuts: tuple[Cut, ...]

    def __post_init__(self):
        sites = [cut.site for cut in self.cuts]
        check(len(set(sites)) == len(sites), "edit.cuts", sites, "different sites")

    def build(self, model: nn.Module) -> None:
        """Raises `FrisketError` if the model has no such units, or another number of them."""
        have = units_of(model)
        for cut in self.cuts:
            check(cut.site in have, "cut.site", cut.site, f"one of {', '.join(have) or 'none'}")
            check(cut.of == have[cut.site], "cut.of", cut.of, f"{have[cut.site]}, the units of {cut.site}")
            if cut.removed and cut.parts[2] == "attend" and isinstance(_positions(model), RelativeBias):
                raise FrisketError(f"{cut.site}: a relative bias has a column a head for all blocks; heads cannot go")
        for cut in self.cuts:
            if cut.removed:
                _narrow(model, cut)

    def carry(self, weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """The old weights, rows and columns of the removed units left out."""
        out = dict(weights)
        for cut in self.cuts:
            own = {name: out.pop(name) for name in list(out) if name.startswith(cut.prefix)}
            out |= _carried(cut, own)
        return out


def _positions(model: nn.Module) -> Any:
    return getattr(getattr(model, "config", None), "positions", None)


def units_of(model: nn.Module) -> dict[str, int]:
    """Site -> number of units, of every branch that units can be taken from."""
    found = {}
    for i, block in enumerate(blocks_of(model)):
        for name, branch in getattr(block, "branches", {}).items():
            mixer = branch.mixer
            inner: Any = getattr(mixer, "inner", None)
            if isinstance(getattr(inner, "out", None), nn.Linear) and hasattr(inner, "heads"):
                found[f"block[{i}].{name}.attend"] = inner.heads
            elif isinstance(getattr(mixer, "down", None), nn.Linear) and getattr(mixer, "hides", False):
                found[f"block[{i}].{name}.hidden"] = mixer.down.in_features
    return found


def cuts_of(removed: Mapping[str, Sequence[int]], model: nn.Module) -> RemoveUnits:
    """The edit that takes the units `removed` (site -> numbers) from `model`. Raises as `RemoveUnits.build`."""
    have = units_of(model)
    for site in removed:
        check(site in have, "site", site, f"one of {', '.join(have) or 'none'}")
    chosen = {site: tuple(sorted(int(i) for i in units)) for site, units in removed.items()}
    return RemoveUnits(cuts=tuple(Cut(site=s, of=have[s], removed=units) for s, units in chosen.items() if units))


def weights_of_units(model: nn.Module, site: str) -> list[Float[Tensor, "u k"]]:
    """The weights that belong to each unit of a site: one row a unit of every layer that writes or reads it."""
    block, name, kind = Cut(site=site, of=1, removed=()).parts
    mixer = blocks_of(model)[block].branches[name].mixer  # type: ignore[union-attr,index]
    count = units_of(model)[site]
    rows = []
    for layer, parts in _writers(mixer, kind).items():
        weight = mixer.get_submodule(layer).weight.detach()
        split = weight.unflatten(0, (parts or len(weight) // count, count, -1))
        rows.append(split.transpose(0, 1).flatten(1))
    reader = mixer.get_submodule(READERS[kind]).weight.detach()
    rows.append(reader.unflatten(1, (count, -1)).transpose(0, 1).flatten(1))
    return rows


class _Removed(nn.Module):
    """A branch without units: what its output layer's bias gives. Nothing to read, nothing to attend to."""

    bias: Tensor

    def __init__(self, width: int, biased: bool):
        super().__init__()
        if biased:
            parameter(self, "bias", (width,), ZEROS, "vector")
        self.biased = biased

    def forward(self, tokens: Tokens, call: BranchCall) -> Float[Tensor, "b n d"]:
        return self.bias.expand_as(tokens.h) if self.biased else torch.zeros_like(tokens.h)


def _writers(mixer: nn.Module, kind: str) -> dict[str, int]:
    """The layers whose output rows belong to units -> in how many parts they come (0: as many as there are)."""
    return {name: parts for name, parts in WRITERS[kind].items() if isinstance(getattr(mixer, name, None), nn.Linear)}


def _narrow(model: nn.Module, cut: Cut) -> None:
    block, name, kind = cut.parts
    branch: Any = blocks_of(model)[block].get_submodule(f"branches.{name}")
    mixer, reader = branch.mixer, branch.mixer.get_submodule(READERS[kind])
    old = {k: v.detach() for k, v in mixer.state_dict().items()}
    new = _carried(cut, {cut.prefix + k: v for k, v in old.items()})
    if not cut.kept:
        with reader.weight.device:
            branch.mixer = _Removed(reader.out_features, reader.bias is not None)
        return
    for layer in (*_writers(mixer, kind), READERS[kind]):
        _resize(mixer.get_submodule(layer), {k: new.get(f"{cut.prefix}{layer}.{k}") for k in ("weight", "bias")})
    if kind == "attend":
        mixer.inner.heads = len(cut.kept)


def _resize(layer: nn.Module, values: Mapping[str, Tensor | None]) -> None:
    """Give a linear layer other weights in place; it keeps its marks."""
    assert isinstance(layer, nn.Linear)
    learns = layer.weight.requires_grad
    for name, value in values.items():
        if value is not None:
            setattr(layer, name, nn.Parameter(value.clone(), requires_grad=learns))
    layer.out_features, layer.in_features = layer.weight.shape


def _carried(cut: Cut, weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The weights of one branch, all named with its prefix, without the removed units."""
    _, _, kind = cut.parts
    reader = cut.prefix + READERS[kind]
    if not cut.kept:
        bias = weights.get(f"{reader}.bias")
        return {} if bias is None else {f"{cut.prefix}bias": bias}
    if f"{reader}.weight" not in weights:
        raise FrisketError(f"the weights lack {reader}.weight, so no units can be taken from {cut.site}")
    kept = torch.tensor(cut.kept, device=weights[f"{reader}.weight"].device)
    out = dict(weights)
    for layer, parts in WRITERS[kind].items():
        for name in (f"{cut.prefix}{layer}.weight", f"{cut.prefix}{layer}.bias"):
            if name in weights:
                rows = weights[name].unflatten(0, (parts or len(weights[name]) // cut.of, cut.of, -1))
                out[name] = rows.index_select(1, kept).flatten(0, 2)
    columns = weights[f"{reader}.weight"].unflatten(1, (cut.of, -1))
    out[f"{reader}.weight"] = columns.index_select(1, kept).flatten(1)
    return out
