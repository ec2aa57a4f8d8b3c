"""Official checkpoints in: `load_official(name, state_dict, **facts)` and `import_official(name, path, **facts)`.

One file a system registers a loader: it reads the shapes, makes the config, and says which of our names each official
name goes to. Here every official tensor must be used and every weight of ours must be filled. The same file registers a
wiring: the process, codec and sampler that the system's model was trained for.
"""

from __future__ import annotations

import importlib
import inspect
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any, TypeVar

from torch import Tensor, nn

from frisket.core.errors import FrisketError, unknown
from frisket.interop.checkpoints import read_weights
from frisket.models.base import BackboneConfig
from frisket.sampling.pipeline import Pipeline

SYSTEMS = {
    "dit": "frisket.interop.dit", "sit": "frisket.interop.dit", "mdlm": "frisket.interop.mdlm",
    "tread": "frisket.interop.tread", "sprint": "frisket.interop.sprint",
    "pt-dit": "frisket.interop.pt_dit", "mdtv1": "frisket.interop.mdt", "mdtv2": "frisket.interop.mdt",
    "repa": "frisket.interop.aligned", "sra": "frisket.interop.aligned",
    "dit-moe": "frisket.interop.dit_moe", "dit-moe-rf": "frisket.interop.dit_moe",
    "u-dit": "frisket.interop.u_dit", "ddt": "frisket.interop.ddt", "vdt": "frisket.interop.vdt",
    "sr-dit": "frisket.interop.sr_dit",
    "prime": "frisket.interop.prime", "mask2dit": "frisket.interop.mask2dit",
    "mar": "frisket.interop.mar", "hi-mar": "frisket.interop.mar", "maskbit": "frisket.interop.maskbit",
}  # fmt: skip
Loader = Callable[..., tuple[BackboneConfig, dict[str, Tensor]]]
Wiring = Callable[..., Pipeline]
L = TypeVar("L", bound=Loader)
_loaders: dict[str, Loader] = {}
_wirings: dict[str, Wiring] = {}


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
        numbers = {k[len(prefix) :].split(".")[0] for k in self.weights if k.startswith(prefix)}
        if not numbers or numbers != set(map(str, range(len(numbers)))):
            raise FrisketError(f"official weights number their {prefix}* as {_few(numbers)}; expected 0, 1, 2, ...")
        return len(numbers)


def official(name: str) -> Callable[[L], L]:
    """Decorator: make a function the loader of the system `name`.

    It is called with a `Taken` and the facts, and returns our config and {our name: tensor}.
    """

    def add(loader: L) -> L:
        _loaders[name] = loader
        return loader

    return add


def wires(name: str) -> Callable[[Wiring], Wiring]:
    """Decorator: make a function, called with a loaded model and the facts it names, the wiring of the system `name`."""

    def add(wiring: Wiring) -> Wiring:
        _wirings[name] = wiring
        return wiring

    return add


def import_official(name: str, path: Path | str, **facts: Any) -> Pipeline:
    """A pipeline around the official weights in the file `path` (see `checkpoints.read_weights`).

    facts: those of `load_official`, and those of the system's wiring. Raises `FrisketError` as both do.
    """
    _find(name)
    wiring = _wirings.get(name)
    if wiring is None:
        raise FrisketError(f"official {name} has no wiring, so only its model can be loaded (load_official)")
    own = [n for n, p in inspect.signature(wiring).parameters.items() if p.kind is p.KEYWORD_ONLY]
    wired = {k: v for k, v in facts.items() if k in own}
    _check_facts(name, facts, [*own, *_facts_of(_loaders[name])])
    model = load_official(name, read_weights(path), **{k: v for k, v in facts.items() if k not in own})
    return wiring(model, **wired)


def _find(name: str) -> None:
    if name in SYSTEMS:
        importlib.import_module(SYSTEMS[name])
    if name not in _loaders:
        raise unknown("official system", name, {*SYSTEMS, *_loaders})


def _facts_of(loader: Loader) -> dict[str, bool]:
    """The facts that a loader takes, and whether it cannot do without."""
    parameters = inspect.signature(loader).parameters.values()
    return {p.name: p.default is p.empty for p in parameters if p.kind is p.KEYWORD_ONLY}


def _check_facts(name: str, facts: Mapping[str, Any], accepted: Iterable[str]) -> None:
    for fact in facts:
        if fact not in accepted:
            raise unknown(f"fact of {name}", fact, accepted)
    missing = [fact for fact, needed in _facts_of(_loaders[name]).items() if needed and fact not in facts]
    if missing:
        raise FrisketError(f"official {name} weights do not tell {', '.join(missing)}; give it as a fact")


def load_official(name: str, state_dict: Mapping[str, Tensor], **facts: Any) -> nn.Module:
    """A model with the official weights of system `name` ("dit", "sit", "mdlm"), in evaluation mode.

    `facts`: what shapes do not tell, such as `num_heads`; each loader names its own. The call's time and output are the
    official forward's. Raises `FrisketError` on an unknown system, and on official names that are missing or that
    nothing reads.
    """
    _find(name)
    _check_facts(name, facts, [*_facts_of(_loaders[name])])
    weights = Taken(state_dict)
    try:
        config, ours = _loaders[name](weights, **facts)
    except FrisketError:
        raise
    except (IndexError, TypeError, ValueError, RuntimeError) as error:  # tensors or facts of shapes no release has
        raise FrisketError(f"official {name} weights or facts are not as published: {error}") from error
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


def published_heads(sizes: Mapping[str, tuple[int, int, int]], depth: int, width: int) -> int:
    """Heads of the published size (depth, width, heads) that has this depth and width. Raises where there is none."""
    for known_depth, known_width, heads in sizes.values():
        if (known_depth, known_width) == (depth, width):
            return heads
    raise FrisketError(f"no published size has {depth} blocks of width {width}; give num_heads as a fact")


def _few(names: Iterable[str], most: int = 12) -> str:
    listed = sorted(names)
    more = f" and {len(listed) - most} more" if len(listed) > most else ""
    return (", ".join(listed[:most]) or "none") + more
