"""Figures of a report as inline markup: charts as SVG that takes the page's colours, images as PNG cells with labels.

Charts are drawn by matplotlib without its global state; its colours are placeholders that become the page's CSS
variables, and its text stays text, so that a chart is legible in a light and in a dark page. Small images are enlarged
by repeating pixels, never by blurring. Shapes: c channels, h height, w width.
"""

from __future__ import annotations

import base64
import html
import io
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Bool, Float
from torch import Tensor

from frisket.core.errors import check

Numbers = Sequence[float] | np.ndarray
INK, FAINT = "#010101", "#020202"
SERIES = ("#030301", "#030302", "#030303", "#030304", "#030305", "#030306")
VARIABLES = {INK: "var(--ink)", FAINT: "var(--rule)", **{c: f"var(--c{i + 1})" for i, c in enumerate(SERIES)}}
SMALLEST, LARGEST = 64, 256
TINT = (0.80, 0.33, 0.20)


@dataclass(frozen=True, kw_only=True)
class Figure:
    """markup: trusted HTML or SVG made by this file's functions. caption: plain text."""

    markup: str
    caption: str = ""


@dataclass(frozen=True, kw_only=True)
class Line:
    """One line of a chart. low, high: a band around it, as long as x and y. faint: drawn thin, without a legend."""

    name: str
    x: Numbers
    y: Numbers
    low: Numbers | None = None
    high: Numbers | None = None
    faint: bool = False


def chart(
    lines: Sequence[Line], *, x_label: str, y_label: str, caption: str = "", y_scale: str = "linear",
    x_scale: str = "linear", levels: Mapping[str, float] | None = None,
) -> Figure:  # fmt: skip
    """A line chart. y_scale, x_scale: "linear" or "log" (then positive values only are drawn). levels: named horizontal
    lines, such as a floor. Raises `FrisketError` on no lines or unequal lengths."""
    check(len(lines) > 0, "lines", (), "at least one")
    figure, axes = _axes(x_label, y_label)
    axes.set_yscale(y_scale)
    axes.set_xscale(x_scale)
    names = list(dict.fromkeys(line.name for line in lines))
    for line in lines:
        check(len(line.x) == len(line.y) > 0, f"line {line.name!r}", (len(line.x), len(line.y)), "of equal lengths > 0")
        colour = SERIES[names.index(line.name) % len(SERIES)]
        drawn = {"linewidth": 1.8, "label": line.name}
        style: dict[str, Any] = {"linewidth": 0.7, "alpha": 0.35} if line.faint else drawn
        axes.plot(line.x, line.y, color=colour, marker="o" if len(line.x) <= 20 else "", markersize=3.5, **style)
        if line.low is not None and line.high is not None:
            axes.fill_between(line.x, line.low, line.high, color=colour, alpha=0.18, linewidth=0)
    for name, level in (levels or {}).items():
        axes.axhline(level, color=INK, linewidth=0.9, linestyle=(0, (4, 3)), label=name)
    if sum(not line.faint for line in lines) + len(levels or {}) > 1:
        axes.legend(frameon=False, fontsize=9.5, labelcolor=INK)
    _plain_ticks(axes)
    return Figure(markup=_svg(figure), caption=caption)


def intervals_chart(rows: Sequence[tuple[str, float, float, float]], *, x_label: str, caption: str = "") -> Figure:
    """Named values with their intervals, one below another, and a line at zero: (name, value, low, high)."""
    check(len(rows) > 0, "rows", (), "at least one")
    figure, axes = _axes(x_label, "", height=0.9 + 0.34 * len(rows))
    for i, (_, value, low, high) in enumerate(rows):
        axes.plot([low, high], [i, i], color=SERIES[0], linewidth=2.0, solid_capstyle="round")
        axes.plot([value], [i], color=SERIES[0], marker="o", markersize=5.5)
    axes.axvline(0, color=INK, linewidth=0.9, linestyle=(0, (4, 3)))
    axes.set_yticks(range(len(rows)), [name for name, *_ in rows])
    axes.set_ylim(len(rows) - 0.5, -0.5)
    axes.grid(visible=False, axis="y")
    _plain_ticks(axes, y=False)
    return Figure(markup=_svg(figure), caption=caption)


def image_table(
    rows: Sequence[tuple[str, Sequence[Tensor]]], *, columns: Sequence[str] = (), caption: str = ""
) -> Figure:
    """Images (c, h, w) in [0, 1] in labelled rows, with labels over the columns if given. Rows may differ in length."""
    check(any(len(images) for _, images in rows), "rows", "no images", "at least one image")
    width = max(len(images) for _, images in rows)
    named = any(name for name, _ in rows)
    head = "".join(f"<th scope='col'>{html.escape(c)}</th>" for c in columns)
    lead = "<th></th>" if named else ""
    out = [f"<tr>{lead}{head}</tr>" if columns else ""]
    for name, images in rows:
        label = f"<th scope='row'>{html.escape(name)}</th>" if named else ""
        cells = "".join(f"<td>{image_tag(image, f'{name} {i + 1}'.strip())}</td>" for i, image in enumerate(images))
        out.append(f"<tr>{label}{cells}{'<td></td>' * (width - len(images))}</tr>")
    return Figure(markup=f"<table class='images'>{''.join(out)}</table>", caption=caption)


def image_tag(image: Float[Tensor, "c h w"], alt: str = "") -> str:
    """An <img> with the picture inside it."""
    data = base64.b64encode(png(image)).decode()
    pixel = " class='pixel'" if max(image.shape[1:]) <= SMALLEST else ""
    return f"<img{pixel} alt='{html.escape(alt, quote=True)}' src='data:image/png;base64,{data}'>"


def png(image: Float[Tensor, "c h w"]) -> bytes:
    """The PNG file of an image in [0, 1] with 1, 3 or 4 channels: enlarged by whole factors to 64 pixels or more,
    reduced to at most 256."""
    from PIL import Image

    check(image.ndim == 3 and image.shape[0] in (1, 3, 4), "image", tuple(image.shape), "(1, 3 or 4, h, w)")
    pixels = (image.detach().cpu().float().nan_to_num(0.0).clamp(0, 1) * 255).round().byte().permute(1, 2, 0).numpy()
    picture = Image.fromarray(pixels[:, :, 0] if image.shape[0] == 1 else pixels)
    h, w = image.shape[1:]
    factor = max(1, -(-SMALLEST // max(h, w)))
    if factor > 1:
        picture = picture.resize((w * factor, h * factor), Image.Resampling.NEAREST)
    elif max(h, w) > LARGEST:
        picture.thumbnail((LARGEST, LARGEST))
    buffer = io.BytesIO()
    picture.save(buffer, format="PNG", optimize=True)
    return buffer.getvalue()


def tinted(image: Float[Tensor, "c h w"], known: Bool[Tensor, "1 h w"]) -> Float[Tensor, "3 h w"]:
    """The image with what is not known covered in one flat colour."""
    rgb = image.expand(3, -1, -1) if image.shape[0] == 1 else image[:3]
    return rgb.where(known, rgb.new_tensor(TINT).view(3, 1, 1))


def smooth(values: Numbers, window: int | None = None) -> Float[np.ndarray, "n"]:
    """Mean over a centred window (a twentieth of the length by default), cut off at both ends."""
    x = np.asarray(values, dtype=np.float64)
    half = (max(1, len(x) // 20) if window is None else window) // 2
    total = np.concatenate([[0.0], np.cumsum(x)])
    index = np.arange(len(x))
    first, last = np.maximum(index - half, 0), np.minimum(index + half + 1, len(x))
    return (total[last] - total[first]) / (last - first)


def range_bar(low: float, value: float, high: float, floor: float | None) -> str:
    """A small SVG: the interval as a bar, the value as a dot, the floor as an upright line."""
    marks = [low, value, high] + ([] if floor is None else [floor])
    start, end = min(marks), max(marks)
    span = (end - start) or 1.0
    place = [8 + 124 * (m - start) / span for m in marks]
    tick = "" if floor is None else f"<line x1='{place[3]:.1f}' x2='{place[3]:.1f}' y1='2' y2='16' class='floor'/>"
    return (
        f"<svg class='bar' width='140' height='18' viewBox='0 0 140 18' aria-hidden='true'>"
        f"<line x1='8' x2='132' y1='9' y2='9' class='axis'/>{tick}"
        f"<line x1='{place[0]:.1f}' x2='{place[2]:.1f}' y1='9' y2='9' class='range'/>"
        f"<circle cx='{place[1]:.1f}' cy='9' r='3.5'/></svg>"
    )


def _axes(x_label: str, y_label: str, height: float = 3.4):
    from matplotlib.figure import Figure as Canvas

    figure = Canvas(figsize=(7.6, height), layout="constrained")
    axes = figure.add_subplot()
    figure.patch.set_alpha(0)
    axes.patch.set_alpha(0)
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)
    for side in ("left", "bottom"):
        axes.spines[side].set_color(FAINT)
    axes.tick_params(which="both", color=FAINT, labelcolor=INK, labelsize=9.5)
    axes.grid(color=FAINT, linewidth=0.6, alpha=0.6)
    axes.set_axisbelow(True)
    axes.set_xlabel(x_label, color=INK, fontsize=10)
    axes.set_ylabel(y_label, color=INK, fontsize=10)
    return figure, axes


def _plain_ticks(axes, y: bool = True) -> None:
    """Decimal numbers on the axes instead of powers and offsets."""
    from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

    for axis, wanted in ((axes.xaxis, True), (axes.yaxis, y)):
        if wanted:
            if axis.get_scale() == "log":
                axis.set_major_locator(LogLocator(base=10, subs=(1, 2, 5), numticks=12))
                axis.set_minor_formatter(NullFormatter())
            axis.set_major_formatter(FuncFormatter(lambda v, _: f"{v:g}" if abs(v) < 1e5 else f"{v / 1000:g}k"))


def _svg(figure) -> str:
    """The figure as SVG for a page: no prologue, no fixed size, page colours, only the ids that are referred to."""
    import matplotlib as mpl

    buffer = io.StringIO()
    with mpl.rc_context({"svg.fonttype": "none", "svg.hashsalt": "frisket"}):
        figure.savefig(buffer, format="svg", metadata={"Date": None, "Creator": None, "Format": None, "Type": None})
    text = buffer.getvalue()
    text = text[text.index("<svg") :]
    text = re.sub(r"<metadata>.*?</metadata>", "", text, flags=re.S)
    for colour, variable in VARIABLES.items():
        text = text.replace(colour, variable)
    used = set(re.findall(r"#([\w-]+)", text))
    text = re.sub(r' id="([\w.-]+)"', lambda m: m.group(0) if m.group(1) in used else "", text)
    text = re.sub(r'(<svg[^>]*?) width="[^"]*"', r"\1", text, count=1)
    text = re.sub(r'(<svg[^>]*?) height="[^"]*"', r"\1", text, count=1)
    return text.replace("<svg", "<svg class='chart' role='img'", 1)
