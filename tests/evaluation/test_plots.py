import io
import xml.etree.ElementTree as ElementTree

import numpy as np
import pytest
import torch
from PIL import Image

from frisket.core import FrisketError
from frisket.evaluation.plots import (
    Line,
    chart,
    image_table,
    image_tag,
    intervals_chart,
    png,
    range_bar,
    smooth,
    tinted,
)


def read(image):
    return np.asarray(Image.open(io.BytesIO(png(image))))


def test_small_images_are_enlarged_by_repeating_pixels():
    x = torch.rand(1, 8, 8)
    pixels = read(x)
    assert pixels.shape == (64, 64)
    expected = (x[0] * 255).round().byte().numpy()
    assert np.array_equal(pixels, expected.repeat(8, 0).repeat(8, 1))


def test_colours_survive_and_large_images_shrink():
    x = torch.rand(3, 70, 80)
    assert np.array_equal(read(x), (x * 255).round().byte().permute(1, 2, 0).numpy())
    assert max(read(torch.rand(3, 600, 300)).shape[:2]) == 256
    assert read(torch.tensor([2.0, -1.0, float("nan"), 0.5]).view(1, 2, 2))[::32, ::32].tolist() == [[255, 0], [0, 128]]


def test_a_chart_is_wellformed_takes_page_colours_and_keeps_text():
    x = np.arange(30.0)
    figure = chart([Line(name="raw", x=x, y=x + 1, faint=True), Line(name="raw", x=x, y=x + 1, low=x, high=x + 2),
                    Line(name="other", x=x, y=x + 3)], x_label="step & more", y_label="loss", y_scale="log",
                   levels={"floor": 2.0}, caption="c")  # fmt: skip
    ElementTree.fromstring(figure.markup.replace("xlink:href", "href"))
    assert "step &amp; more" in figure.markup
    assert "var(--c1)" in figure.markup
    assert "var(--c2)" in figure.markup
    assert "var(--ink)" in figure.markup
    assert "#0101" not in figure.markup
    assert "floor" in figure.markup
    assert figure == chart([Line(name="raw", x=x, y=x + 1, faint=True), Line(name="raw", x=x, y=x + 1, low=x, high=x + 2),
                            Line(name="other", x=x, y=x + 3)], x_label="step & more", y_label="loss", y_scale="log",
                           levels={"floor": 2.0}, caption="c")  # fmt: skip


def test_interval_chart_names_every_row():
    figure = intervals_chart([("first", 0.1, -0.1, 0.3), ("second", 1.0, 0.5, 1.5)], x_label="difference")
    assert "first" in figure.markup
    assert "second" in figure.markup


def test_image_table_labels_and_escapes():
    figure = image_table([("<a>", [torch.rand(1, 4, 4)] * 2), ("b", [torch.rand(1, 4, 4)])], columns=("t = 1", "t = 0"))
    assert figure.markup.count("<img") == 3
    assert figure.markup.count("<td></td>") == 1
    assert "&lt;a&gt;" in figure.markup
    assert "<a>" not in figure.markup
    assert "t = 1" in figure.markup
    assert "alt='&quot;'" in image_tag(torch.rand(1, 4, 4), '"')


@pytest.mark.parametrize("make", [
    lambda: chart([], x_label="", y_label=""),
    lambda: chart([Line(name="a", x=[1.0], y=[1.0, 2.0])], x_label="", y_label=""),
    lambda: intervals_chart([], x_label=""),
    lambda: image_table([("a", [])]),
    lambda: png(torch.rand(2, 4, 4)),
])  # fmt: skip
def test_refuses(make):
    with pytest.raises(FrisketError):
        make()


def test_smoothing_keeps_constants_and_averages():
    assert np.allclose(smooth([2.0] * 40), 2.0)
    assert smooth([0.0, 1.0, 2.0, 6.0, 4.0], window=2).tolist() == pytest.approx([0.5, 1.0, 3.0, 4.0, 5.0])
    assert smooth([5.0]).tolist() == [5.0]


def test_tint_covers_only_what_is_unknown():
    known = torch.tensor([[True, False]]).view(1, 1, 2)
    out = tinted(torch.full((1, 1, 2), 0.5), known)
    assert out[:, 0, 0].tolist() == [0.5] * 3
    assert out[:, 0, 1].tolist() != [0.5] * 3


def test_range_bar_places_marks_inside():
    bar = ElementTree.fromstring(range_bar(1.0, 2.0, 4.0, 0.0))
    lines = [float(e.get("x1")) for e in bar.iter("line")]
    assert all(8 <= x <= 132 for x in lines)
    assert "floor" not in range_bar(1.0, 1.0, 1.0, None)
