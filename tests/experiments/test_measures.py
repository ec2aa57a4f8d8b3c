import pytest

from frisket.core.errors import FrisketError
from frisket.data.digits import Digits
from frisket.data.text import Text
from frisket.experiments.measures import better, bound, check_measures, first_items, held_out, indexed, take
from frisket.experiments.system import load


@pytest.fixture(scope="module")
def pipeline(dit_run):
    return load(dit_run)


def test_measures_are_taken_by_name_and_come_back_the_same(pipeline):
    wanted = ["class_accuracy", "loss"]
    first = take(pipeline, Digits(), wanted, n=20)
    assert list(first) == wanted
    assert take(pipeline, Digits(), wanted, n=20) == first
    assert take(pipeline, Digits(), ["loss"], n=20, seed=1) != {"loss": first["loss"]}
    assert first["loss"] == held_out(pipeline, Digits(), 20).mean.value


def test_bits_come_from_the_bound(mdlm_run):
    pipeline, data = load(mdlm_run), Text(length=16)
    assert take(pipeline, data, ["bits"], n=4)["bits"] == bound(pipeline, data, 4)["bits"]["value"]


def test_a_process_without_a_bound_gives_no_bits(pipeline):
    with pytest.raises(FrisketError, match="states no bound"):
        take(pipeline, Digits(), ["bits"], n=4)


def test_an_unknown_measure_is_refused_with_the_nearest():
    with pytest.raises(FrisketError, match="did you mean 'frechet'"):
        check_measures(["loss", "frechett"])
    assert (better("loss"), better("frechet"), better("class_accuracy")) == ("less", "less", "more")


def test_items_come_from_the_test_split():
    held = first_items(Digits(), 3)
    assert held["x"].equal(Digits().open("test").images[:3])
    assert indexed(Digits()).info.size == 359
