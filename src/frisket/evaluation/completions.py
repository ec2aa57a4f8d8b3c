"""Held-out videos with a part given and the rest made: the kinds of what is known, and the making.

The kinds are VDT's tasks (arXiv 2305.13311, see `processes/over_time`), for videos of any length: half of the frames are
given where it gives 8 of 16.
Shapes: b videos, c channels, t frames, h height, w width.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from frisket.core.errors import FrisketError, check
from frisket.core.step import Step
from frisket.data.base import Data
from frisket.processes.makers import Frames, Maker
from frisket.processes.over_time import Every, Rectangles, Through
from frisket.sampling.pipeline import Pipeline

KINDS = ("predict", "interpolate", "complete", "free")
BATCH = 32


def kind_of(name: str, frames: int) -> Maker:
    """What is known in a task: the first half of the frames; every fourth frame; all but a hole that stays in place;
    nothing. Raises `FrisketError` on another name."""
    makers: dict[str, Maker] = {
        "predict": Frames(first=frames // 2),
        "interpolate": Every(step=4),
        "complete": Through(of=~Rectangles(), margin=min(3, (frames - 1) // 2)),
        "free": Frames(first=0),
    }
    check(name in makers, "kind of completion", name, f"one of {', '.join(KINDS)}")
    return makers[name]


@dataclass(frozen=True, kw_only=True)
class Completed:
    """truth: the videos as the codec gives them back. known: where they were given. made: the completed videos."""

    truth: Float[Tensor, "b c t h w"]
    known: Bool[Tensor, "b 1 t h w"]
    made: Float[Tensor, "b c t h w"]


def frames_of(data: Data) -> int:
    """How many frames the videos of a set have. Raises `FrisketError` if they are none."""
    info = data.open("test").info
    check(info.kind == "video", "data to complete", info.kind, "videos")
    return info.shape[1]


@torch.no_grad()
def completed(pipeline: Pipeline, data: Data, maker: Maker, n: int, seed: int) -> Completed:
    """The first n test videos with what `maker` says known and the rest sampled. Raises `FrisketError` where the codec
    changes the grid, so that a cell known in the state is none of the data's."""
    source, parts = data.open("test"), []
    for low in range(0, n, BATCH):
        ids = torch.arange(low, min(low + BATCH, n))
        state = pipeline.coder.encode(source.batch(ids)["x"].to(pipeline.device))  # type: ignore[union-attr]
        known = maker.known(state, Step(seed=seed, sample=ids.to(pipeline.device), run="completion"))
        truth = pipeline.decode(state)
        if truth.shape[2:] != state.shape[2:]:
            raise FrisketError("completions are measured cell by cell, but the codec changes the grid of the videos")
        *_, end = pipeline.snapshots(len(ids), seed=seed, first=low, known=known, **pipeline.in_turn(len(ids), low))
        parts.append((truth, known.where.cpu(), pipeline.decode(end.x)))
    truth, where, made = (torch.cat(each) for each in zip(*parts, strict=True))
    return Completed(truth=truth, known=where, made=made)


def unknown_error(one: Completed) -> Float[Tensor, "b"]:
    """The mean squared error of each video over the elements that were made; nan where there were none."""
    rest = (~one.known).expand_as(one.truth)
    squared = ((one.made - one.truth) ** 2 * rest).flatten(1).sum(1)
    return squared / rest.flatten(1).sum(1)


def known_change(one: Completed) -> float:
    """The largest change of an element that was given."""
    return float(((one.made - one.truth).abs() * one.known).max())
