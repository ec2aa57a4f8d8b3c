from dataclasses import replace

import pytest

from frisket.core.errors import FrisketError
from frisket.data.base import Info
from frisket.data.digits import Digits
from frisket.data.imagefolder import ImageFolder
from frisket.data.text import Text
from frisket.experiments.measures import (
    bound,
    check_measurable,
    check_measures,
    first_items,
    held_out,
    indexed,
    scorable,
    score_samples,
    take,
)  # fmt: skip
from frisket.experiments.recipes import load_recipe
from frisket.experiments.system import load
from run_folders import pictures


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
    check_measures(["loss", "bits", "frechet", "class_accuracy"])


def test_items_come_from_the_test_split():
    held = first_items(Digits(), 3)
    assert held["x"].equal(Digits().open("test").images[:3])
    assert indexed(Digits()).info.size == 359


def test_what_a_system_lacks_is_refused_before_training(tmp_path):
    dit, mdlm = (load_recipe(name).experiment("tiny").fit() for name in ("dit", "mdlm"))
    check_measurable(dit, ["loss", "frechet"])
    check_measurable(mdlm, ["loss", "bits"])
    few = replace(dit, data=ImageFolder(target=str(pictures(tmp_path, each=8)), size=8))
    for experiment, name, said in ((dit, "bits", "bound"), (mdlm, "kid", "is of images"), (few, "kid", "at least 8")):
        with pytest.raises(FrisketError, match=said):
            check_measurable(experiment, [name])


def test_only_the_metrics_asked_for_are_measured(pipeline):
    assert list(score_samples(pipeline, Digits(), n=8, measures=["kid"])["metrics"]) == ["kid"]
    assert [scorable(Info(kind="image", size=n)) for n in (7, 8, None)] == [False, True, True]


def test_a_stream_is_refused():
    class Endless:
        def open(self, split):
            return object()

    with pytest.raises(FrisketError, match="random access"):
        indexed(Endless())
