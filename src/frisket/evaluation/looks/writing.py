"""Text being written: samples tinted by when each character was revealed, and quality against forwards."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from frisket.core.registry import register
from frisket.data.base import Data
from frisket.evaluation.looks.solving import with_sampler
from frisket.evaluation.plots import Figure, Line, chart
from frisket.evaluation.report import Section, Table
from frisket.evaluation.reveals import revealed_text
from frisket.evaluation.scores.written import Written, judged_bits, write
from frisket.sampling.pipeline import Pipeline
from frisket.sampling.sampler import Sampler

SHOWN = 2
Points = dict[str, list[dict[str, float]]]


@register("look/writing")
@dataclass(frozen=True, kw_only=True)
class Writing:
    """films: samplers by name, two samples of each with the order of revealing. curves: by name, samplers of which each
    is a point of quality against forwards. most: samples a point takes."""

    films: dict[str, Sampler]
    curves: dict[str, tuple[Sampler, ...]] = field(default_factory=dict)
    most: int = 64

    def sections(self, pipeline: Pipeline, data: Data, n: int, folder: Path) -> tuple[list[Section], dict[str, Any]]:
        sections = [self._film(pipeline)]
        points = {
            name: [Written().take(with_sampler(pipeline, sampler), data, min(n, self.most), 0) for sampler in samplers]
            for name, samplers in self.curves.items()
        }
        real = _real(data, self.most)
        if points:
            sections.append(_curves(points, real, min(n, self.most)))
        return sections, {"writing": {"held_out_judged_bits": real, **points}}

    def _film(self, pipeline: Pipeline) -> Section:
        shown, moves = [], 1
        for name, sampler in self.films.items():
            made = write(with_sampler(pipeline, sampler), SHOWN, 1)
            texts = pipeline.decode(made.state)
            used = made.move.unique(return_inverse=True)[1]  # only the moves that revealed something
            moves = max(moves, int(used.max()) + 1)
            shown += [(f"{name} ({int(used.max()) + 1} forwards)", text, when) for text, when in
                      zip(texts, used.tolist(), strict=True)]  # fmt: skip
        caption = "Samples; the darker a character, the later it was revealed. Hover for the move."
        return Section(title="The order of revealing", figures=(revealed_text(shown, moves, caption),))


def _real(data: Data, count: int) -> float:
    """The judge on held-out text."""
    import torch

    source = data.open("test")
    ids = torch.arange(min(count, source.info.size or count))
    return judged_bits(data, source.batch(ids)["x"])  # type: ignore[union-attr]


def _curves(points: Points, real: float, n: int) -> Section:
    rows = [
        (name, f"{p['forwards']:.1f}", f"{p['judged_bits']:.3f}", f"{p['parallel_bits']:.3f}")
        for name, found in points.items()
        for p in sorted(found, key=lambda p: p["forwards"])
    ]
    figures = (
        _chart(points, lambda p: p["parallel_bits"], "bits a character", {}, "Cost of drawing in parallel: the divergence "
               "of the sampler's law from the model's own in the same order."),
        _chart(points, lambda p: p["judged_bits"], "bits a character", {"held-out text": real},
               "Samples under characters counted in the training text (contexts of up to five)."),
    )  # fmt: skip
    table = Table(columns=("sampler", "forwards", "judged bits", "parallel bits"), rows=tuple(rows), right=(1, 2, 3))
    text = f"{n} samples a point; held-out text has {real:.3f} bits a character under the judge."
    return Section(title="Quality against forwards", text=text, figures=figures, table=table)


def _chart(
    points: Points, value: Callable[[dict[str, float]], float], label: str, levels: dict[str, float], caption: str
) -> Figure:
    lines = []
    for name, found in points.items():
        ordered = sorted(found, key=lambda p: p["forwards"])
        lines.append(Line(name=name, x=[p["forwards"] for p in ordered], y=[value(p) for p in ordered]))
    return chart(lines, x_label="forwards a sample", y_label=label, x_scale="log", levels=levels, caption=caption)
