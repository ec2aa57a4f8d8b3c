"""Told stories to judge by eye: scenes in rows beside their prompts, two prompts exchanged, and what comes next.

Shapes: n stories, f frames of a scene.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from torch import Tensor

from frisket.core.errors import check
from frisket.core.files import save_tensors
from frisket.core.registry import register
from frisket.data.base import Data
from frisket.evaluation.plots import Figure, image_table
from frisket.evaluation.report import Section, Table
from frisket.evaluation.scores.stories import StoryScore, chances, of_the_truth
from frisket.evaluation.stories import TOLD, Film, Tales, continued, swapped, tales, tell
from frisket.sampling.pipeline import Pipeline


@register("look/stories")
@dataclass(frozen=True, kw_only=True)
class StoryBoards:
    """count: stories shown."""

    count: int = 4

    def __post_init__(self):
        check(self.count >= 1, "look.count", self.count, "at least 1")

    def sections(self, pipeline: Pipeline, data: Data, n: int, folder: Path) -> tuple[list[Section], dict[str, Any]]:
        """Stories as told, with two prompts exchanged, continued; and the scores of n stories beside true ones."""
        told = tales(data, self.count)
        prompts = [row[:TOLD] for row in told.prompts]
        film = tell(pipeline, prompts, told.frames, 1)
        other = swapped(prompts)
        turned = tell(pipeline, other, told.frames, 1)
        longer = continued(pipeline, film, told, 2)
        save_tensors(folder / "shown.safetensors", {"told": film, "exchanged": turned, "continued": longer})
        text = "A scene a row: its prompt, then its frames. What the character looks like is in no prompt."
        sections = [
            Section(title="Stories", text=text, figures=_boards(prompts, film, told)),
            Section(
                title="The first two prompts exchanged", text="From the same noise as above.",
                figures=_boards(other, turned, told),
            ),
            Section(
                title="Continued", figures=_boards(told.prompts, longer, told, TOLD),
                text=f"From scene {TOLD + 1} on each scene is made in a window whose other scenes are those before it.",
            ),
            Section(title="True stories of these prompts", figures=_boards(prompts, told.batch["x"], told)),
        ]  # fmt: skip
        scores = StoryScore().take(pipeline, data, n, 0)
        return [*sections, _measured(scores, of_the_truth(data, n), n)], {"stories": scores}


def _boards(prompts: Sequence[Sequence[str]], film: Film, told: Tales, first: int = 0) -> tuple[Figure, ...]:
    """A table a story. first: scenes before this one are named as given."""
    out = []
    for row, one in zip(prompts, film, strict=True):
        lines = []
        for i, (prompt, scene) in enumerate(zip(row, one.split(told.frames, 1), strict=False)):
            mark = "" if i >= first else " (given)"
            lines.append((f"{i + 1}. {prompt}{mark}", _frames(scene)))
        out.append(image_table(lines))
    return tuple(out)


def _frames(scene: Tensor) -> list[Tensor]:
    return list(scene.unbind(1))


def _measured(scores: dict[str, float], truth: dict[str, float], n: int) -> Section:
    chance, rows = chances(), []
    for name, value in scores.items():
        beside = (f"{of[name]:.3g}" if name in of else "" for of in (chance, truth))
        rows.append((name, f"{value:.3g}", *beside))
    table = Table(columns=("measure", "value", "by chance", "true stories"), rows=tuple(rows), right=(1, 2, 3))
    text = (
        f"{n} held-out stories, read by a network that no model has seen. Distances are between readings: of colour and "
        "ground between scenes, and of further scenes' colour to the scenes they were begun from."
    )
    return Section(title="Words and characters", table=table, text=text)
