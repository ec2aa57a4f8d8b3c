"""What a study may measure, and that measuring depends on the seed alone."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from frisket.core import FrisketError
from frisket.data.base import Info
from frisket.data.digits import Digits
from frisket.data.imagefolder import ImageFolder
from frisket.data.text import Text
from frisket.experiments.measures import (
    better_of,
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


def test_measures_say_which_way_is_better():
    assert [better_of(name) for name in ("loss", "bits", "frechet", "class_accuracy", "probe")] == [
        "less", "less", "less", "more", "more",
    ]  # fmt: skip
    with pytest.raises(FrisketError, match="does not say which way"):
        better_of("endpoint_forwards")


def test_names_are_checked():
    check_measures(["loss", "bits", "frechet", "kid"])
    with pytest.raises(FrisketError, match="unknown measure 'freche'; did you mean 'frechet'"):
        check_measures(["loss", "freche"])


def test_what_a_system_lacks_is_refused(tmp_path):
    dit, mdlm = (load_recipe(name).experiment("tiny").fit() for name in ("dit", "mdlm"))
    check_measurable(dit, ["loss", "frechet"])
    check_measurable(mdlm, ["loss", "bits"])
    few = replace(dit, data=ImageFolder(target=str(pictures(tmp_path, each=8)), size=8))
    for experiment, name, said in ((dit, "bits", "bound"), (mdlm, "kid", "is of images"), (few, "kid", "at least 8")):
        with pytest.raises(FrisketError, match=said):
            check_measurable(experiment, [name])


def test_measures_come_in_the_order_asked_for_and_repeat(dit_run):
    pipeline = load(dit_run)
    found = take(pipeline, Digits(), ["precision", "loss"], n=8)
    assert list(found) == ["precision", "loss"]
    torch.rand(5)
    assert take(pipeline, Digits(), ["loss"], n=8) == {"loss": found["loss"]}
    assert found["loss"] == held_out(pipeline, Digits(), 8).mean.value
    assert take(pipeline, Digits(), ["loss"], n=8, seed=1) != {"loss": found["loss"]}


def test_text_is_measured_by_its_bound(mdlm_run):
    found = take(load(mdlm_run), Text(length=16), ["bits", "loss"], n=4)
    assert 3 < found["bits"] < 12
    assert found["loss"] > 0


def test_named_metrics_only(dit_run):
    scores = score_samples(load(dit_run), Digits(), n=8, measures=["kid"])
    assert list(scores["metrics"]) == ["kid"]
    assert scores["n"] == 8


def test_a_split_is_scored_against_from_eight_items():
    assert [scorable(Info(kind="image", size=n)) for n in (7, 8, None)] == [False, True, True]


def test_a_stream_is_refused():
    class Stream:
        def open(self, split):
            return object()

    with pytest.raises(FrisketError, match="random access"):
        indexed(Stream())
    assert len(first_items(Digits(), 5)["x"]) == 5
