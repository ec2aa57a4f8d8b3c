import json

import pytest

from frisket.core import FrisketError
from frisket.evaluation.interaction import interactions

BASE = [1.0, 1.2, 0.9, 1.1]
ALONE = {"a": [x - 0.1 for x in BASE], "b": [x - 0.2 for x in BASE]}
WOBBLE = [0.001, -0.001, 0.002, -0.002]


@pytest.mark.parametrize(
    ("gain", "better", "reading"),
    [
        (0.3, "less", "not told from the sum"), (0.5, "less", "more than the sum"), (0.2, "less", "less than the sum"),
        (0.5, "more", "less than the sum"),
    ],
)  # fmt: skip
def test_reading(gain, better, reading):
    pair = [x - gain + w for x, w in zip(BASE, WOBBLE, strict=True)]
    (found,) = interactions(ALONE, {("a", "b"): pair}, BASE, better)
    assert found.reading == reading
    assert found.beyond.value == pytest.approx(0.3 - gain)
    assert found.effect.value == pytest.approx(-gain)
    assert json.loads(json.dumps(found.as_dict()))["first"] == "a"


def test_refuses_a_method_not_measured_alone():
    with pytest.raises(FrisketError, match="'c'"):
        interactions(ALONE, {("a", "c"): BASE}, BASE)
