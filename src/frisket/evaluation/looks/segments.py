"""What a segmenter finds, drawn over held-out images beside the truth, and its scores.

Shapes: b images, h height, w width.
"""

from __future__ import annotations

import colorsys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from frisket.core.errors import check
from frisket.core.files import save_tensors
from frisket.core.registry import register
from frisket.data.base import Batch, Data
from frisket.evaluation.compare import number
from frisket.evaluation.plots import image_table
from frisket.evaluation.report import Section, Table
from frisket.evaluation.scores.segments import SegmentScore, test_batches, things
from frisket.sampling.pipeline import Pipeline
from frisket.sampling.segmenter import Segmented, Segmenter

MEANINGS = {
    "pq": "panoptic quality", "sq": "how well found segments are drawn", "rq": "how well segments are found",
    "ap": "average precision, overlaps .50 to .95", "ap50": "average precision, overlap .50",
    "miou": "mean IoU of classes",
}  # fmt: skip


@register("look/segments")
@dataclass(frozen=True, kw_only=True)
class SegmentLook:
    """Overlays of the first `count` test images and the scores of n. score: instances drawn are at least as sure."""

    count: int = 10
    score: float = 0.5

    def __post_init__(self):
        check(self.count >= 1, "look.count", self.count, "1 or more")

    def sections(self, pipeline: Pipeline, data: Data, n: int, folder: Path) -> tuple[list[Section], dict[str, Any]]:
        """Raises `FrisketError` as the score does."""
        segmenter, batch = Segmenter(pipeline), test_batches(data, self.count)[0]
        x = batch["x"][: self.count]
        found = segmenter.segment(x)
        rows = overlays(x, batch, found, segmenter.stuff, self.score)
        save_tensors(folder / "shown.safetensors", {
            "images": x, "semantic": found.semantic, "panoptic_classes": found.panoptic.classes,
            "panoptic_segments": found.panoptic.segments,
        })  # fmt: skip
        figure = image_table(rows, caption="Colours name classes in both rows of a pair; white lines part segments.")
        text = "Held-out images, what is in them, and what the model finds. Grey: nothing sure was found."
        scores = SegmentScore().take(pipeline, data, n, 0)
        cells = tuple((name, number(value), MEANINGS[name]) for name, value in scores.items())
        table = Table(columns=("measure", "value", "what it is"), rows=cells, right=(1,), note=f"{n} held-out images.")
        return [
            Section(title="Segments", text=text, figures=(figure,)),
            Section(title="Quality", table=table),
        ], {"segments": scores}


def overlays(
    x: Float[Tensor, "b c h w"], batch: Batch, found: Segmented, stuff: tuple[int, ...], score: float = 0.5
) -> list[tuple[str, list[Tensor]]]:
    """Labelled rows: images, true and found panoptic maps, true and found instances."""
    rows: dict[str, list[Tensor]] = {"image": list(x)}
    for i, image in enumerate(x):
        truth, numbers = batch["semantic"][i], batch["instances"][i]
        own = found.instances[i]
        sure = own.scores >= score
        rows.setdefault("true segments", []).append(painted(image, truth, numbers))
        drawn = found.panoptic.classes[i], found.panoptic.segments[i]
        rows.setdefault("found segments", []).append(painted(image, *drawn))
        rows.setdefault("true instances", []).append(stacked(image, *things(truth, numbers, stuff)))
        rows.setdefault("found instances", []).append(stacked(image, own.classes[sure], own.masks[sure]))
    return list(rows.items())


def painted(
    image: Float[Tensor, "c h w"], classes: Int[Tensor, "h w"], segments: Int[Tensor, "h w"]
) -> Float[Tensor, "3 h w"]:
    """A panoptic map over its image: classes as colours, -1 grey, borders of segments white."""
    colours = colour_table(int(classes.max()) + 1)[classes]  # (h, w, 3); -1 is the last row
    out = 0.35 * _rgb(image) + 0.65 * colours.permute(2, 0, 1)
    edge = torch.zeros_like(classes, dtype=torch.bool)
    edge[:, 1:] |= segments[:, 1:] != segments[:, :-1]
    edge[1:] |= segments[1:] != segments[:-1]
    return torch.where(edge, 1.0, out)


def stacked(
    image: Float[Tensor, "c h w"], classes: Int[Tensor, "n"], masks: Bool[Tensor, "n h w"]
) -> Float[Tensor, "3 h w"]:
    """Instances over their darkened image, the first on top."""
    out = 0.4 * _rgb(image)
    colours = colour_table(int(classes.max()) + 1 if len(classes) else 0)
    for name, mask in reversed(list(zip(classes, masks, strict=True))):
        out = torch.where(mask, 0.3 * _rgb(image) + 0.7 * colours[name][:, None, None], out)
    return out


def colour_table(classes: int) -> Float[Tensor, "k 3"]:
    """A colour a class, the same whatever their number, and grey at the end. Hues turn by the golden ratio."""
    hues = [colorsys.hsv_to_rgb((0.61803399 * k) % 1, 0.55 + 0.3 * (k % 2), 0.95 - 0.25 * (k % 3 == 2)) for k in range(classes)]
    return torch.tensor([*hues, (0.5, 0.5, 0.5)])


def _rgb(image: Tensor) -> Tensor:
    return image.expand(3, -1, -1) if image.shape[0] == 1 else image[:3]
