"""Low-rank adapters: a linear layer's output plus (alpha / rank) up(down(x)); `up` starts at zero, so nothing changes.

Source: LoRA, arXiv 2106.09685 (section 4.1); scale and initial law as huggingface/peft's `LoraConfig` (uniform with bound
1 / sqrt(fan in) for `down`, zeros for `up`). Several adapters may stand on one layer, by name; each is folded by itself.
Queries, keys and values that one layer makes together may get a pair of matrices each (`split`), as layers that stand
apart would.
Shapes: d fan in, o fan out, r rank.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from fnmatch import fnmatchcase

import torch
from torch import Tensor, nn
from torch.nn import functional

from frisket.adapters.freeze import Freeze
from frisket.core.edits import Edit, apply_edits
from frisket.core.errors import FrisketError, check
from frisket.core.registry import register
from frisket.models.init import ZEROS, Mark, Uniform, build_real, linear, mark

CITE = "Hu et al. LoRA: Low-Rank Adaptation of Large Language Models. 2021. arXiv:2106.09685"
ROLES = ("input", "matrix", "output", "modulation")


@register("edit/lora", cite=CITE)
@dataclass(frozen=True, kw_only=True)
class Lora:
    """rank, alpha: the update is scaled by alpha / rank. name: of this adapter. targets: patterns over the dotted names
    of linear layers ("blocks.*", "*.attn.mixer.qkv"). roles: which of them by what they do in the network ("matrix":
    hidden to hidden); a layer that does not say is a matrix. split: patterns -> into how many equal outputs a layer is
    cut, each with a pair of its own."""

    rank: int = 8
    alpha: float = 8.0
    name: str = "default"
    targets: tuple[str, ...] = ("blocks.*",)
    roles: tuple[str, ...] = ("matrix",)
    split: dict[str, int] = field(default_factory=lambda: {"*.qkv": 3, "*.kv": 2})

    def __post_init__(self):
        check(self.rank >= 1, "edit.rank", self.rank, "1 or more")
        check(self.alpha > 0, "edit.alpha", self.alpha, "positive")
        check(self.name.isidentifier(), "edit.name", self.name, "an identifier")
        check(bool(self.targets), "edit.targets", self.targets, "one pattern or more")
        known = bool(self.roles) and set(self.roles) <= set(ROLES)
        check(known, "edit.roles", self.roles, f"some of {ROLES}")
        check(all(n >= 1 for n in self.split.values()), "edit.split", self.split, "patterns with 1 or more parts")

    def layers(self, model: nn.Module) -> list[str]:
        """Names of the layers that get an adapter. Raises `FrisketError` if there are none."""
        own = tuple(f"{n}.lora." for n, m in model.named_modules() if isinstance(m, Adapted))
        layers = {n: m for n, m in model.named_modules() if isinstance(m, (nn.Linear, Adapted)) and not n.startswith(own)}
        found = [n for n, layer in layers.items() if self._chosen(n, layer)]
        if not found:
            raise FrisketError(f"no linear layer matches edit.targets = {self.targets} with edit.roles = {self.roles}")
        return found

    def build(self, model: nn.Module) -> None:
        """Raises `FrisketError` if no layer matches, or one has an adapter of this name."""
        for name in self.layers(model):
            layer = model.get_submodule(name)
            if isinstance(layer, nn.Linear):
                layer = Adapted(layer)
                model.set_submodule(name, layer)
            parts = next((n for pattern, n in self.split.items() if fnmatchcase(name, pattern)), 1)
            layer.add(self, parts, name)  # type: ignore[operator]

    def carry(self, weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """All old weights under their old names; the adapter's are fresh."""
        return dict(weights)

    def _chosen(self, name: str, layer: nn.Module) -> bool:
        role = getattr(layer, "marks", {}).get("weight", Mark(ZEROS, "matrix")).role
        return role in self.roles and any(fnmatchcase(name, pattern) for pattern in self.targets)


@register("edit/fold_lora")
@dataclass(frozen=True, kw_only=True)
class FoldLora:
    """Adds the adapter `name` to the weights that it stands on and removes it; the function stays the same up to
    rounding. `fold` does it and forgets both edits."""

    name: str = "default"

    def build(self, model: nn.Module) -> None:
        """Raises `FrisketError` if the model has no such adapter."""
        layers = adapted(model, self.name)
        for name, layer in layers.items():
            del layer.lora[self.name]
            if not layer.lora:
                model.set_submodule(name, layer.plain())

    def carry(self, weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Plain weights with the low-rank products added, computed in float32 at least."""
        inside = f".lora.{self.name}."
        out = {n: v for n, v in weights.items() if inside not in n}
        for name in [n for n in weights if n.endswith(f"{inside}scale")]:
            layer = name.removesuffix(f"{inside}scale")
            ups, downs = (_parts(weights, f"{layer}{inside}{kind}") for kind in ("up", "down"))
            whole = torch.cat([u.float() @ d.float() for u, d in zip(ups, downs, strict=True)])
            base = out[f"{layer}.weight"]
            out[f"{layer}.weight"] = (base.float() + weights[name].float() * whole).to(base.dtype)
        return out


class Adapted(nn.Module):
    """A linear layer with adapters beside it. Weight and bias keep the names they had."""

    weight: Tensor
    bias: Tensor | None

    def __init__(self, layer: nn.Linear):
        super().__init__()
        self.in_features, self.out_features = layer.in_features, layer.out_features
        self.weight, self.bias = layer.weight, layer.bias
        self.marks = dict(getattr(layer, "marks", {}))
        self.lora = nn.ModuleDict()

    def add(self, config: Lora, parts: int, name: str) -> None:
        """Put the adapter of `config` beside the layer called `name`. Raises if one of its name stands there."""
        check(config.name not in self.lora, "edit.name", config.name, f"new on {name}")
        check(self.out_features % parts == 0, "edit.split", parts, f"a divisor of {self.out_features} at {name}")

        def make() -> LowRank:
            return LowRank(config.rank, config.alpha, self.in_features, self.out_features // parts, parts)

        place = f"{name}.lora.{config.name}."
        self.lora[config.name] = build_real(make, place, self.weight.device).to(self.weight.dtype)

    def plain(self) -> nn.Linear:
        """The layer alone."""
        with torch.device("meta"):
            layer = nn.Linear(self.in_features, self.out_features, bias=self.bias is not None)
        layer.weight, layer.bias = self.weight, self.bias  # type: ignore[assignment]
        return mark(layer, **self.marks)

    def forward(self, x: Tensor) -> Tensor:
        out = functional.linear(x, self.weight, self.bias)
        for adapter in self.lora.values():
            out = out + adapter(x)
        return out


class LowRank(nn.Module):
    """One adapter of one layer: for each part of its output a `down` (r, d) and an `up` (o / parts, r)."""

    scale: Tensor

    def __init__(self, rank: int, alpha: float, fan_in: int, fan_out: int, parts: int):
        super().__init__()
        law = Uniform(fan_in**-0.5)
        self.number = alpha / rank
        self.down = nn.ModuleList(linear(fan_in, rank, bias=False, law=law) for _ in range(parts))
        self.up = nn.ModuleList(linear(rank, fan_out, bias=False, law=ZEROS) for _ in range(parts))
        self.register_buffer("scale", torch.empty(()))  # saved, so that folding needs the weights alone

    def fill_tables(self) -> None:
        """Write the scale."""
        self.scale.fill_(self.number)

    def forward(self, x: Tensor) -> Tensor:
        parts = [up(down(x)) for up, down in zip(self.up, self.down, strict=True)]
        return (parts[0] if len(parts) == 1 else torch.cat(parts, -1)) * self.scale


def adapted(model: nn.Module, name: str | None = None) -> dict[str, Adapted]:
    """The layers that have the adapter `name` (None: any), by their names. Raises `FrisketError` if there are none."""
    layers = {n: m for n, m in model.named_modules() if isinstance(m, Adapted)}
    found = {n: m for n, m in layers.items() if name is None or name in m.lora}
    if not found:
        held = sorted({a for layer in layers.values() for a in layer.lora})
        raise FrisketError(f"the model has no adapter {name!r} (it has: {', '.join(held) or 'none'})")
    return found


def fold(model: nn.Module, *names: str) -> nn.Module:
    """Fold adapters (all of them if none is named) into the weights, in place, and free what was frozen. The model's
    edits are then those that it would have if the adapters had never been: it saves and loads as a plain model."""
    held = list(dict.fromkeys(e.name for e in edits_of(model) if isinstance(e, Lora)))
    for name in names or held:
        apply_edits(model, [FoldLora(name=name), Freeze(learns=("*",))])
        kept = [e for e in edits_of(model) if not (isinstance(e, (Lora, FoldLora)) and e.name == name)]
        model.edits = tuple(e for e in kept if not isinstance(e, Freeze))  # type: ignore[assignment]
    return model


def edits_of(model: nn.Module) -> tuple[Edit, ...]:
    """What was recorded on the model."""
    return tuple(getattr(model, "edits", ()))


def _parts(weights: Mapping[str, Tensor], prefix: str) -> list[Tensor]:
    found = {int(n[len(prefix) + 1 :].split(".")[0]): v for n, v in weights.items() if n.startswith(f"{prefix}.")}
    return [found[i] for i in sorted(found)]
