import numpy as np
import pytest

from frisket.core import FrisketError, from_config, lookup, names, to_config
from frisket.evaluation.features.base import Extracted
from frisket.evaluation.measures import ClassAccuracy, Frechet, InceptionScore, Kid, measured, plain_value
from frisket.evaluation.metrics.frechet import frechet
from frisket.evaluation.metrics.kid import kid
from frisket.evaluation.metrics.precision_recall import precision_recall

rng = np.random.default_rng(0)
SAMPLE = Extracted(features=rng.standard_normal((40, 3)), probabilities=rng.dirichlet(np.ones(4), 40))
REAL = Extracted(features=rng.standard_normal((30, 3)) + 0.5, probabilities=rng.dirichlet(np.ones(4), 30))
LABELS = rng.integers(0, 4, 40)


def test_values_are_those_of_the_functions():
    precision, recall = precision_recall(SAMPLE.features, REAL.features)
    expected = {"frechet": frechet(SAMPLE.features, REAL.features), "kid": kid(SAMPLE.features, REAL.features),
                "precision": precision, "recall": recall}  # fmt: skip
    for name, value in expected.items():
        assert plain_value(lookup(f"measure/{name}")(), SAMPLE, REAL) == pytest.approx(value)


@pytest.mark.parametrize("name", names("measure"))
def test_interval_holds_the_value_within_its_range_and_round_trips(name):
    measure = lookup(name)()
    assert from_config(to_config(measure)) == measure
    interval = measured(measure, SAMPLE, REAL, LABELS, resamples=30)
    assert interval.low <= interval.value <= interval.high
    assert measure.range[0] <= interval.low
    assert interval.high <= measure.range[1]
    assert measured(measure, SAMPLE, REAL, LABELS, resamples=30) == interval
    assert measure.better in ("less", "more")


def test_more_samples_make_narrower_intervals():
    wide = measured(Kid(), SAMPLE.take(slice(0, 10)), REAL.take(slice(0, 10)), resamples=100)
    narrow = measured(Kid(), SAMPLE, REAL, resamples=100)
    assert narrow.high - narrow.low < wide.high - wide.low


def test_missing_probabilities_or_labels_are_named():
    bare = Extracted(features=SAMPLE.features)
    with pytest.raises(FrisketError, match="probabilities"):
        plain_value(InceptionScore(), bare, REAL)
    with pytest.raises(FrisketError, match="labels"):
        plain_value(ClassAccuracy(), SAMPLE, REAL)
    assert plain_value(Frechet(), bare, REAL) > 0
