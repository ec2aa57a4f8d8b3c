"""A process for states of several entries: each is noised by a process of its own, all at the same time t.

REG (arXiv 2507.01467) denoises an image and a class vector together; facts from SwayStar123/SpeedrunDiT loss.py: the
same t, noise of its own for each entry, the vector's loss weighted by 0.03. The time is that of the entry "x": its
density and its shift decide for all, and so does what the network is fed. A state of one tensor is taken for "x".
Shapes: b batch, `*s` the shape of one entry.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from jaxtyping import Bool, Float
from torch import Tensor

from frisket.core.condition import Output
from frisket.core.errors import FrisketError, check, unknown
from frisket.core.random import hash_text
from frisket.core.registry import register
from frisket.core.state import MAIN, Shape, State, by_name
from frisket.core.step import Step
from frisket.processes.base import Corrupted, Estimate, Process
from frisket.processes.gaussian import Gaussian
from frisket.processes.known import Known
from frisket.processes.paths import Level, Path

CITE = (
    "Wu et al. Representation Entanglement for Generation: Training Diffusion Transformers Is Much Easier Than You "
    "Think. 2025. arXiv:2507.01467"
)


@register("process/joint", cite=CITE)
@dataclass(frozen=True, kw_only=True)
class Joint:
    """entries: the process of each entry, "x" among them; gaussian, with one time a sample and no learned variance.
    weights: of the entries' losses, 1 where none is named."""

    entries: dict[str, Process] = field(default_factory=lambda: {MAIN: Gaussian()})
    weights: dict[str, float] = field(default_factory=dict)

    def __post_init__(self):
        check(MAIN in self.entries, "process.entries", sorted(self.entries), "names with 'x' among them")
        for name, process in self.entries.items():
            plain = hasattr(process, "level") and not hasattr(process, "build") and process.outputs(1) == 1
            plain = plain and process.clock.count() == 1  # type: ignore[attr-defined]
            accepted = "a gaussian process with one time a sample and no learned variance"
            check(plain, f"process.entries[{name!r}]", type(process).__name__, accepted)
        for name, weight in self.weights.items():
            if name not in self.entries:
                raise unknown("entry in process.weights", name, self.entries)
            check(weight >= 0, f"process.weights[{name!r}]", weight, "0 or more")

    @property
    def main(self) -> Gaussian:
        """The process of "x"."""
        return self.entries[MAIN]  # type: ignore[return-value]

    @property
    def path(self) -> Path:
        return self.main.path

    def times(self, u: Float[Tensor, "..."]) -> Float[Tensor, "..."]:
        return self.main.times(u)

    def model_time(self, t: Float[Tensor, "..."]) -> Float[Tensor, "..."]:
        return self.main.model_time(t)

    def noise(self, shape: Shape, step: Step) -> State:
        """Standard normal, each entry's drawn in a stream of its own; that of "x" is what it would be alone."""

        def draw(name: str, size: tuple[int, ...]) -> Tensor:
            own = step if name == MAIN else step.at(seed=step.seed ^ hash_text(f"entry {name}"))
            return self.of(name).noise(tuple(size), own)

        return by_name(draw, shape)

    def of(self, name: str) -> Gaussian:
        """The process of an entry. Raises `FrisketError` if there is none."""
        if name not in self.entries:
            raise unknown("entry of the state", name, self.entries)
        return self.entries[name]  # type: ignore[return-value]

    def corrupt(self, x0: State, t: Float[Tensor, "b ..."], noise: State, known: Known | None = None) -> Corrupted:
        """Every entry at t. Raises `FrisketError` on times that differ inside a sample."""
        if t.ndim != 1:
            raise FrisketError(f"process/joint has one time a sample; got times of shape {tuple(t.shape)}")

        def one(name: str, value: Tensor, drawn: Tensor) -> Tensor:
            given = None if known is None else known.entry(name)
            return self.of(name).corrupt(value, t, drawn, given).x_t

        return Corrupted(x_t=by_name(one, x0, noise), x0=x0, noise=noise, t=t, local=t, known=known)

    def loss(
        self, output: Output, corrupted: Corrupted, valid: Bool[Tensor, "b ..."] | None = None
    ) -> dict[str, Float[Tensor, "b"]]:
        """The terms of "x" under their own names, those of another entry as "NAME term". valid: of "x"."""
        terms: dict[str, Tensor] = {}
        for name, seen in _parts(corrupted).items():
            pred = output.pred[name] if isinstance(output.pred, Mapping) else output.pred
            found = self.of(name).loss(Output(pred), seen, valid if name == MAIN else None)
            weight = self.weights.get(name, 1.0)
            terms |= {term if name == MAIN else f"{name} {term}": weight * value for term, value in found.items()}
        return terms

    def estimate(self, output: Output, x_t: State, t: Float[Tensor, "b ..."]) -> Estimate:
        found = {
            name: self.of(name).estimate(Output(pred), value, t)
            for name, (value, pred) in by_name(lambda _, *pair: pair, _named(x_t), _named(output.pred)).items()
        }
        if not isinstance(x_t, Mapping):
            return found[MAIN]
        return Estimate(x0={n: e.x0 for n, e in found.items()}, noise={n: e.noise for n, e in found.items()})

    def level(self, t: Float[Tensor, "b ..."], x: State) -> Level | dict[str, Level]:
        """The coefficients at t of every entry, broadcast against it."""
        return by_name(lambda name, value: self.of(name).level(t, value), x)

    def prior(self, noise: State) -> State:
        return by_name(lambda name, value: self.of(name).prior(value), noise)

    def renoise(self, x: State, t: Float[Tensor, "b ..."], s: Float[Tensor, "b ..."], noise: State) -> State:
        return by_name(lambda name, value, drawn: self.of(name).renoise(value, t, s, drawn), x, noise)

    def outputs(self, channels: int) -> int:
        return self.main.outputs(channels)


def _named(state: State) -> Mapping[str, Tensor]:
    return state if isinstance(state, Mapping) else {MAIN: state}


def _parts(c: Corrupted) -> dict[str, Corrupted]:
    """What each entry's own process would have made."""
    if not isinstance(c.x_t, Mapping):
        return {MAIN: c}
    return {
        name: replace(c, x_t=x_t, x0=c.x0[name], noise=c.noise[name], known=c.known and c.known.entry(name))
        for name, x_t in c.x_t.items()
    }


def process_of(process: Process, name: str = MAIN) -> Process:
    """The process of one entry; of a process for one tensor, itself."""
    return process.of(name) if hasattr(process, "entries") else process  # type: ignore[attr-defined]


def entry_of(c: Corrupted, name: str = MAIN) -> Corrupted:
    """What was made of one entry; of a state of one tensor, itself."""
    return _parts(c)[name]
