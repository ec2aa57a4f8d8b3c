"""Stories told by a pipeline and read again: which words its scenes follow, and who appears in them.

What is read comes from a network that no model has seen (`data/scenes/shot_judge`). Colour and ground are in no caption:
how far their readings lie apart between scenes says whether one character stays.
Shapes: n stories, s scenes, f frames of a scene, h w pixels, k words.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from frisket.core.errors import FrisketError, check
from frisket.data.base import Batch, Data
from frisket.data.scenes.shot_judge import shot_reader
from frisket.data.scenes.stories import SAID, OneCharacter, Stories, captions, tale
from frisket.sampling.pipeline import Pipeline
from frisket.sampling.rollout import extend

TOLD, FURTHER = 3, 2  # scenes told at first, and scenes that continue them
Film = Float[Tensor, "n 3 t h w"]


@dataclass(frozen=True, kw_only=True)
class Tales:
    """n test stories of `TOLD` + `FURTHER` scenes. batch: what they show and say. prompts: a caption a scene."""

    stories: Stories
    batch: Batch
    prompts: list[tuple[str, ...]]

    @property
    def frames(self) -> int:
        """Of one scene."""
        return self.stories.frames


def tales(data: Data, n: int) -> Tales:
    """The first n test stories of one character each. Raises `FrisketError` on data that are no stories."""
    if not isinstance(data, Stories):
        raise FrisketError(f"what is told is measured on data/stories, not on {type(data).__name__}")
    stories = replace(data, shots=TOLD + FURTHER, cast=OneCharacter())
    batch = stories.open("test").batch(torch.arange(n))
    return Tales(stories=stories, batch=batch, prompts=captions(batch))


def tell(pipeline: Pipeline, prompts: Sequence[Sequence[str]], frames: int, seed: int) -> Film:
    """A scene for each prompt, one behind the other: as many in one run as the model makes, the same noise in each run.
    Raises `FrisketError` unless the model reads captions and the runs are full."""
    if "caption" not in pipeline.readers:
        raise FrisketError("stories are told to a model that reads 'caption'; this one does not")
    scenes, at_once = len(prompts[0]), pipeline.info.shape[1] // frames
    check(scenes % at_once == 0, "scenes to tell", scenes, f"a multiple of the model's {at_once}")
    runs = [[tale(row[i : i + at_once]) for row in prompts] for i in range(0, scenes, at_once)]
    return torch.cat([pipeline.sample(len(prompts), seed=seed, caption=run) for run in runs], 2)


def swapped(prompts: Sequence[Sequence[str]]) -> list[tuple[str, ...]]:
    """The prompts with the first two scenes' exchanged."""
    return [(row[1], row[0], *row[2:]) for row in prompts]


def continued(pipeline: Pipeline, film: Film, told: Tales, seed: int) -> Float[Tensor, "n 3 u h w"]:
    """The film of `TOLD` scenes with `FURTHER` more, each made in a window whose other scenes are given."""
    frames, at_once = told.frames, pipeline.info.shape[1] // told.frames
    ends = [TOLD + i + 1 for i in range(FURTHER)]
    windows: list[dict[str, Any]] = [{"caption": [tale(r[end - at_once : end]) for r in told.prompts]} for end in ends]
    return extend(pipeline, film, windows, fresh=frames, seed=seed)


def anew(pipeline: Pipeline, told: Tales, seed: int) -> Film:
    """The `FURTHER` scenes with the prompts of their windows and nothing given."""
    frames, at_once = told.frames, pipeline.info.shape[1] // told.frames
    ends = [TOLD + i + 1 for i in range(FURTHER)]
    films = [
        tell(pipeline, [r[end - at_once : end] for r in told.prompts], frames, seed + i) for i, end in enumerate(ends)
    ]
    return torch.cat([film[:, :, -frames:] for film in films], 2)


def read(film: Film, stories: Stories) -> dict[str, Float[Tensor, "n s k"]]:
    """Probabilities of what each scene shows, by the reader's names."""
    scenes = film.shape[2] // stories.frames
    clips = film.unflatten(2, (scenes, stories.frames)).transpose(1, 2).flatten(0, 1)
    found = shot_reader(stories).probabilities(clips)
    return {name: p.unflatten(0, (len(film), scenes)) for name, p in found.items()}


def follows(seen: dict[str, Tensor], batch: Batch) -> dict[str, Bool[Tensor, "n s"]]:
    """For each kind of word, whether the scenes show the one that was said."""
    scenes = seen["light"].shape[1]
    return {name: seen[name].argmax(-1) == batch[name][:, :scenes] for name in SAID}


def swap_shares(seen: dict[str, Tensor], batch: Batch) -> Float[Tensor, "n"]:
    """Of the words in which the first two prompts differ, the share that went with the exchanged prompts; nan for a
    story whose two prompts say the same. seen: the film told with exchanged prompts."""
    right, count = torch.zeros(len(batch["id"])), torch.zeros(len(batch["id"]))
    for name in SAID:
        words, shown = batch[name][:, :2], seen[name].argmax(-1)[:, :2]
        differ = words[:, 0] != words[:, 1]
        right += ((shown == words.flip(1)) & differ[:, None]).sum(1)
        count += 2 * differ
    return right / count


def apart(p: Float[Tensor, "n s k"], q: Float[Tensor, "n r k"]) -> Float[Tensor, "n"]:
    """Mean total variation between the readings of each scene in p and each in q, in [0, 1]; pairs of one scene with
    itself count when p is q."""
    return 0.5 * (p[:, :, None] - q[:, None]).abs().sum(-1).flatten(1).mean(1)


def among(p: Float[Tensor, "n s k"]) -> Float[Tensor, "n"]:
    """Mean total variation between the readings of different scenes."""
    s = p.shape[1]
    return apart(p, p) * s / (s - 1)
