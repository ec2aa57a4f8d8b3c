"""Official checkpoints in: `load_official(name, state_dict, **facts)`.

One file a system registers a loader: it reads the shapes, makes the config, and says which of our names each official
name goes to. Here every official tensor must be used and every weight of ours must be filled.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from torch import Tensor, nn

from frisket.core.errors import FrisketError, unknown
from frisket.models.backbones.transformer import Transformer

SYSTEMS = {"dit": "frisket.interop.dit", "sit": "frisket.interop.dit", "mdlm": "frisket.interop.mdlm"}
Loader = Callable[..., tuple[Transformer, dict[str, Tensor]]]
_loaders: dict[str, Loader] = {}


class Taken:
    """Official weights that remember which were asked for."""

    def __init__(self, weights: Mapping[str, Tensor]):
        self.weights, self.used, self.missing = dict(weights), set[str](), set[str]()

    def __call__(self, name: str) -> Tensor:
        """The tensor `name`. Raises `FrisketError` if there is none."""
        if name not in self.weights:
            raise FrisketError(f"official weights lack {name!r} (they hold: {_few(self.weights)})")
        self.used.add(name)
        return self.weights[name]

    def ignore(self, *names: str) -> None:
        """Leave out what our model computes itself."""
        self.used.update(names)

    def depth(self, prefix: str) -> int:
        """How many numbers 0, 1, ... follow `prefix` in the names."""
        numbers = {int(k[len(prefix) :].split(".")[0]) for k in self.weights if k.startswith(prefix)}
        if not numbers or numbers != set(range(len(numbers))):
            raise FrisketError(f"official weights number their {prefix}* as {sorted(numbers)}; expected 0, 1, 2, ...")
        return len(numbers)


def official(name: str) -> Callable[[Loader], Loader]:
    """Decorator: make a function the loader of the system `name`.

    It is called with a `Taken` and the facts, and returns our config and {our name: tensor}.
    """

    def add(loader: Loader) -> Loader:
        _loaders[name] = loader
        return loader

    return add


def load_official(name: str, state_dict: Mapping[str, Tensor], **facts: Any) -> nn.Module:
    """A model with the official weights of system `name` ("dit", "sit", "mdlm"), in evaluation mode.

    `facts`: what shapes do not tell, such as `num_heads`; each loader names its own. The call's time and output are the
    official forward's. Raises `FrisketError` on an unknown system, and on official names that are missing or that
    nothing reads.
    """
    if name in SYSTEMS:
        importlib.import_module(SYSTEMS[name])
    if name not in _loaders:
        raise unknown("official system", name, {*SYSTEMS, *_loaders})
    weights = Taken(state_dict)
    config, ours = _loaders[name](weights, **facts)
    left = set(weights.weights) - weights.used
    if left:
        raise FrisketError(f"official {name} weights have names that nothing reads: {_few(left)}")
    model = config.build()
    wanted = model.state_dict()
    wrong = [f"{k} {tuple(v.shape)}" for k, v in ours.items() if k not in wanted or wanted[k].shape != v.shape]
    unfilled = set(wanted) - set(ours)
    if wrong or unfilled:
        raise FrisketError(f"official {name} weights do not fit: misplaced {_few(wrong)}; unfilled {_few(unfilled)}")
    model.load_state_dict(ours)
    return model.eval()


def renamed(weights: Taken, pairs: Mapping[str, str], theirs: str = "", ours: str = "") -> dict[str, Tensor]:
    """{our name: tensor} for pairs {official module: our module}, weight and (where the official one has it) bias."""
    out = {}
    for source, target in pairs.items():
        for kind in ("weight", "bias"):
            if kind == "weight" or f"{theirs}{source}.bias" in weights.weights:
                out[f"{ours}{target}.{kind}"] = weights(f"{theirs}{source}.{kind}")
    return out


def _few(names: Iterable[str], most: int = 12) -> str:
    listed = sorted(names)
    more = f" and {len(listed) - most} more" if len(listed) > most else ""
    return (", ".join(listed[:most]) or "none") + more
