import xml.etree.ElementTree as ET

import pytest

from frisket.core import FrisketError
from frisket.data.sudoku_solver import EMPTY, solutions
from frisket.evaluation.reveals import boards, revealed_text

SOLUTION = solutions([EMPTY] * 16, 4, limit=1)[0]


def test_boards_show_what_is_found_and_strike_what_is_wrong():
    known = [i < 4 for i in range(16)]
    start = [v if k else EMPTY for v, k in zip(SOLUTION, known, strict=True)]
    wrong = list(SOLUTION)
    wrong[5] = (wrong[5] + 1) % 4
    figure = boards([("a <b>", [start, wrong])], known, SOLUTION, heads=("first", "last"))
    svg = ET.fromstring(figure.markup)
    texts = list(svg.iter("text"))
    assert sum(t.get("text-decoration") == "line-through" for t in texts) == 1
    assert len([t for t in texts if (t.text or "").isdigit()]) == 4 + 16
    assert "a <b>" in [t.text for t in texts]


def test_text_is_escaped_and_tinted_by_move():
    figure = revealed_text([("one & two", "a<b", [0, 2, -1])], 3)
    assert "a<b" not in figure.markup
    assert "&lt;" in figure.markup
    assert "8%" in figure.markup
    assert "70%" in figure.markup
    assert "background:none" in figure.markup


def test_refusals():
    with pytest.raises(FrisketError):
        boards([], [True] * 16, SOLUTION)
    with pytest.raises(FrisketError):
        boards([("a", [[0] * 25])], [True] * 25, [0] * 25)
    with pytest.raises(FrisketError):
        revealed_text([("a", "abc", [0])], 1)
