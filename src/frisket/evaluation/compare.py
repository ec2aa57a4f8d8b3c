"""Arms side by side: mean and interval over seeds, paired difference to the baseline, relative effect, verdict.

Every arm has one value a seed for every measure, the seeds in the same order; only paired differences are judged (same
data order, same evaluation noise). Shapes: s seeds.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from frisket.core.errors import FrisketError, check, unknown
from frisket.core.registry import register
from frisket.evaluation.intervals import Difference, Interval, Relation, Verdict, mean_interval, paired, verdict

Measures = Mapping[str, Mapping[str, Sequence[float]]]


@register("expect/relation")
@dataclass(frozen=True, kw_only=True)
class Expectation:
    """What a study expects: `arm` has a lower, higher or equal `measure` than `other`. margin: the smallest difference
    that counts, in the measure's unit; needed for "same"."""

    measure: str
    arm: str
    other: str
    relation: Relation
    margin: float = 0.0

    def __post_init__(self):
        wanted = "positive" if self.relation == "same" else "at least 0"
        check(self.margin >= 0 and (self.margin > 0 or self.relation != "same"), "margin", self.margin, wanted)

    def words(self) -> str:
        sign = {"less": "<", "more": ">", "same": "=="}[self.relation]
        return f"{self.measure}: {self.arm} {sign} {self.other}" + (f" by {self.margin:g}" if self.margin else "")


def less(measure: str, arm: str, other: str, margin: float = 0.0) -> Expectation:
    """Expect `arm` below `other`."""
    return Expectation(measure=measure, arm=arm, other=other, relation="less", margin=margin)


def more(measure: str, arm: str, other: str, margin: float = 0.0) -> Expectation:
    """Expect `arm` above `other`."""
    return Expectation(measure=measure, arm=arm, other=other, relation="more", margin=margin)


def same(measure: str, arm: str, other: str, margin: float) -> Expectation:
    """Expect `arm` within `margin` of `other`."""
    return Expectation(measure=measure, arm=arm, other=other, relation="same", margin=margin)


@dataclass(frozen=True, kw_only=True)
class Row:
    """One arm under one measure. difference: None for the baseline itself."""

    measure: str
    arm: str
    each: tuple[float, ...]
    mean: Interval
    difference: Difference | None


@dataclass(frozen=True, kw_only=True)
class Judgement:
    """An expectation, its paired difference (arm - other) and what came of it."""

    expectation: Expectation
    difference: Difference
    verdict: Verdict


@dataclass(frozen=True, kw_only=True)
class Comparison:
    """The outcome of `compare`."""

    baseline: str
    seeds: tuple[int, ...]
    rows: tuple[Row, ...]
    judgements: tuple[Judgement, ...]
    confidence: float = 0.95

    def as_dict(self) -> dict[str, Any]:
        """JSON data."""
        return {
            "baseline": self.baseline, "seeds": list(self.seeds), "confidence": self.confidence,
            "rows": [{"measure": r.measure, "arm": r.arm, "each": list(r.each), **r.mean.as_dict(),
                      "difference": r.difference.as_dict() if r.difference else None} for r in self.rows],
            "expected": [{**asdict(j.expectation), "difference": j.difference.as_dict(), "verdict": j.verdict}
                         for j in self.judgements],
        }  # fmt: skip

    def cells(self) -> tuple[tuple[str, ...], list[tuple[str, ...]]]:
        """Column names and rows of text, as every view of the table shows them."""
        verdicts: dict[tuple[str, str], list[str]] = {}
        for j in self.judgements:
            other = "" if j.expectation.other == self.baseline else f" (against {j.expectation.other})"
            verdicts.setdefault((j.expectation.measure, j.expectation.arm), []).append(j.verdict + other)
        body = []
        for r in self.rows:
            d = r.difference
            body.append((
                r.measure, r.arm, f"{number(r.mean.value)} [{number(r.mean.low)}, {number(r.mean.high)}]",
                "" if d is None else f"{d.value:+.3g} [{d.low:+.3g}, {d.high:+.3g}]",
                "" if d is None or d.relative is None else f"{100 * d.relative:+.1f} %",
                ", ".join(verdicts.get((r.measure, r.arm), [])),
            ))  # fmt: skip
        return ("measure", "arm", "mean", f"minus {self.baseline}", "relative", "verdict"), body

    def text(self, width: int = 120) -> str:
        """The table as plain text, by rich."""
        from rich.console import Console
        from rich.table import Table

        columns, body = self.cells()
        table = Table(title=f"{len(self.seeds)} seeds, {100 * self.confidence:g} % paired t intervals")
        for i, column in enumerate(columns):
            table.add_column(column, justify="right" if 2 <= i <= 4 else "left")
        for i, row in enumerate(body):
            table.add_row(*row, end_section=i + 1 == len(body) or body[i + 1][0] != row[0])
        console = Console(width=width, color_system=None, force_terminal=False)
        with console.capture() as captured:
            console.print(table)
        return captured.get()


def compare(
    measures: Measures, baseline: str, *, expected: Sequence[Expectation] = (), seeds: Sequence[int] | None = None,
    confidence: float = 0.95,
) -> Comparison:  # fmt: skip
    """Compare arms: `measures[arm][measure]` is one number a seed.

    Raises `FrisketError` when the baseline or an expectation names an arm or a measure that is not there, when numbers
    of seeds differ, or when there are fewer than three.
    """
    if baseline not in measures:
        raise unknown("arm", baseline, measures)
    names = list(measures[baseline])
    check(len(names) > 0, "measures", names, "at least one")
    count = len(measures[baseline][names[0]])
    for arm, held in measures.items():
        if set(held) != set(names):
            raise FrisketError(f"arm {arm!r} has the measures {sorted(held)}, the baseline has {sorted(names)}")
        for name, values in held.items():
            check(len(values) == count, f"measures[{arm!r}][{name!r}]", len(values), f"{count} values, one a seed")
    seeds = tuple(range(count)) if seeds is None else tuple(seeds)
    check(len(seeds) == count, "seeds", len(seeds), f"{count}, one for each value")
    rows = tuple(
        _row(name, arm, measures, baseline, confidence)
        for name in names
        for arm in (baseline, *(a for a in measures if a != baseline))
    )
    judgements = tuple(_judge(e, measures, confidence) for e in expected)
    return Comparison(baseline=baseline, seeds=seeds, rows=rows, judgements=judgements, confidence=confidence)


def number(x: float) -> str:
    """A value at four significant digits, never in exponents between 1e-4 and 1e5."""
    return f"{x:.4g}" if x == 0 or 1e-4 <= abs(x) < 1e4 else f"{x:.0f}" if 1e4 <= abs(x) < 1e5 else f"{x:.3e}"


def _row(name: str, arm: str, measures: Measures, baseline: str, confidence: float) -> Row:
    values = measures[arm][name]
    difference = None if arm == baseline else paired(values, measures[baseline][name], confidence)
    return Row(measure=name, arm=arm, each=tuple(float(v) for v in values), mean=mean_interval(values, confidence),
               difference=difference)  # fmt: skip


def _judge(expectation: Expectation, measures: Measures, confidence: float) -> Judgement:
    values = []
    for arm in (expectation.arm, expectation.other):
        if arm not in measures:
            raise unknown("arm", arm, measures)
        if expectation.measure not in measures[arm]:
            raise unknown("measure", expectation.measure, measures[arm])
        values.append(measures[arm][expectation.measure])
    difference = paired(values[0], values[1], confidence)
    outcome = verdict(difference.each, expectation.relation, expectation.margin, confidence)
    return Judgement(expectation=expectation, difference=difference, verdict=outcome)
