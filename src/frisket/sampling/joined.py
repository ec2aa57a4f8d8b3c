"""A run on a state of several entries: inside it the state is one flat tensor, so that every solver, correction and
guidance works as it does on any other.

The network is called with the entries and its prediction is packed; the process is asked entry by entry. What comes out
of the run is the dict again.
Shapes: b batch, n the sum of all entries' sizes.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from jaxtyping import Float
from torch import Tensor

from frisket.core.condition import Condition, Output
from frisket.core.state import Layout
from frisket.core.step import Step
from frisket.models.base import Keep
from frisket.processes.base import Corrupted, Estimate
from frisket.processes.joint import Joint
from frisket.processes.known import Known
from frisket.processes.paths import Level, Path
from frisket.processes.variances import Moments
from frisket.sampling.base import Start


@dataclass(frozen=True)
class FlatModel:
    """A model that is given flat states and gives flat predictions; all else is the model's own."""

    model: Any
    layout: Layout

    def __call__(self, x: Tensor, t: Tensor, cond: Condition | None = None, **rest: Keep) -> Output:
        output = self.model(self.layout.unpack(x), t, cond, **rest)
        return Output(self.layout.pack(output.pred), output.aux, output.losses)

    def tags(self, x: Tensor) -> Any:
        return self.model.tags(self.layout.unpack(x))

    def __getattr__(self, name: str) -> Any:
        return getattr(self.model, name)


@dataclass(frozen=True)
class FlatProcess:
    """A joint process as solvers and corrections use it, on flat states."""

    process: Joint
    layout: Layout

    @property
    def path(self) -> Path:
        return self.process.path

    def model_time(self, t: Tensor) -> Tensor:
        return self.process.model_time(t)

    def noise(self, shape: tuple[int, ...], step: Step) -> Float[Tensor, "b n"]:
        """Of the layout's own entries."""
        return self.layout.pack(self.process.noise(self.layout.shapes, step))

    def prior(self, noise: Float[Tensor, "b n"]) -> Float[Tensor, "b n"]:
        return self.layout.pack(self.process.prior(self.layout.unpack(noise)))

    def corrupt(self, x0: Tensor, t: Tensor, noise: Tensor, known: Known | None = None) -> Corrupted:
        out = self.process.corrupt(self.layout.unpack(x0), t, self.layout.unpack(noise))
        x_t = self.layout.pack(out.x_t)
        x_t = x_t if known is None else known.impose(x_t)
        return replace(out, x_t=x_t, x0=x0, noise=noise, known=known)

    def renoise(self, x: Tensor, t: Tensor, s: Tensor, noise: Tensor) -> Float[Tensor, "b n"]:
        return self.layout.pack(self.process.renoise(self.layout.unpack(x), t, s, self.layout.unpack(noise)))

    def estimate(self, output: Output, x_t: Tensor, t: Tensor) -> Estimate:
        entries = Output(self.layout.unpack(output.pred))
        return self._flat(self.process.estimate(entries, self.layout.unpack(x_t), t))

    def level(self, t: Tensor, x: Tensor) -> Level:
        """Coefficients (b, n)."""
        levels: Mapping[str, Level] = self.process.level(t, self.layout.unpack(x))  # type: ignore[assignment]
        names = ("alpha", "sigma", "d_alpha", "d_sigma")
        return Level(**{k: self.layout.pack({n: getattr(at, k) for n, at in levels.items()}) for k in names})

    def velocity(self, estimate: Estimate, x: Tensor, t: Tensor) -> Float[Tensor, "b n"]:
        level, x0, noise = self.level(t, x), given(estimate.x0), given(estimate.noise)
        return level.d_alpha * x0 + level.d_sigma * noise

    def posterior(self, x: Tensor, estimate: Estimate, t: Tensor, s: Tensor) -> tuple[Tensor, Tensor]:
        """Mean and log variance of the ancestral step, entry by entry."""
        x0 = self.layout.unpack(given(estimate.x0))
        found = {
            name: self.process.of(name).posterior(value, Estimate(x0=x0[name]), t, s)
            for name, value in self.layout.unpack(x).items()
        }
        mean, log_variance = ({name: pair[i] for name, pair in found.items()} for i in (0, 1))
        return self.layout.pack(mean), self.layout.pack(log_variance)

    def moments(self, x: Tensor, x0: Tensor, t: Tensor, s: Tensor) -> Moments:
        ends = self.layout.unpack(x0)
        found = {n: self.process.of(n).moments(v, ends[n], t, s) for n, v in self.layout.unpack(x).items()}
        names = ("mean", "lower", "upper", "final")
        return Moments(**{k: self.layout.pack({n: getattr(m, k) for n, m in found.items()}) for k in names})

    def outputs(self, channels: int) -> int:
        return self.process.outputs(channels)

    def _flat(self, estimate: Estimate) -> Estimate:
        return Estimate(x0=self.layout.pack(estimate.x0), noise=self.layout.pack(estimate.noise))


def given(value: Tensor | None) -> Tensor:
    """What an estimate of a gaussian process always holds."""
    assert value is not None
    return value


def flat_known(known: Known | None, layout: Layout) -> Known | None:
    return None if known is None else Known(values=layout.pack(known.values), where=layout.pack(known.where))


def flat_start(start: Start | None, layout: Layout) -> Start | None:
    return None if start is None else Start(x=layout.pack(start.x), t=start.t)


def whole_estimate(estimate: Estimate | None, layout: Layout) -> Estimate | None:
    """A flat estimate entry by entry."""
    if estimate is None:
        return None
    return Estimate(x0=layout.unpack(given(estimate.x0)), noise=layout.unpack(given(estimate.noise)))
