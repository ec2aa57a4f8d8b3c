"""Experiments inside experiments: made once, shared by content, their weights taken over."""

from dataclasses import dataclass, replace

import pytest
import torch

from frisket.core.config import from_config, override, to_config
from frisket.core.errors import FrisketError
from frisket.core.registry import register
from frisket.experiments.arms import arms_of, run_arms
from frisket.experiments.experiment import Experiment, Study, seeded, train_flops
from frisket.experiments.phases import flops_before, inner, levels, place_of
from frisket.experiments.system import train
from frisket.recipes import dit
from frisket.sampling.solvers.euler import Euler


def base(steps: int = 3) -> Experiment:
    small = override(dit.experiment("tiny"), "training.steps", steps)
    return replace(override(small, "training.batch", 4), study=None)


def after(start: Experiment, **changes) -> Experiment:
    return Experiment(name="after", data=start.data, start=start, n_samples=8, **changes)


@register("prepare/test-zero-output")
@dataclass(frozen=True, kw_only=True)
class ZeroOutput:
    """Sets the last layer to the seed."""

    def apply(self, pipeline, data, needs, seed):
        with torch.no_grad():
            for parameter in pipeline.model.output.parameters():
                parameter.fill_(float(seed))
        return pipeline


def weights(pipeline):
    return pipeline.model.state_dict()


def same(a, b) -> bool:
    return all(torch.equal(value, b[name]) for name, value in a.items())


def test_what_trains_nothing_is_its_start_with_other_parts(tmp_path):
    start = base()
    sampler = replace(start.sampler, steps=2, update=Euler())
    pipeline = train(after(start, sampler=sampler), tmp_path / "run")
    straight = train(start, tmp_path / "straight")
    assert same(weights(pipeline), weights(straight))
    assert pipeline.sampler == sampler
    assert pipeline.process == straight.process
    assert pipeline.codec == straight.codec
    assert (tmp_path / "run" / "model" / "model.safetensors").is_file()


def test_training_goes_on_from_the_start_and_a_second_run_reads_the_phase(tmp_path):
    start = base()
    experiment = after(start, training=start.training)
    pipeline = train(experiment, tmp_path / "run")
    place = place_of(start, tmp_path / "made")
    written = (place / "model" / "model.safetensors").stat().st_mtime_ns
    train(experiment, tmp_path / "again")
    assert (place / "model" / "model.safetensors").stat().st_mtime_ns == written
    assert not same(weights(pipeline), weights(train(start, tmp_path / "straight")))
    assert same(weights(pipeline), weights(train(experiment, tmp_path / "again")))


def test_a_model_of_its_own_takes_the_starts_weights_or_refuses_them_by_name(tmp_path):
    start = base()
    other = override(start.model, "depth", start.model.depth + 1)
    with pytest.raises(FrisketError, match=r"blocks\.\d+.* is not in both"):
        train(after(start, model=other), tmp_path / "run")


def test_preparations_are_applied_with_the_seed_of_what_is_trained(tmp_path):
    start = seeded(base(), 3)
    pipeline = train(after(start, prepare=(ZeroOutput(),)), tmp_path / "run")
    assert all((p == 3).all() for p in pipeline.model.output.parameters())


def test_equal_contents_share_a_folder_whatever_they_are_called_or_scored_by(tmp_path):
    start = base()
    assert place_of(start, tmp_path) == place_of(replace(start, n_samples=9), tmp_path)
    assert place_of(start, tmp_path) != place_of(override(start, "training.steps", 4), tmp_path)
    assert place_of(start, tmp_path) != place_of(seeded(start, 1), tmp_path)


def test_levels_put_a_phase_after_all_that_it_names(tmp_path):
    first = base()
    second = after(first, training=first.training)
    third = Experiment(name="third", data=first.data, start=second, needs={"teacher": first})
    found = levels([third, second], tmp_path)
    assert [list(level.values()) for level in found] == [[first], [second]]
    assert inner(third) == [second, first]


def test_flops_of_phases_count_each_phase_once(tmp_path):
    first = base()
    twice = Experiment(name="x", data=first.data, start=first, needs={"teacher": first})
    assert flops_before(twice, tmp_path) == train_flops(first.fit()) > 0
    assert train_flops(twice.fit()) == 0


def test_a_seed_reaches_every_phase():
    first = base()
    second = seeded(Experiment(name="x", data=first.data, start=first, needs={"teacher": first}), 5)
    assert second.start.training.seed == second.needs["teacher"].training.seed == 5


def test_phases_survive_a_config_and_dotted_overrides():
    experiment = after(base())
    assert from_config(to_config(experiment)) == experiment
    assert override(experiment, "start.training.steps", "7").start.training.steps == 7


def test_arms_share_the_phases_and_differ_by_their_own_changes(tmp_path):
    start = base()
    experiment = after(start, sampler=start.sampler)
    study = Study(
        arms={"few": {"sampler.steps": 1}, "more": {"sampler.steps": 2}}, measures=("loss",), expect=(), seeds=3
    )
    results = run_arms(arms_of(experiment, study), ("loss",), seeds=2, folder=tmp_path / "arms", procs=1)
    assert len(list((tmp_path / "made").glob("*/model"))) == 2  # one a seed
    by_seed = {seed: {r.measures["loss"] for r in results if r.seed == seed} for seed in (0, 1)}
    assert all(len(values) == 1 for values in by_seed.values())  # a sampler changes no loss
    assert by_seed[0] != by_seed[1]
    assert all(r.cost["train_flops"] == 0 and r.cost["flops_before"] > 0 for r in results)


def test_an_experiment_of_nothing_is_refused():
    with pytest.raises(FrisketError, match="a start"):
        Experiment(name="x", data=base().data)
