import json

import pytest

from frisket.core import FrisketError, from_config, to_config
from frisket.evaluation.compare import Expectation, compare, less, more, number, same

MEASURES = {
    "dense": {"loss": [0.50, 0.60, 0.55], "score": [3.0, 3.1, 2.9]},
    "ours": {"loss": [0.45, 0.54, 0.50], "score": [3.0, 3.2, 2.8]},
    "random": {"loss": [0.60, 0.71, 0.65], "score": [2.0, 2.1, 1.8]},
}


def test_rows_differences_and_verdicts():
    found = compare(MEASURES, "dense", expected=[
        less("loss", "ours", "dense"), less("loss", "random", "dense"), more("score", "ours", "dense"),
        same("score", "ours", "dense", 1.0), less("loss", "ours", "random"),
    ])  # fmt: skip
    assert [j.verdict for j in found.judgements] == [
        "shown", "opposite", "not shown at this scale", "shown", "shown",
    ]  # fmt: skip
    row = next(r for r in found.rows if (r.measure, r.arm) == ("loss", "ours"))
    assert row.mean.value == pytest.approx(1.49 / 3)
    assert row.difference.value == pytest.approx(-0.16 / 3)
    assert row.difference.relative == pytest.approx(-0.16 / 1.65)
    assert found.rows[0].arm == "dense"
    assert found.rows[0].difference is None


def test_text_and_json_hold_every_arm_and_verdict():
    found = compare(MEASURES, "dense", expected=[less("loss", "ours", "random")], seeds=(3, 5, 7))
    text = found.text()
    for word in ("dense", "ours", "random", "loss", "score", "shown (against random)", "3 seeds"):
        assert word in text
    data = json.loads(json.dumps(found.as_dict()))
    assert data["seeds"] == [3, 5, 7]
    assert data["expected"][0]["verdict"] == "shown"
    assert len(data["rows"]) == 6


def test_expectations_round_trip_and_read():
    part = same("loss", "a", "b", 0.1)
    assert from_config(to_config(part)) == part
    assert part.words() == "loss: a == b by 0.1"


def without(arm, measure):
    return {a: {m: v for m, v in held.items() if (a, m) != (arm, measure)} for a, held in MEASURES.items()}


@pytest.mark.parametrize(
    ("measures", "baseline", "expected", "match"),
    [
        (MEASURES, "dens", (), "dense"),
        (MEASURES, "dense", (less("loss", "our", "dense"),), "ours"),
        (MEASURES, "dense", (less("los", "ours", "dense"),), "loss"),
        (without("ours", "score"), "dense", (), "ours"),
        ({"a": {"x": [1.0, 2.0]}, "b": {"x": [1.0, 2.0]}}, "a", (), "at least 3"),
        ({"a": {"x": [1.0, 2.0, 3.0]}, "b": {"x": [1.0, 2.0]}}, "a", (), "one a seed"),
    ],
)
def test_refuses(measures, baseline, expected, match):
    with pytest.raises(FrisketError, match=match):
        compare(measures, baseline, expected=expected)


@pytest.mark.parametrize(
    ("value", "text"),
    [(0.0, "0"), (1234.5678, "1235"), (0.00012345, "0.0001234"), (54321.9, "54322"), (1e-7, "1.000e-07")],
)
def test_numbers(value, text):
    assert number(value) == text


@pytest.mark.parametrize(("relation", "margin"), [("more", -0.1), ("same", 0.0)])
def test_an_expectation_that_cannot_be_judged_is_refused_when_it_is_written(relation, margin):
    with pytest.raises(FrisketError, match="margin"):
        Expectation(measure="loss", arm="a", other="b", relation=relation, margin=margin)
