"""Rewording: change what an image's conditions say, and only that, without training.

DiT4Edit (arXiv 2411.03286; no code is published): the image is inverted under its own conditions, then two streams are
sampled from the noise found, the source under the same conditions and the target under the new ones, which borrows
attention from the source by the controls given. The source stream is replayed from the inversion ("replay") or sampled
("sample"). Guidance acts on the target alone. With a mask, the target is held at the inverted trajectory outside it, so
there the image comes back bit for bit.
Shapes: b images, `*s` the state's shape.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from frisket.core.condition import Condition
from frisket.core.errors import FrisketError, check
from frisket.core.step import Step
from frisket.sampling.base import Aid
from frisket.sampling.control.base import Worded, Words, doubled
from frisket.sampling.control.cross import CrossControl
from frisket.sampling.control.selves import SelfControl
from frisket.sampling.control.words import alias_of
from frisket.sampling.guidance import Guidance
from frisket.sampling.inversion import Replay, Trajectory
from frisket.sampling.pipeline import evaluating
from frisket.sampling.regions import known_state
from frisket.sampling.sampler import Sampler
from frisket.sampling.scales import Scale

SOURCES = ("replay", "sample")
CONTROLS: tuple[Aid, ...] = (CrossControl(), SelfControl())


@dataclass(frozen=True, kw_only=True)
class Reworded:
    """images (b, ...): the edit. source (b, ...): the source stream beside it, the image itself where it was replayed.
    Both in the data's range, on the CPU."""

    images: Tensor
    source: Tensor


def reword(
    pipeline: Any, x: Tensor, before: Mapping[str, Any], after: Mapping[str, Any], *, sampler: Sampler,
    mask: Bool[Tensor, "b ..."] | None = None, how: str = "replace", source: str = "replay",
    emphasis: Float[Tensor, "b m"] | None = None, seed: int = 0, batch: int = 64,
) -> Reworded:  # fmt: skip
    """Edit the data x (b, c, *grid) by the sampler, whose `caches` say what the target borrows. mask: True where it may
    change, everywhere if None. how: see `alias_of`. source: "replay" or "sample". See `Pipeline.reword`."""
    check(source in SOURCES, "reword.source", source, f"one of {', '.join(SOURCES)}")
    check(set(before) == set(after), "after", sorted(after), f"values of what before names: {sorted(before)}")
    old, new = (pipeline._conditions(values, len(x)) for values in (before, after))
    if old is None:
        raise FrisketError("before and after name no condition; there is nothing to reword")
    parts: list[tuple[Tensor, Tensor]] = []
    for ids, rows in pipeline._batches(len(x), batch, 0):
        with torch.no_grad():
            state = pipeline.coder.encode(x[rows].to(pipeline.device))
        check(isinstance(state, Tensor), "reword: states", "several entries", "of one tensor")
        held = torch.full((2, *state.shape), False, device=state.device)
        held[0] = source == "replay"
        if mask is not None:
            held[1] = known_state(pipeline.coder, state, mask[rows].to(pipeline.device)).where
        words = _words(
            pipeline.model, old.rows(rows), new.rows(rows), how, None if emphasis is None else emphasis[rows]
        )
        step = Step(seed=seed, sample=ids)
        made = _two_streams(pipeline, sampler, state, old.rows(rows), new.rows(rows), step, held, words)
        target, other = (pipeline._decoded(each).to(x.dtype) for each in made.chunk(2)[::-1])
        if mask is not None:
            target = torch.where(mask[rows].cpu(), target, x[rows].cpu())
        parts.append((target, x[rows].cpu() if source == "replay" else other))
    return Reworded(images=torch.cat([p[0] for p in parts]), source=torch.cat([p[1] for p in parts]))


def _two_streams(
    pipeline: Any, sampler: Sampler, x: Tensor, old: Condition, new: Condition, step: Step,
    held: Bool[Tensor, "two b ..."], words: Words | None,
) -> Tensor:  # fmt: skip
    """The states (2 b, *s) at t = 0 of the source and of the target. held: where each is the inverted trajectory."""
    model = pipeline.model
    up = sampler.invert(model, pipeline.process, x=x, step=step, cond=old)
    trajectory = Trajectory.of(evaluating((model,), up))
    both = Trajectory(times=trajectory.times, states=trajectory.states.repeat(1, 2, *[1] * (x.ndim - 1)))
    moving = replace(
        sampler,
        guidance=_of_target(sampler.guidance),
        corrections=(*sampler.corrections, Replay(trajectory=both, where=held.flatten(0, 1))),
        caches=tuple(
            aid.told(words) if words is not None and isinstance(aid, Worded) else aid for aid in sampler.caches
        ),
    )
    run = moving.run(
        model, pipeline.process, shape=tuple(x.shape[1:]), step=step.at(sample=step.sample.repeat(2)),
        cond=Condition.cat([old, new]), start=both.start, others=pipeline.others,
    )  # fmt: skip
    return list(evaluating((model, *pipeline.others.values()), run))[-1].x


@dataclass(frozen=True, kw_only=True)
class _TargetOnly:
    """A scale that is 1 in the rows of the source stream."""

    inner: Scale

    def at(self, t: Float[Tensor, "b"]) -> Tensor:
        scale = self.inner.at(t)
        source = torch.arange(len(scale), device=scale.device) < len(scale) // 2
        return torch.where(source.reshape(-1, *[1] * (scale.ndim - 1)), torch.ones_like(scale), scale)


def _of_target(guidance: Guidance) -> Guidance:
    """The same guidance, of the target stream alone; each branch has both."""
    main, others = (
        [replace(branch, name=doubled(branch.name)) for branch in branches]
        for branches in ((guidance.main,), guidance.others)
    )
    scales = tuple(_TargetOnly(inner=scale) for scale in guidance.scales)
    return replace(guidance, main=main[0], others=tuple(others), scales=scales)


def _words(model: Any, old: Condition, new: Condition, how: str, emphasis: Tensor | None) -> Words | None:
    """What the captions share: of the only condition that enters as a context of ids; None where there is none."""
    ways = getattr(getattr(model, "doors", None), "ways", {})
    names = [
        name for name, way in ways.items()
        if way == "context" and old.values[name].ndim == 2 and not old.values[name].is_floating_point()
    ]  # fmt: skip
    check(len(names) <= 1, "contexts of words", names, "at most one")
    if not names:
        return None
    return Words(alias=alias_of(old.values[names[0]], new.values[names[0]], how), emphasis=emphasis)
