"""Fresh weights: every parameter says which law it starts from and what role it plays; a seed and its name do the rest.

The manner is torchtitan's: build on the meta device, allocate, then fill. Each parameter has a generator of its own,
keyed by (seed, name), so the same name starts from the same values whatever else the model holds, and the global
generator is never touched. Laws follow facebookresearch/DiT models.py: Xavier on matrices, 0.02 normals on embeddings,
zeros on what must start silent.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal, Protocol, TypeVar, runtime_checkable

import torch
from torch import Tensor, nn

from frisket.core.errors import FrisketError
from frisket.core.random import generator

M = TypeVar("M", bound=nn.Module)
Role = Literal["input", "matrix", "output", "modulation", "embedding", "vector", "table"]


@runtime_checkable
class Law(Protocol):
    """How a parameter starts: `fill` writes a float32 tensor in place."""

    def fill(self, value: Tensor, generator: torch.Generator) -> None: ...


@dataclass(frozen=True)
class Xavier:
    """Uniform with variance 2 / (fan in + fan out)."""

    def fill(self, value: Tensor, generator: torch.Generator) -> None:
        nn.init.xavier_uniform_(value, generator=generator)


@dataclass(frozen=True)
class Normal:
    """Normal with mean 0."""

    std: float = 0.02

    def fill(self, value: Tensor, generator: torch.Generator) -> None:
        value.normal_(0.0, self.std, generator=generator)


@dataclass(frozen=True)
class Uniform:
    """Uniform in [-bound, bound]."""

    bound: float

    def fill(self, value: Tensor, generator: torch.Generator) -> None:
        value.uniform_(-self.bound, self.bound, generator=generator)


@dataclass(frozen=True)
class Constant:
    """One number everywhere."""

    number: float = 0.0

    def fill(self, value: Tensor, generator: torch.Generator) -> None:
        value.fill_(self.number)


ZEROS, ONES = Constant(0.0), Constant(1.0)


@dataclass(frozen=True)
class Mark:
    """What a module says of one of its parameters. role: input (reads the state), matrix (hidden to hidden), output
    (writes the prediction), modulation, embedding (a look-up table), vector (biases, norm weights), table (frozen,
    filled by the module's `fill_tables`)."""

    law: Law
    role: Role


def mark(module: M, **marks: Mark) -> M:
    """Note the `Mark` of each of the module's own parameters, by name."""
    module.marks = {**getattr(module, "marks", {}), **marks}  # type: ignore[assignment]
    return module


def linear(fan_in: int, fan_out: int, *, bias: bool = True, law: Law | None = None, role: Role = "matrix") -> nn.Linear:
    """A marked `nn.Linear`: weight by `law` (Xavier if none), bias zero."""
    layer = mark(nn.Linear(fan_in, fan_out, bias=bias), weight=Mark(law or Xavier(), role))
    return mark(layer, bias=Mark(ZEROS, "vector")) if bias else layer


def embedding(rows: int, width: int, law: Law | None = None) -> nn.Embedding:
    """A marked `nn.Embedding`, normal with standard deviation 0.02 unless `law` says otherwise."""
    return mark(nn.Embedding(rows, width), weight=Mark(law or Normal(0.02), "embedding"))


def parameter(module: nn.Module, name: str, shape: tuple[int, ...], law: Law, role: Role) -> None:
    """Give `module` a marked parameter; one with the role "table" is frozen."""
    value = nn.Parameter(torch.empty(shape), requires_grad=role != "table")
    module.register_parameter(name, value)
    mark(module, **{name: Mark(law, role)})


def marks_of(model: nn.Module) -> dict[str, Mark]:
    """Parameter name -> its mark. Raises `FrisketError` naming the parameters that no module marked."""
    found, missing = {}, []
    for prefix, module in model.named_modules():
        for name, _ in module.named_parameters(recurse=False):
            full = f"{prefix}.{name}" if prefix else name
            if name in getattr(module, "marks", {}):
                found[full] = module.marks[name]  # type: ignore[index,operator]
            else:
                missing.append(full)
    if missing:
        raise FrisketError(f"no initial law is known for the parameters {', '.join(missing)}; mark() them")
    return found


@torch.no_grad()
def init_weights(model: M, seed: int = 0, prefix: str = "") -> M:
    """Fill every parameter by its law and every table and buffer by its formula, in place; returns the model.

    `prefix` stands before the names that key the draws, for a module that will be part of a larger one.
    """
    marks = marks_of(model)
    for name, value in model.named_parameters():
        fresh = torch.empty(value.shape, dtype=torch.float32, device="cpu")
        marks[name].law.fill(fresh, generator(f"{seed}/{prefix}{name}"))
        value.copy_(fresh)
    for module in model.modules():
        fill = getattr(module, "fill_tables", None)
        if callable(fill):
            fill()
    return model


def materialise(model: M, seed: int = 0, device: torch.device | str = "cpu", prefix: str = "") -> M:
    """Give a model that was built on meta storage on `device` and fresh weights, in place."""
    return init_weights(model.to_empty(device=device), seed, prefix)


def build_real(make: Callable[[], M], prefix: str = "", device: torch.device | str | None = None) -> M:
    """`make()` with fresh weights (seed 0) on `device`, or on the default device; on meta only the structure.

    Made on meta first, so the constructors of torch's layers draw nothing from the global generator.
    """
    device = torch.device(device if device is not None else torch.get_default_device())
    with torch.device("meta"):
        model = make()
    return model if device.type == "meta" else materialise(model, 0, device, prefix)


def parameter_groups(model: nn.Module, weight_decay: float = 0.0) -> list[dict]:
    """Optimiser groups by role: `{"name", "params", "weight_decay"}`; only input, matrix, output and modulation weights
    decay. Frozen parameters are left out."""
    marks = marks_of(model)
    groups: dict[str, list[nn.Parameter]] = {}
    for name, value in model.named_parameters():
        if value.requires_grad:
            groups.setdefault(marks[name].role, []).append(value)
    decays = ("input", "matrix", "output", "modulation")
    return [
        {"name": role, "params": values, "weight_decay": weight_decay if role in decays else 0.0}
        for role, values in groups.items()
    ]
