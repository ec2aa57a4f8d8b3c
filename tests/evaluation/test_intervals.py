import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import ttest_1samp, ttest_rel

from frisket.core import FrisketError
from frisket.evaluation.intervals import bootstrap, bootstrap_mean, mean_interval, paired, verdict

values = st.lists(st.floats(-10, 10), min_size=3, max_size=8)


@given(values)
def test_mean_interval_is_scipys(x):
    if np.std(x) < 1e-6:
        return
    ours, theirs = mean_interval(x), ttest_1samp(x, 0).confidence_interval(0.95)
    assert (ours.low, ours.high) == pytest.approx((theirs.low, theirs.high), rel=1e-6, abs=1e-9)


def test_paired_is_scipys_and_sees_through_shared_noise():
    base = [10.0, 20.0, 30.0, 25.0]
    arm = [9.0, 19.1, 28.9, 24.0]
    theirs = ttest_rel(arm, base).confidence_interval(0.95)
    ours = paired(arm, base)
    assert (ours.low, ours.high) == pytest.approx((theirs.low, theirs.high))
    assert ours.high < 0  # though the arms' own spreads overlap by far
    assert ours.relative == pytest.approx(-1.0 / 21.25)
    assert ours.each == pytest.approx((-1.0, -0.9, -1.1, -1.0))


def test_paired_relative_is_unknown_at_a_zero_baseline():
    assert paired([1.0, 2.0, 3.0], [-1.0, 0.0, 1.0]).relative is None


@pytest.mark.parametrize(("arm", "base"), [([1.0, 2.0], [1.0, 2.0]), ([1.0, 2.0, 3.0], [1.0, 2.0])])
def test_paired_refuses_few_or_unequal_seeds(arm, base):
    with pytest.raises(FrisketError):
        paired(arm, base)


def test_bootstrap_covers_a_mean_about_as_often_as_it_says():
    rng = np.random.default_rng(0)
    found = [bootstrap_mean(rng.standard_normal(60), seed=i, resamples=100) for i in range(100)]
    covered = np.mean([i.low <= 0 <= i.high for i in found])
    assert 0.85 <= covered <= 0.99


def test_bootstrap_width_is_that_of_the_t_interval():
    x = np.random.default_rng(1).standard_normal(400)
    ours, theirs = bootstrap_mean(x, resamples=2000), mean_interval(x.tolist())
    assert ours.high - ours.low == pytest.approx(theirs.high - theirs.low, rel=0.1)


def test_bootstrap_is_centred_where_resampling_biases_the_statistic():
    x = np.arange(50.0)
    count = bootstrap(lambda i: float(len(np.unique(x[i]))), (50,), resamples=200)  # resamples see about 32 of 50
    assert count.value == 50
    assert count.low > 40
    assert count.high >= 50


def test_bootstrap_repeats_and_respects_the_range():
    x = np.array([0.0, 1.0, 1.0, 1.0])
    first = bootstrap_mean(x, seed=3, low=0.0, high=1.0)
    assert first == bootstrap_mean(x, seed=3, low=0.0, high=1.0)
    assert 0 <= first.low <= first.value <= first.high <= 1


@pytest.mark.parametrize("options", [{"resamples": 5}, {"confidence": 1.0}, {"confidence": 0.0}])
def test_bootstrap_refuses(options):
    with pytest.raises(FrisketError):
        bootstrap_mean([1.0, 2.0], **options)


@pytest.mark.parametrize(
    ("differences", "expected", "margin", "outcome"),
    [
        ([-1.0, -1.1, -0.9], "less", 0.0, "shown"),
        ([-1.0, -1.1, -0.9], "more", 0.0, "opposite"),
        ([-1.0, 1.1, -0.9], "less", 0.0, "not shown at this scale"),
        ([-1.0, -1.1, -0.9], "less", 2.0, "not shown at this scale"),
        ([1.0, 1.1, 0.9], "more", 0.5, "shown"),
        ([0.0, 0.0, 0.0], "less", 0.0, "not shown at this scale"),
        ([0.01, -0.01, 0.0], "same", 0.1, "shown"),
        ([1.0, 1.1, 0.9], "same", 0.1, "opposite"),
        ([0.3, -0.3, 0.0], "same", 0.1, "not shown at this scale"),
    ],
)
def test_verdicts(differences, expected, margin, outcome):
    assert verdict(differences, expected, margin) == outcome


@given(values)
def test_mirrored_differences_mirror_the_verdict(x):
    assert verdict(x, "less") == verdict([-v for v in x], "more")


def test_verdict_refuses():
    with pytest.raises(FrisketError, match="seeds"):
        verdict([1.0, 2.0], "less")
    with pytest.raises(FrisketError, match="margin"):
        verdict([1.0, 2.0, 3.0], "same")
