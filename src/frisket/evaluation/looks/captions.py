"""A caption beside what a model draws for it, and everything that a model of captions can do with a picture.

Rows of pictures: samples with their captions, the way to them, the stages, a box repainted to another caption, what lies
around a picture drawn, a picture changed without a mask, and a caption steered away from.
Shapes: b images, h w pixels.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from frisket.core.files import save_tensors
from frisket.core.registry import register
from frisket.data.base import Data
from frisket.evaluation.plots import image_table, tinted
from frisket.evaluation.report import Section, Table
from frisket.evaluation.scores.captions import Captions, agreement
from frisket.evaluation.sections import film_of
from frisket.sampling.pipeline import Pipeline

COLUMNS = 6


@register("look/captions")
@dataclass(frozen=True, kw_only=True)
class Captioned:
    """captions: to draw; () takes those of the first test items. columns: samples of each. score: measure how far
    samples agree with their captions (scenes only)."""

    captions: tuple[str, ...] = ()
    columns: int = COLUMNS
    score: bool = True

    def sections(self, pipeline: Pipeline, data: Data, n: int, folder: Path) -> tuple[list[Section], dict[str, Any]]:
        held: Any = data.open("test").batch(torch.arange(2 * self.columns))  # type: ignore[union-attr]
        captions = list(self.captions) or held["caption"][: self.columns]
        images, others = held["x"][: self.columns], held["caption"][self.columns :]
        sections = [
            self._samples(pipeline, captions, folder), *self._stages(pipeline, captions),
            film_of(pipeline, len(captions), caption=captions),
            repainted(pipeline, images, others), surrounded(pipeline, images, held["caption"][: self.columns]),
            redrawn(pipeline, images, others), steered(pipeline, captions),
        ]  # fmt: skip
        if not self.score:
            return sections, {}
        found = Captions().take(pipeline, data, n, seed=0)
        real = agreement(pipeline.coder.decode(pipeline.coder.encode(held["x"])), held["caption"]).mean().item()
        rows = tuple(
            (name, f"{value:.3f}") for name, value in {**found, "agreement of encoded test images": real}.items()
        )
        note = f"{n} captions of the test split; agreement is the share of the objects named that a reader finds."
        table = Table(columns=("what", "value"), rows=rows, right=(1,), note=note)
        return [*sections, Section(title="Agreement", table=table)], {"captions": found | {"encoded": real}}

    def _samples(self, pipeline: Pipeline, captions: list[str], folder: Path) -> Section:
        drawn = pipeline.sample(
            len(captions) * self.columns, seed=1, caption=[c for c in captions for _ in range(self.columns)]
        )
        save_tensors(folder / "shown.safetensors", {"samples": drawn})
        rows = [(c, list(drawn[i * self.columns : (i + 1) * self.columns])) for i, c in enumerate(captions)]
        return Section(title="Captions and samples", figures=(image_table(rows),))

    def _stages(self, pipeline: Pipeline, captions: list[str]) -> list[Section]:
        """What each stage before made, above what the last one made of it."""
        rows = []
        for name, stage in pipeline.stages.items():
            rows.append((f"{name}: before", list(stage.sample(len(captions), seed=2, caption=captions))))
        if not rows:
            return []
        rows.append(("the last stage", list(pipeline.sample(len(captions), seed=2, caption=captions))))
        return [Section(title="Stages", text="One caption a column.", figures=(image_table(rows),))]


def repainted(pipeline: Pipeline, images: Tensor, captions: list[str]) -> Section:
    """The right half hidden and drawn anew to another caption."""
    mask = torch.zeros(len(images), 1, *images.shape[2:], dtype=torch.bool)
    mask[..., images.shape[-1] // 2 :] = True
    return _masked(
        pipeline, images, mask, captions, "Inpainting", "The right half is hidden; the caption is another's."
    )


def surrounded(pipeline: Pipeline, images: Tensor, captions: list[str]) -> Section:
    """All but the middle hidden."""
    h, w = images.shape[2:]
    mask = torch.ones(len(images), 1, h, w, dtype=torch.bool)
    mask[..., h // 4 : h - h // 4, w // 4 : w - w // 4] = False
    return _masked(pipeline, images, mask, captions, "Outpainting", "Only the middle is given, and its own caption.")


def _masked(pipeline: Pipeline, images: Tensor, mask: Tensor, captions: list[str], title: str, text: str) -> Section:
    made = pipeline.edit(images, mask, seed=3, caption=captions)
    given = [tinted(x, k) for x, k in zip(images, ~mask, strict=True)]
    rows = [("original", list(images)), ("given", given), ("filled in", list(made))]
    kept = bool(torch.equal(images.masked_fill(mask, 0), made.masked_fill(mask, 0)))
    caption = "Given pixels are unchanged." if kept else "Given pixels differ from the original."
    figure = image_table(rows, columns=captions, caption=caption)
    return Section(title=title, text=text, figures=(figure,))


def redrawn(pipeline: Pipeline, images: Tensor, captions: list[str]) -> Section:
    """Editing without a mask: a share of the state hidden and drawn anew to another caption, round after round."""
    rows = [("original", list(images))]
    for rounds in (1, 4):
        made = pipeline.redraw(images, strength=0.6, rounds=rounds, steps=2, seed=4, caption=captions)
        rows.append((f"rounds: {rounds}", list(made)))
    text = "No mask: the picture is noised to t = 0.6 and drawn again, to another caption."
    return Section(title="Editing without a mask", text=text, figures=(image_table(rows, columns=captions),))


def steered(pipeline: Pipeline, captions: list[str]) -> Section:
    """The same noise with and without a caption to keep away from: each caption's neighbour."""
    away = captions[1:] + captions[:1]
    plain = pipeline.sample(len(captions), seed=5, caption=captions)
    made = pipeline.sample(len(captions), seed=5, caption=captions, negative={"caption": away})
    rows = [("plain", list(plain)), ("away from the next", list(made))]
    return Section(title="Negative captions", figures=(image_table(rows, columns=captions),))
