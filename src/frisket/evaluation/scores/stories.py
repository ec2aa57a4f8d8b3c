"""Whether a told story follows its prompts scene by scene, and whether it keeps its character, told or continued.

Shapes: n stories.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch

from frisket.core.registry import register
from frisket.data.base import Data
from frisket.data.scenes.stories import SAID
from frisket.evaluation.stories import (
    TOLD,
    among,
    anew,
    apart,
    continued,
    follows,
    read,
    swap_shares,
    swapped,
    tales,
    tell,
)
from frisket.sampling.pipeline import Pipeline


@register("score/stories")
@dataclass(frozen=True, kw_only=True)
class StoryScore:
    """On n test stories of three scenes. words_followed: share of the words said (size, direction, light) that scenes
    show; each kind also by itself. swapped: share of stories in which more than half of the words that differ went along
    when two prompts were exchanged. identity_distance, ground_distance: of the readings of colour and ground between
    scenes, 0 the same; strangers reach the share of the palette that is another. extension_distance: of the character's
    colour in two further scenes to the second and third, which their windows began from; free_distance: the same when
    nothing is given; extension_gain: what being given them brings. given_change: largest change of a given frame."""

    gives: ClassVar[tuple[str, ...]] = (
        "words_followed", *(f"{name}_followed" for name in SAID), "swapped", "identity_distance", "ground_distance",
        "extension_distance", "free_distance", "extension_gain", "given_change",
    )  # fmt: skip

    def take(self, pipeline: Pipeline, data: Data, n: int, seed: int) -> dict[str, float]:
        """All of them. Raises `FrisketError` on data that are no stories and on a model that reads no captions."""
        told = tales(data, n)
        first = [row[:TOLD] for row in told.prompts]
        film = tell(pipeline, first, told.frames, seed)
        seen = read(film, told.stories)
        right = {f"{name}_followed": hit.float().mean().item() for name, hit in follows(seen, told.batch).items()}
        share = swap_shares(read(tell(pipeline, swapped(first), told.frames, seed), told.stories), told.batch)
        longer = continued(pipeline, film, told, seed + 1)
        more, free = (read(made, told.stories)["colour"] for made in (longer, anew(pipeline, told, seed + 1)))
        begun = more[:, 1:TOLD]
        kept, strange = apart(begun, more[:, TOLD:]).mean().item(), apart(begun, free).mean().item()
        return {
            "words_followed": sum(right.values()) / len(right), **right,
            "swapped": (share[~share.isnan()] > 0.5).float().mean().item(),
            "identity_distance": among(seen["colour"]).mean().item(),
            "ground_distance": among(seen["ground"]).mean().item(),
            "extension_distance": kept, "free_distance": strange, "extension_gain": strange - kept,
            "given_change": (longer[:, :, : film.shape[2]] - film).abs().max().item(),
        }  # fmt: skip


def chances() -> dict[str, float]:
    """What scenes that know nothing of their prompts would reach."""
    one = {f"{name}_followed": 1 / len(words) for name, words in SAID.items()}
    return {"words_followed": sum(one.values()) / len(one), **one}


def of_the_truth(data: Data, n: int) -> dict[str, float]:
    """The measures that true stories reach, as the reader sees them."""
    told = tales(data, n)
    seen = read(told.batch["x"], told.stories)
    right = {f"{name}_followed": hit.float().mean().item() for name, hit in follows(seen, told.batch).items()}
    told_colour = seen["colour"]
    return {
        "words_followed": sum(right.values()) / len(right), **right,
        "identity_distance": among(told_colour[:, :TOLD]).mean().item(),
        "ground_distance": among(seen["ground"][:, :TOLD]).mean().item(),
        "extension_distance": apart(told_colour[:, 1:TOLD], told_colour[:, TOLD:]).mean().item(),
        "free_distance": apart(told_colour[:, 1:TOLD], torch.roll(told_colour, 1, 0)[:, TOLD:]).mean().item(),
    }  # fmt: skip
