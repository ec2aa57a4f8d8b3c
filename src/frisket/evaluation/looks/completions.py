"""Videos frame by frame: what is true, what was given, what one model makes of it, for each kind of what is known."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from frisket.core.errors import check
from frisket.core.files import save_tensors
from frisket.core.registry import register
from frisket.data.base import Data
from frisket.evaluation.completions import KINDS, Completed, completed, frames_of, kind_of
from frisket.evaluation.plots import image_table, tinted
from frisket.evaluation.report import Section, Table
from frisket.evaluation.scores.completions import Completions
from frisket.sampling.pipeline import Pipeline

TITLES = {
    "predict": "The second half from the first", "interpolate": "What lies between every fourth frame",
    "complete": "A hole that stays in place", "free": "From nothing",
}  # fmt: skip


@register("look/completions")
@dataclass(frozen=True, kw_only=True)
class CompletionFilms:
    """count: videos a kind."""

    count: int = 2

    def __post_init__(self):
        check(self.count >= 1, "look.count", self.count, "at least 1")

    def sections(self, pipeline: Pipeline, data: Data, n: int, folder: Path) -> tuple[list[Section], dict[str, Any]]:
        """A film strip a kind, and the scores of n videos."""
        frames = frames_of(data)
        films = {kind: completed(pipeline, data, kind_of(kind, frames), self.count, 1) for kind in KINDS}
        save_tensors(folder / "shown.safetensors", {kind: film.made for kind, film in films.items()})
        scores = Completions().take(pipeline, data, n, 0)
        rows = tuple((name, f"{value:.4g}") for name, value in scores.items())
        text = f"{n} held-out videos. Loss and PSNR are over what was not given; known_change is exact where it is 0."
        measured = Section(
            title="Completions", table=Table(columns=("measure", "value"), rows=rows, right=(1,)), text=text
        )
        return [*(_film(TITLES[kind], film) for kind, film in films.items()), measured], {"completions": scores}


def _film(title: str, film: Completed) -> Section:
    rows = []
    for truth, known, made in zip(film.truth, film.known, film.made, strict=True):
        pairs = zip(truth.unbind(1), known.unbind(1), strict=True)
        rows.append(("given", [tinted(frame, where) for frame, where in pairs]))
        rows.append(("made", list(made.unbind(1))))
        if bool(known.any()):
            rows.append(("truth", list(truth.unbind(1))))
    return Section(title=title, figures=(image_table(rows),))
