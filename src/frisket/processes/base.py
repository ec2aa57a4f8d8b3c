"""What the `processes` room promises: how a state is corrupted, what is learnt from that, and what a prediction means.

Everywhere t = 0 is data and t = 1 is all noise or all hidden. t is (b,) or, under a clock, one time an element.
Shapes: b batch, `*s` the state's own shape: (c, h, w), (c, l), or a grid of ids.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

from jaxtyping import Bool, Float
from torch import Tensor

from frisket.core.condition import Output
from frisket.core.state import Shape, State
from frisket.core.step import Step
from frisket.processes.known import Known


@dataclass(frozen=True, kw_only=True)
class Corrupted:
    """One noised batch and what made it. x_t, x0, noise: (b, *s), or dicts of entries. t: the time that was asked for,
    (b,). local: each element's own time under the process's clock, broadcastable to the state; equal to t under the
    global clock. known: what was given and kept clean. hidden: bool (b, *grid), masked processes only: True
    where x_t hides x0."""

    x_t: State
    x0: State
    noise: State
    t: Float[Tensor, "b"]
    local: Float[Tensor, "b ..."]
    known: Known | None = None
    hidden: Bool[Tensor, "b ..."] | None = None


@dataclass(frozen=True, kw_only=True)
class Estimate:
    """What a prediction says about the state. Gaussian: x0 and noise (b, *s), and `variance` in [0, 1], where a learned
    one lies between the posterior's (0) and beta's (1) on a log scale. Masked: logits (b, *grid, k), normalised log
    probabilities of x0 over the k real symbols. joint (b, ..., c): those of the c symbols that several elements spell
    together, where a network predicts them so; `process.spelled` turns a draw of them into ids."""

    x0: State | None = None
    noise: State | None = None
    variance: Tensor | None = None
    logits: Tensor | None = None
    joint: Tensor | None = None


@runtime_checkable
class Process(Protocol):
    """A registered value ("process/gaussian", "process/masked"). One that hides elements of a continuous state says so
    (`hides`): what is known is then shown clean and not noised."""

    def times(self, u: Float[Tensor, "b"]) -> Float[Tensor, "b"]:
        """Training times from uniform numbers in [0, 1): the quantile function of the time density, then the shift."""
        ...

    def model_time(self, t: Tensor) -> Tensor:
        """The number a network is fed for t (1000 t - 1, 1 - t, log SNR ...)."""
        ...

    def noise(self, shape: Shape, step: Step) -> State:
        """Noise for states of `shape` (batch left out): float32 normal, or uniform for hiding. (b, *shape)"""
        ...

    def corrupt(self, x0: State, t: Float[Tensor, "b"], noise: State, known: Known | None = None) -> Corrupted: ...

    def loss(
        self, output: Output, corrupted: Corrupted, valid: Bool[Tensor, "b ..."] | None = None
    ) -> dict[str, Float[Tensor, "b"]]:
        """Named loss terms a sample, already weighted; their sum is the loss. Known and not-valid elements count
        neither above nor below the fraction line."""
        ...

    def estimate(self, output: Output, x_t: State, t: Tensor) -> Estimate: ...

    def prior(self, noise: State) -> State:
        """The state at t = 1 made from noise."""
        ...

    def renoise(self, x: State, t: Tensor, s: Tensor, noise: State) -> State:
        """From a state at t to one at a later s >= t (RePaint's forward step; for ids: hide more)."""
        ...

    def outputs(self, channels: int) -> int:
        """Channels (or logits) the network must put out for a state of `channels`: c, or 2c with learned variance."""
        ...


@runtime_checkable
class ProcessConfig(Protocol):
    """A registered value of a process that has weights of its own (a learned schedule). `build()` gives the `Process`,
    an nn.Module with `config`; what it computes from its weights, it computes in `forward`, so that sharding sees it.
    A pipeline builds it, saves its weights beside the model's, and the task trains them with the model."""

    def build(self) -> Process: ...

    def fit(self, vocabulary: int, symbols: int | None = None) -> ProcessConfig:
        """A copy for a state of `vocabulary` ids, which spell `symbols` symbols together if that is not None."""
        ...

    def outputs(self, channels: int) -> int: ...


def built(process: Any) -> Any:
    """The process itself: what its config builds, or the value that it already is."""
    return process.build() if hasattr(process, "build") else process


def config_of(process: Any) -> Any:
    """The registered value that says what a process is."""
    return getattr(process, "config", process)


def expand(t: Tensor, x: Tensor) -> Tensor:
    """t of shape (b,) or (b, ...) with ones appended until it broadcasts against x (b, ...)."""
    return t.reshape(*t.shape, *[1] * (x.ndim - t.ndim))


def mean_over(values: Tensor, counts: Tensor | None) -> Float[Tensor, "b"]:
    """Mean a sample of `values` (b, ...) over the elements where `counts` (broadcastable) is True; 0 where none."""
    if counts is None:
        return values.flatten(1).mean(1)
    counted = counts.expand_as(values).flatten(1)
    return (values.flatten(1) * counted).sum(1) / counted.sum(1).clamp(min=1)
