"""Clocks: each element's own time. A process turns the time it is asked for into local times through its clock.

Global gives every element the sample's time; clean-known leaves what is given at 0. Per segment gives each segment of
one axis (frames, blocks, columns) its own; segments named clean stay at 0 (history, reference scenes). Elements whose
segments differ between samples (packed documents) use `by_segment` and hand the result to `corrupt` as a time an
element.
Shapes: b batch, k segments, `*s` the state's shape.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Protocol, runtime_checkable

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from frisket.core.errors import FrisketError, check
from frisket.core.registry import register


@runtime_checkable
class Clock(Protocol):
    """A registered value ("clock/...")."""

    def count(self) -> int:
        """How many times a sample needs: 1 means t is (b,), k > 1 means t may be (b, k)."""
        ...

    def local(self, t: Float[Tensor, "b ..."], shape: tuple[int, ...]) -> Float[Tensor, "b ..."]:
        """Times broadcastable to a state of `shape` (batch left out). A t that already has the state's number of axes
        is taken as it is."""
        ...


def by_segment(t: Float[Tensor, "b k"], segments: Int[Tensor, "b *g"]) -> Float[Tensor, "b *g"]:
    """Each element's time from its segment number; a negative number means clean, time 0."""
    times = t.gather(1, segments.flatten(1).clamp(min=0)).reshape(segments.shape)
    return torch.where(segments < 0, torch.zeros_like(times), times)


def at_known(clock: Clock | None, local: Float[Tensor, "b ..."], where: Tensor | None) -> Float[Tensor, "b ..."]:
    """Local times where some elements are known: a clock that has a say of what is known (`given`) is asked, for any
    other the known elements have the times of the rest."""
    given = getattr(clock, "given", None)
    return local if where is None or given is None else given(local, where)


def _given(t: Tensor, shape: tuple[int, ...]) -> bool:
    return t.ndim == len(shape) + 1 and t.ndim > 1 and all(n in (1, s) for n, s in zip(t.shape[1:], shape, strict=True))


@register("clock/global")
@dataclass(frozen=True, kw_only=True)
class Global:
    """One time a sample."""

    def count(self) -> int:
        return 1

    def local(self, t: Float[Tensor, "b ..."], shape: tuple[int, ...]) -> Float[Tensor, "b ..."]:
        if t.ndim == 1 or _given(t, shape):
            return t
        raise FrisketError(f"t of shape {tuple(t.shape)} fits neither (b,) nor a state of shape (b, {shape})")


@register("clock/per-segment")
@dataclass(frozen=True, kw_only=True)
class PerSegment:
    """segments: the segment number of each position along `axis` of the state (batch left out: frames of a video
    (c, t, h, w) are axis 1). clean: segments that stay at time 0. t is (b, k), or (b,) for all noisy segments alike."""

    segments: tuple[int, ...] = (0,)
    axis: int = 0
    clean: tuple[int, ...] = ()

    def __post_init__(self):
        numbers = set(self.segments)
        check(numbers == set(range(len(numbers))), "clock.segments", self.segments, "numbers 0, 1, 2, ... without gaps")
        check(set(self.clean) <= numbers, "clock.clean", self.clean, f"among the segments {sorted(numbers)}")

    def count(self) -> int:
        return max(self.segments) + 1

    def local(self, t: Float[Tensor, "b ..."], shape: tuple[int, ...]) -> Float[Tensor, "b ..."]:
        wanted = (self.count(),)
        if t.ndim != 1 and t.shape[1:] != wanted:
            if _given(t, shape):
                return t
            raise FrisketError(f"t of shape {tuple(t.shape)} is not accepted; it must be (b,) or (b, {wanted[0]})")
        if not -len(shape) <= self.axis < len(shape) or shape[self.axis] != len(self.segments):
            raise FrisketError(
                f"clock.segments names {len(self.segments)} positions of axis {self.axis}; the state is {shape}"
            )
        times = t[:, None].expand(-1, self.count()) if t.ndim == 1 else t
        noisy = times.new_tensor([0.0 if k in self.clean else 1.0 for k in range(self.count())])
        index = torch.tensor(self.segments, device=t.device)
        axes = [1] * len(shape)
        axes[self.axis] = len(self.segments)
        return (times * noisy)[:, index].reshape(-1, *axes)


@register("clock/clean-known")
@dataclass(frozen=True, kw_only=True)
class CleanKnown:
    """Another clock, but what is known stands at time 0: the network is told that it is clean, in training and in
    sampling (Mask^2DiT, arXiv 2503.19881: given scenes are modulated as at t = 0)."""

    of: Clock = field(default_factory=Global)

    def count(self) -> int:
        return self.of.count()

    def local(self, t: Float[Tensor, "b ..."], shape: tuple[int, ...]) -> Float[Tensor, "b ..."]:
        return self.of.local(t, shape)

    def given(self, local: Float[Tensor, "b ..."], where: Bool[Tensor, "..."]) -> Float[Tensor, "b ..."]:
        """The local times with 0 where elements are known. where: with the axes of the state."""
        wide = local.reshape(*local.shape, *[1] * (where.ndim - local.ndim))
        return torch.where(where, torch.zeros_like(wide), wide)
