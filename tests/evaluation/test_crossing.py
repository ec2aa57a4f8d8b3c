import json

import pytest

from frisket.core import FrisketError
from frisket.evaluation.crossing import COLUMNS, crossing, crossing_text
from frisket.evaluation.sections import crossing_section

BASE = [1.0, 1.2, 0.9, 1.1]
WOBBLE = [0.001, -0.001, 0.002, -0.002]


def lowered(by):
    return [x - by + w for x, w in zip(BASE, WOBBLE, strict=True)]


VALUES = {
    (): BASE, ("a",): lowered(0.1), ("b",): lowered(0.2), ("u",): lowered(0.3),
    ("a", "u"): lowered(0.4), ("b", "u"): lowered(0.7),
}  # fmt: skip


def test_each_alone_each_pair_and_what_lies_beyond_the_sum():
    found = crossing(VALUES, ["a", "b"], ["u"], measure="loss", better="less")
    assert {name: round(d.value, 3) for name, d in found.alone.items()} == {"a": -0.1, "b": -0.2, "u": -0.3}
    assert [p.reading for p in found.pairs] == ["not told from the sum", "more than the sum"]
    assert found.pairs[1].beyond.value == pytest.approx(-0.2)
    worse = crossing(VALUES, ["b"], ["u"], measure="score", better="more")
    assert worse.pairs[0].reading == "less than the sum"
    assert json.loads(json.dumps(found.as_dict()))["pairs"][0]["first"] == "a"


def test_the_tables_hold_every_row():
    found = crossing(VALUES, ["a", "b"], ["u"], measure="loss", better="less")
    rows = found.cells()
    assert [row[1] for row in rows] == ["a", "b", "u", "a + u", "b + u"]
    assert all(len(row) == len(COLUMNS) for row in rows)
    text = crossing_text([found])
    assert "b + u" in text
    assert "more than the sum" in text
    section = crossing_section([found])
    assert section.table.rows == tuple(rows)
    assert len(section.figures) == 1


def test_what_is_missing_is_named():
    with pytest.raises(FrisketError, match=r"a\+v"):
        crossing({**VALUES, ("v",): BASE}, ["a"], ["v"], measure="loss", better="less")
    with pytest.raises(FrisketError, match="at least 3"):
        crossing({k: v[:2] for k, v in VALUES.items()}, ["a"], ["u"], measure="loss", better="less")
