"""The sections that most reports have, from plain results. Shapes: b images, c channels, h height, w width."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from frisket.core.errors import check
from frisket.evaluation.compare import Comparison, number
from frisket.evaluation.crossing import COLUMNS, Crossing
from frisket.evaluation.heldout import HeldoutLoss
from frisket.evaluation.plots import (
    Figure,
    Line,
    Numbers,
    chart,
    image_table,
    intervals_chart,
    range_bar,
    smooth,
    tinted,
)  # fmt: skip
from frisket.evaluation.report import Section, Table
from frisket.sampling.pipeline import Pipeline


def loss_section(
    steps: Numbers, losses: Mapping[str, Numbers], *, x_label: str = "step", y_scale: str = "log",
    window: int | None = None, text: str = "",
) -> Section:  # fmt: skip
    """Training losses by name, each raw (thin) and smoothed. y_scale: "log" or "linear"."""
    lines = []
    for name, values in losses.items():
        lines += [Line(name=name, x=steps, y=values, faint=True), Line(name=name, x=steps, y=smooth(values, window))]
    figure = chart(lines, x_label=x_label, y_label="loss", y_scale=y_scale,
                   caption="Training loss: thin lines are single steps, thick lines a moving mean.")  # fmt: skip
    return Section(title="Training loss", text=text, figures=(figure,))


def samples_section(
    images: Float[Tensor, "b c h w"], labels: Int[Tensor, "k"] | None = None, classes: Sequence[str] = (),
    columns: int = 10, title: str = "Samples", text: str = "",
) -> Section:  # fmt: skip
    """A grid of images: a row for each class (at most `columns` of it) when labels are given, else in reading order."""
    if labels is None:
        rows = [("", list(images[i : i + columns])) for i in range(0, len(images), columns)]
    else:
        check(len(labels) == len(images), "labels", len(labels), f"{len(images)}, one an image")
        rows = [(str(classes[k]) if k < len(classes) else str(k), list(images[labels == k][:columns]))
                for k in sorted(set(labels.tolist()))]  # fmt: skip
    return Section(title=title, text=text, figures=(image_table(rows),))


def film_of(pipeline: Pipeline, count: int, **conditions: Any) -> Section:
    """`film_section` of `count` images on their way; what is hidden yet is decoded as if it were the first symbol."""
    shots, k = list(pipeline.snapshots(count, seed=2, **conditions)), getattr(pipeline.process, "mask_id", None)
    states = [s.x if k is None else s.x.masked_fill(s.x == k, 0) for s in shots]
    text = "" if k is None else "What is hidden yet is drawn as the first symbol."
    return film_section([pipeline.decode(x) for x in states], [s.t for s in shots], text=text)


def film_section(
    states: Sequence[Float[Tensor, "b c h w"]], times: Sequence[float], *, most: int = 10, text: str = ""
) -> Section:
    """The way from noise to samples: one row a sample, up to `most` columns evenly chosen, first and last included."""
    check(len(states) == len(times) >= 2, "states", (len(states), len(times)), "two or more, one a time")
    chosen = [round(i * (len(states) - 1) / (min(most, len(states)) - 1)) for i in range(min(most, len(states)))]
    rows = [("", [states[i][k] for i in chosen]) for k in range(len(states[0]))]
    labels = [f"t = {times[i]:.2f}" for i in chosen]
    return Section(title="From noise to samples", text=text, figures=(image_table(rows, columns=labels),))


def inpainting_section(
    before: Float[Tensor, "b c h w"], known: Bool[Tensor, "b 1 h w"], after: Float[Tensor, "b c h w"], *, text: str = ""
) -> Section:
    """Original, what was given, and the filled image; hidden pixels are covered in one colour."""
    given = [tinted(x, k) for x, k in zip(before, known, strict=True)]
    rows = [("original", list(before)), ("given", given), ("filled in", list(after))]
    kept = bool(torch.equal(before.where(known, before.new_zeros(())), after.where(known, after.new_zeros(()))))
    caption = "Given pixels are unchanged." if kept else "Given pixels differ from the original."
    return Section(title="Inpainting", text=text, figures=(image_table(rows, caption=caption),))


def metrics_section(results: Mapping[str, Any], *, title: str = "Quality", text: str = "") -> Section:
    """What `evaluate` returned: values, intervals, floors."""
    rows, marks = [], []
    for entry in results["metrics"].values():
        arrow = {"less": "lower", "more": "higher"}[entry["better"]]
        floor = entry["floor"]
        rows.append((entry["title"], number(entry["value"]), f"{number(entry['low'])} to {number(entry['high'])}",
                     "" if floor is None else number(floor), arrow, entry["unit"]))  # fmt: skip
        marks.append(range_bar(entry["low"], entry["value"], entry["high"], floor))
    share = 100 * results["confidence"]
    note = (
        f"{results['n']:,} samples against {results['n_real']:,} held-out real items; {share:g} % bootstrap intervals. "
        f"Real vs real (dashed): {results['n_floor']:,} training items in the samples' place (for scores of a "
        f"classifier, the held-out items). Features: {results['features']}"
    )
    if results.get("feature_accuracy") is not None:
        note += f", right on {100 * results['feature_accuracy']:.1f} % of real test items"
    columns = ("metric", "value", "interval", "real vs real", "better", "unit")
    table = Table(columns=columns, rows=tuple(rows), right=(1, 2, 3), marks=tuple(marks), note=note + ".")
    return Section(title=title, text=text, table=table)


def heldout_section(losses: Mapping[str, HeldoutLoss], *, y_scale: str = "linear", text: str = "") -> Section:
    """Held-out loss over t of one or several models, with bands and their means in a table."""
    lines = [
        Line(name=name, x=h.times, y=[i.value for i in h.curve], low=[i.low for i in h.curve],
             high=[i.high for i in h.curve])
        for name, h in losses.items()
    ]  # fmt: skip
    figure = chart(lines, x_label="t (0 = data, 1 = all noise or hidden)", y_label="held-out loss", y_scale=y_scale)
    rows = tuple((name, number(h.mean.value), f"{number(h.mean.low)} to {number(h.mean.high)}", str(len(h.each)))
                 for name, h in losses.items())  # fmt: skip
    table = Table(columns=("model", "mean over t", "interval", "items"), rows=rows, right=(1, 2, 3))
    return Section(title="Held-out loss", text=text, figures=(figure,), table=table)


def comparison_section(comparison: Comparison, *, title: str = "Comparison", text: str = "") -> Section:
    """The comparison's table and, for each measure, a plot of paired relative differences."""
    columns, body = comparison.cells()
    note = f"{len(comparison.seeds)} seeds; {100 * comparison.confidence:g} % paired t intervals."
    table = Table(columns=columns, rows=tuple(body), right=(2, 3, 4), note=note)
    return Section(title=title, text=text, figures=comparison_figures(comparison), table=table)


def crossing_section(found: Sequence[Crossing]) -> Section:
    """Methods alone and together: the table, and for each measure a plot of what pairs give beyond the sum."""
    figures = []
    for one in found:
        rows = [(f"{p.first} + {p.second}", p.beyond.value, p.beyond.low, p.beyond.high) for p in one.pairs]
        figures.append(intervals_chart(rows, x_label=f"{one.measure}: beyond the sum ({one.better} is better)"))
    text = "A pair is more than the sum where it gains more than both methods alone gain together."
    table = Table(columns=COLUMNS, rows=tuple(row for one in found for row in one.cells()), right=(2, 3))
    return Section(title="Alone and together", text=text, figures=tuple(figures), table=table)


def comparison_figures(comparison: Comparison) -> tuple[Figure, ...]:
    """One plot a measure: each arm's paired difference to the baseline with its interval."""
    out = []
    for measure in dict.fromkeys(r.measure for r in comparison.rows):
        rows = [(r.arm, r.difference.value, r.difference.low, r.difference.high)
                for r in comparison.rows if r.measure == measure and r.difference]  # fmt: skip
        if rows:
            out.append(intervals_chart(rows, x_label=f"{measure}: difference to {comparison.baseline}"))
    return tuple(out)
