import copy
from types import SimpleNamespace

import pytest
import torch
from recording import INFO, Absent, Recorder, Spanned, at, rows, task_of
from torch import nn

from frisket.codecs.pixels import Pixels
from frisket.codecs.readers import Reader
from frisket.codecs.sentences import Sentences
from frisket.core.condition import Output
from frisket.core.config import from_config, to_config
from frisket.core.errors import FrisketError
from frisket.core.step import Step
from frisket.data.digits import Digits
from frisket.models.backbones.transformer import Transformer
from frisket.models.plans.choose import All, Uniform
from frisket.models.plans.routing import Routing
from frisket.processes.gaussian import Gaussian
from frisket.processes.makers import Prefix
from frisket.processes.masked import Masked
from frisket.sampling.pipeline import Pipeline
from frisket.sampling.sampler import Sampler
from frisket.tasks.diffusion import Diffusion
from frisket.tasks.passes import FullAndMasked
from frisket.training.checkpoint import weights
from frisket.training.trainer import Trainer, Watching


def test_the_loss_is_that_of_the_process_by_hand():
    """A network that predicts 0 for the flow velocity noise - x0 leaves the mean square of both."""
    task, batch, step = task_of(Recorder()), rows(), at()
    x0 = batch["x"] * 2 - 1
    noise = Gaussian().noise((1, 4, 4), step)
    torch.testing.assert_close(task(batch, step)["denoise"], (noise - x0).square().mean())
    x_t, t, cond = task.model.given[0]
    wide = step.stratified("time").float().reshape(-1, 1, 1, 1)
    torch.testing.assert_close(x_t, (1 - wide) * x0 + wide * noise)
    torch.testing.assert_close(t, wide.flatten())
    assert cond is None


def test_a_batch_in_pieces_gives_the_mean_of_the_whole():
    task, batch = task_of(Recorder(("label",)), Diffusion(drop=0.5)), rows(8)
    whole = task(batch, at(8))["denoise"]
    pieces = [task({k: v[i : i + 2] for k, v in batch.items()}, at(2, i))["denoise"] for i in range(0, 8, 2)]
    torch.testing.assert_close(torch.stack(pieces).mean(), whole)
    drops = [given[2].dropped("label") for given in task.model.given]
    assert torch.equal(drops[0], torch.cat(drops[1:]))
    assert drops[0].any()
    assert not drops[0].all()


def test_steps_differ_and_come_back():
    task, batch = task_of(Recorder()), rows()
    assert task(batch, at(index=1))["denoise"] == task(batch, at(index=1))["denoise"]
    assert task(batch, at(index=1))["denoise"] != task(batch, at(index=2))["denoise"]


def test_each_condition_is_dropped_by_itself_and_as_often_as_asked():
    model = Recorder(("label", "style", "kept"))
    task = task_of(model, Diffusion(drop=0.3, drops={"style": 0.7, "kept": 0.0}))
    n = 2000
    task(rows(n, style=torch.zeros(n), kept=torch.zeros(n)), at(n))
    cond = model.given[0][2]
    label, style = cond.dropped("label").float(), cond.dropped("style").float()
    assert label.mean().item() == pytest.approx(0.3, abs=0.04)
    assert style.mean().item() == pytest.approx(0.7, abs=0.04)
    assert (label * style).mean().item() == pytest.approx(0.21, abs=0.04)
    assert not cond.dropped("kept").any()


def test_uniform_times_are_independent_draws():
    step = at(1000)
    found = task_of(Recorder(), Diffusion(times="uniform")).uniform(step)
    assert torch.equal(found, step.draw("time", (), "uniform"))
    even = task_of(Recorder()).uniform(step).sort().values
    assert (even - (torch.arange(1000) + 0.5) / 1000).abs().max() < 3e-3
    assert (found.sort().values - (torch.arange(1000) + 0.5) / 1000).abs().max() > 3e-3


def test_what_is_known_stays_clean_and_is_told_to_a_model_that_reads_it():
    model = Recorder(("known",))
    task = task_of(model, Diffusion(known=Prefix(least=0.5, most=0.5)))
    batch = rows()
    task(batch, at())
    x_t, _, cond = model.given[0]
    x0 = batch["x"] * 2 - 1
    assert torch.equal(x_t[..., :2], x0[..., :2])
    assert not torch.isclose(x_t[..., 2:], x0[..., 2:]).all()
    assert torch.equal(cond.values["known"][0, 0], torch.tensor([1.0, 1.0, 0.0, 0.0]).expand(4, 4))
    assert not cond.dropped("known").any()


def test_what_is_not_valid_does_not_count():
    task, batch = task_of(Recorder()), rows()
    valid = torch.ones(6, 1, 4, 4, dtype=torch.bool)
    valid[..., 2:] = False
    spoiled = batch["x"].clone()
    spoiled[..., 2:] = 99.0
    a = task({**batch, "valid": valid}, at())["denoise"]
    b = task({**batch, "x": spoiled, "valid": valid}, at())["denoise"]
    torch.testing.assert_close(a, b)
    assert a != task(batch, at())["denoise"]


def test_a_stochastic_codec_gets_a_draw_of_its_own():
    codec = Absent()
    codec.stochastic = True
    task, batch, step = task_of(Recorder(), codec=codec), rows(), at()
    wanted = batch["x"] + step.draw("latent", (1, 4, 4)).float()
    torch.testing.assert_close(task.encode(batch, step), wanted)
    codec.stochastic = False
    assert torch.equal(task.encode(batch, step), batch["x"])


def test_masked_processes_train_by_the_same_task():
    process = Masked(vocabulary=3)

    class Logits(Recorder):
        def forward(self, x_t, t=None, cond=None, keep=None):
            self.given.append((x_t, t, cond))
            return Output(torch.zeros(*x_t.shape, process.outputs(3)) * self.weight)

    task = task_of(Logits(), process=process, codec=Absent())
    ids = torch.arange(24).reshape(4, 6) % 3
    terms = task({"x": ids}, at(4))
    assert all(torch.isfinite(v) for v in terms.values())
    hidden = task.model.given[0][0] == process.mask_id
    assert hidden.any()
    assert torch.equal(task.model.given[0][0][~hidden], ids[~hidden])


def test_a_reader_makes_a_condition_from_another_part_of_the_batch():
    model = Recorder(("said",))
    codec = Sentences(words=("one", "three"), length=2)
    pipeline = Pipeline(model, Gaussian(), Pixels(), Sampler(), INFO, reads={"said": Reader(codec=codec)})
    Diffusion(drop=0.0).build(pipeline)(rows(2, caption=["one", "three one"]), at(2))
    assert model.given[0][2].values["said"].tolist() == [[1, 0], [2, 1]]
    with pytest.raises(FrisketError, match="reads no condition 'said'"):
        Diffusion().build(
            Pipeline(Recorder(), Gaussian(), Pixels(), Sampler(), INFO, reads={"said": Reader(codec=codec)})
        )


def test_missing_and_unread_conditions_are_named():
    with pytest.raises(FrisketError, match="reads 'colour', but the data offers label, x"):
        task_of(Recorder(("colour",)))(rows(), at())
    with pytest.raises(FrisketError, match="reads no condition 'colour'"):
        task_of(Recorder(), Diffusion(drops={"colour": 0.1}))


class Shrink(nn.Module):
    """An objective with a weight: the mean square of its own scale times the prediction's estimate of x0."""

    sites = ()

    def __init__(self, name="shrink"):
        super().__init__()
        self.name, self.scale = name, nn.Parameter(torch.ones(()))

    def loss(self, seen):
        return {self.name: (self.scale * seen.estimate.x0).square().flatten(1).mean(1)}


class ShrinkConfig:
    def __init__(self, name="shrink"):
        self.name = name

    def build(self, pipeline, needs):
        return Shrink(self.name)


def test_objectives_and_the_models_own_terms_are_added():
    model = Recorder(losses={"balance": torch.tensor(0.25)})
    task = task_of(model, Diffusion(objectives=(ShrinkConfig(),)))
    terms = task(rows(), at())
    assert set(terms) == {"denoise", "shrink", "balance"}
    assert terms["balance"] == 0.25
    assert set(task.trains()) == {"model", "projectors"}
    terms["shrink"].backward()
    assert task.projectors[0].scale.grad.abs() > 0
    with pytest.raises(FrisketError, match="two loss terms are called 'denoise'"):
        task_of(Recorder(), Diffusion(objectives=(ShrinkConfig("denoise"),)))(rows(), at())


def backbone(steps=2):
    source, codec, process = Digits().open("train"), Pixels(), Gaussian()
    spec = codec.spec(source.info)
    config = Transformer(width=16, heads=2).with_depth(2).fit(spec, process.outputs(spec.shape[0]), {"label": 10})
    pipeline = Pipeline(config.build(), process, codec, Sampler(steps=steps), source.info)
    return source, Diffusion().build(pipeline)


def test_a_trained_task_is_saved_as_a_pipeline_and_previews(tmp_path):
    source, task = backbone()
    trainer = Trainer(batch=8, steps=2, watching=Watching(every=1, previews=2, count=4))
    result = trainer.fit(task, source, tmp_path)
    pipeline = Pipeline.from_pretrained(result.folder)
    assert (tmp_path / "previews" / "step-00000002.png").is_file()
    assert pipeline.info == source.info
    again = Pipeline.from_pretrained(trainer.fit(backbone()[1], source, tmp_path).folder)
    assert torch.equal(pipeline.sample(2, label=3), again.sample(2, label=3))


def test_sites_that_objectives_ask_for_are_tapped_and_left_as_they_were():
    class Watch:
        sites = ("block[1]",)

        def build(self, pipeline, needs):
            return self

        def loss(self, seen):
            return {"watch": seen.taps["block[1]"].h.square().flatten(1).mean(1)}

    source, task = backbone()
    watching = Diffusion(objectives=(Watch(),)).build(task.pipeline)
    batch = source.batch(torch.arange(4))
    with torch.no_grad():
        plain, watched = task(batch, at(4)), watching(batch, at(4))
    assert watched["watch"] > 0
    assert torch.equal(plain["denoise"], watched["denoise"])
    assert "_site_handlers" not in task.model.__dict__


class Named(nn.Module):
    """An objective with a frozen part, a teacher, and a stated cost."""

    sites, fixed = (), ("teacher", "held")

    def __init__(self, model):
        super().__init__()
        self.scale = nn.Parameter(torch.ones(()))
        self.teacher, self.held = copy.deepcopy(model).requires_grad_(False), nn.Linear(2, 2).requires_grad_(False)

    def loss(self, seen):
        return {"named": (self.scale * seen.x0).square().flatten(1).mean(1)}


class NamedConfig:
    def build(self, pipeline, needs):
        self.needs = needs
        return Named(pipeline.model)

    def step_macs(self, experiment, forward):
        return 7.0


def test_an_objective_is_given_what_the_experiment_needs_and_says_what_follows_and_is_fixed():
    config = NamedConfig()
    _, plain = backbone()
    task = Diffusion(objectives=(config,)).build(plain.pipeline, {"encoder": plain.pipeline})
    assert set(config.needs) == {"encoder"}
    assert task.fixed == ("codec", "readers", "projectors.0.teacher", "projectors.0.held")
    assert task.followers() == {"model": (task.projectors[0].teacher,)}
    assert plain.followers() == {}
    saved = weights(task)
    assert "weights/projectors.0.scale" in saved
    assert not any("teacher" in name or "held" in name for name in saved)
    cost = SimpleNamespace(model=None)
    assert Diffusion(objectives=(config,)).step_macs(cost, 10) == 30 + 7
    assert Diffusion(objectives=(config,), passes=FullAndMasked()).step_macs(cost, 10) == 60 + 14


def test_the_config_is_a_value_and_refuses_bad_numbers():
    config = Diffusion(drop=0.2, drops={"label": 0.5}, known=Prefix())
    assert from_config(to_config(config)) == config
    for changes, field in (({"drop": 1.5}, "task.drop"), ({"drops": {"a": -1.0}}, "task.drops.a"),
                           ({"times": "late"}, "task.times")):  # fmt: skip
        with pytest.raises(FrisketError, match=field):
            Diffusion(**changes)


def test_the_models_plan_says_who_passes_and_the_task_may_say_otherwise():
    plan = Routing(low=1, high=-1)
    model = Spanned(plan)
    task_of(model).loss(rows(), at())
    assert model.kept[0]["route"].shape == (6, 2)
    assert torch.equal(model.kept[0]["route"], plan.draw(model.tags(None), at())["route"])
    task_of(model, Diffusion(choose={"route": Uniform(drop=0.75)})).loss(rows(), at())
    assert model.kept[1]["route"].shape == (6, 1)
    task_of(model, Diffusion(choose={"route": All()})).loss(rows(), at())
    assert model.kept[2] is None
    task_of(model, Diffusion(choose={"blocks[0:1]": Uniform()})).loss(rows(), at())
    assert set(model.kept[3]) == {"route", "blocks[0:1]"}
    task_of(Spanned(None)).loss(rows(), at())
    with pytest.raises(FrisketError, match="did you mean 'route'"):
        task_of(model, Diffusion(choose={"rout": All()}))


def test_shared_times_are_one_for_the_batch_and_another_at_each_step():
    pipeline = Pipeline(Recorder(), Gaussian(), Pixels(), Sampler(), INFO)
    made = Diffusion(times="shared").build(pipeline)
    drawn = [made.uniform(Step(seed=0, sample=torch.arange(4), index=i)) for i in range(3)]
    assert all(len(set(row.tolist())) == 1 for row in drawn)
    assert len({float(row[0]) for row in drawn}) == 3
    other = made.uniform(Step(seed=0, sample=torch.arange(40, 44), index=1))
    assert float(other[0]) == float(drawn[1][0]), "the same for every part of the batch"
