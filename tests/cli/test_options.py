"""Options by dataclass, overrides by dotted name, and complaints in one line."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

import pytest
import tyro

from frisket.cli.options import apply, defaults_table, option_names, parse, separate
from frisket.core import FrisketError
from frisket.experiments.recipes import load_recipe


@dataclass
class Toy:
    thing: Annotated[str, tyro.conf.Positional, tyro.conf.arg(metavar="THING")]
    max_time: float = 1.0
    label: Annotated[str | None, tyro.conf.arg(aliases=["--class"])] = None
    quick: bool = False
    tag: Annotated[list[str] | None, tyro.conf.arg(aliases=["--tags"])] = None


def read(*words, overridable=True):
    return parse(Toy, list(words), "toy", "A toy.", overridable=overridable)


def test_overrides_may_stand_anywhere_and_take_negative_numbers():
    several = ["a --x.y -3 --max-time 2", "--x.y -3 --max_time=2 a", "--x.y=-3 a --max-time 2"]
    for words in map(str.split, several):
        options, pairs = read(*words)
        assert (options.thing, options.max_time, pairs) == ("a", 2.0, {"x.y": "-3"})


def test_names_aliases_and_flags_are_the_verbs_own():
    assert option_names(Toy) == ["thing", "max-time", "label", "class", "quick", "tag", "tags"]
    assert separate(["--class", "3", "--quick", "--help"], option_names(Toy)) == (
        ["--class", "3", "--quick", "--help"],
        {},
    )
    assert read("a", "--class", "3", "--quick")[0].label == "3"


def test_of_one_value_the_last_counts_and_a_list_is_given_whole():
    assert read("a", "--max-time", "1", "--max-time", "2")[0].max_time == 2
    assert read("a", "--tag", "x", "y")[0].tag == ["x", "y"]


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["a", "--x.y"], "option --x.y needs a value"),
        (["a", "--x.y", "--max-time", "2"], "option --x.y needs a value"),
        (["a", "--max-time", "soon"], "--max-time: could not convert string to float: 'soon'"),
        (["a", "--tag", "x", "--tags", "y"], "--tag is given twice"),
        ([], "THING"),
        (["a", "b"], "b"),
    ],
)
def test_what_cannot_be_read_is_said_in_one_line(words, said):
    with pytest.raises(FrisketError) as error:
        read(*words)
    assert said in str(error.value)
    assert "\n" not in str(error.value)
    assert "─" not in str(error.value)


def test_an_unknown_option_names_the_nearest():
    with pytest.raises(FrisketError, match="unknown option '--max-tme'; did you mean '--max-time'"):
        read("a", "--max-tme", "3", overridable=False)


def test_overrides_reach_depth_slots_and_numbers():
    tiny = load_recipe("dit").experiment("tiny")
    changed = apply(
        tiny, {"model.depth": "3", "process.path": "cosine", "sampler.update": "euler", "n_samples": "5"}, []
    )
    assert len(changed.model.blocks) == 3
    assert changed.process.path.part_name == "path/cosine"
    assert changed.sampler.update.part_name == "solver/euler"
    assert changed.n_samples == 5
    assert apply(changed, {"sampler.update": "heun"}, []).sampler.update == tiny.sampler.update


@pytest.mark.parametrize(
    ("name", "value", "said"),
    [
        ("model.dpth", "3", "did you mean 'depth'"),
        ("process.path", "cosin", "did you mean 'cosine'"),
        ("sampler.update", "heum", "did you mean 'heun'"),
        ("training.batch", "many", "--training.batch = 'many' is not accepted; it holds 16"),
        ("training.batch", "0", "1 or more"),
        ("stpes", "3", "did you mean '--steps'"),
        ("task.times", "sometimes", "one of stratified, uniform, shared"),
    ],
)
def test_a_wrong_override_says_what_is_accepted(name, value, said):
    with pytest.raises(FrisketError, match=said):
        apply(load_recipe("dit").experiment("tiny"), {name: value}, ["steps"])


def test_the_table_of_defaults_lists_what_can_be_overridden():
    tiny = load_recipe("dit").experiment("tiny")
    names = [line.split()[0].removeprefix("--") for line in defaults_table(tiny).splitlines()]
    assert {"model.depth", "process.path", "sampler.steps", "training.batch"} <= set(names)
    assert not any(name.startswith("study") for name in names)
