"""A codec of several entries: what one codec makes of the data, and beside it what others make of the same data.

The state is a dict: "x" is the main codec's state and the only entry that is decoded; the others (a class vector) are
noised and denoised with it, as in REG (arXiv 2507.01467).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from torch import Tensor, nn

from frisket.codecs.base import CodecConfig, Spec
from frisket.codecs.pixels import Pixels
from frisket.core.errors import FrisketError, check
from frisket.core.registry import register
from frisket.core.state import MAIN
from frisket.data.base import Info, Source, Stream


@register("codec/beside")
@dataclass(frozen=True, kw_only=True)
class Beside:
    """main: makes "x". entries: make the others, by name."""

    main: CodecConfig = field(default_factory=Pixels)
    entries: dict[str, CodecConfig] = field(default_factory=dict)

    def __post_init__(self):
        named = bool(self.entries) and all(n.isidentifier() and n != MAIN for n in self.entries)
        check(named, "codec.entries", sorted(self.entries), f"at least one, under names other than {MAIN!r}")

    def fit(self, source: Source | Stream) -> Beside:
        return replace(
            self, main=self.main.fit(source), entries={name: codec.fit(source) for name, codec in self.entries.items()}
        )

    def build(self) -> BesideCodec:
        return BesideCodec(self)


class BesideCodec(nn.Module):
    """The built codecs."""

    def __init__(self, config: Beside):
        super().__init__()
        self.main: Any = config.main.build()
        self.others: dict[str, Any] = {name: codec.build() for name, codec in config.entries.items()}
        self.weighed = nn.ModuleDict({n: c for n, c in self.others.items() if isinstance(c, nn.Module)})

    @property
    def stochastic(self) -> bool:
        """Whether "x" is a draw from a posterior."""
        return getattr(self.main, "stochastic", False)

    def encode(self, x: Any, draw: Tensor | None = None) -> dict[str, Tensor]:
        """Every entry, batch first; `draw` is for "x"."""
        return {MAIN: self.main.encode(x, draw)} | {name: codec.encode(x) for name, codec in self.others.items()}

    def decode(self, state: Mapping[str, Tensor]) -> Any:
        return self.main.decode(state[MAIN])

    def spec(self, info: Info) -> Spec:
        """Raises `FrisketError` where an entry is not continuous: entries are noised together."""
        specs = {name: codec.spec(info) for name, codec in {MAIN: self.main, **self.others}.items()}
        for name, spec in specs.items():
            if spec.kind != "continuous" or spec.beside:
                raise FrisketError(f"entry {name!r} of codec/beside is no continuous tensor")
        return replace(specs[MAIN], beside={name: specs[name].shape for name in self.others})

    def take(self, given: Mapping[str, Any]) -> None:
        """Hand the pipelines that the experiment needs on to those codecs that take weights from one."""
        for codec in self.others.values():
            if hasattr(codec, "take"):
                codec.take(given)
