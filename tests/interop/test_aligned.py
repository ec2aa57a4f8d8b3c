"""Parity with official REPA and SRA: forwards, projectors, and both losses on stored draws."""

from __future__ import annotations

import pytest
import torch

from frisket.codecs.pixels import Pixels
from frisket.core import Condition, FrisketError, Step
from frisket.core.condition import Output
from frisket.data.base import Info
from frisket.interop.aligned import GUIDED, aligned_difference, projected, projectors, repa_pipeline, sra_pipeline
from frisket.interop.golden import stored
from frisket.interop.official import load_official
from frisket.processes.gaussian import Gaussian
from frisket.sampling.pipeline import Pipeline
from frisket.sampling.sampler import Sampler
from frisket.tasks.diffusion import Diffusion
from frisket.tasks.objectives.alignment import Alignment
from frisket.tasks.objectives.base import Pass
from frisket.tasks.objectives.distances import Cosine, SmoothL1
from frisket.tasks.objectives.self_alignment import SelfAlignment

FACTS = {"num_heads": 2, "input_size": 8}
STEP = Step(seed=0, sample=torch.arange(3), total=10)


def held(name):
    arrays = stored(name)
    return arrays, {k[2:]: v for k, v in arrays.items() if k.startswith("w/")}


@pytest.mark.parametrize("name", ["repa", "sra"])
def test_forwards_and_projections_are_the_official_ones(name):
    arrays, weights = held(name)
    assert aligned_difference(name) < 1e-5
    assert arrays["out"].std() > 0.3
    spoiled = dict(weights)
    layer = "projectors.1.2.bias" if name == "repa" else "ap_head.linear1.bias"
    spoiled[layer] = spoiled[layer] + 0.1
    wanted = arrays["zs1"] if name == "repa" else arrays["head"]
    assert (projected(name, spoiled, arrays)[-1] - wanted).abs().max() > 1e-3


def test_the_loaded_model_has_no_projector():
    for name, gone in (("repa", "projectors."), ("sra", "ap_head.")):
        _, weights = held(name)
        model = load_official(name, weights, **FACTS)
        kept = {k: v for k, v in weights.items() if not k.startswith(gone)}
        assert len(kept) < len(weights)
        bare = load_official(name, kept, **FACTS)
        assert all(torch.equal(v, bare.state_dict()[k]) for k, v in model.state_dict().items())
        with pytest.raises(FrisketError, match="no projector"):
            projectors(name, kept)


def passed(name, task, arrays, labels):
    """The stored draws as one pass of the task's model."""
    process = task.process
    cond = Condition.of(label=labels)
    corrupted = process.corrupt(arrays["images"], arrays["time"].double(), arrays["noise"])
    output, taps = task.predict(corrupted, cond, STEP)
    return Pass({"x": arrays["images"]}, STEP, process, task.codec, task.model, cond, corrupted, output, taps)


def task_of(name, weights, *objectives):
    model = load_official(name, weights, **FACTS)
    info = Info(kind="image", shape=(3, 8, 8), classes=tuple("abcde"))
    codec = Pixels(mean=(0.0,), std=(1.0,), clamp=False)
    pipeline = Pipeline(model, Gaussian(), codec, Sampler(), info)
    return Diffusion(objectives=objectives).build(pipeline, {})


def test_the_loss_of_repa_is_the_official_one():
    arrays, weights = held("repa")

    class Told(torch.nn.Module):
        def __init__(self, z):
            super().__init__()
            self.z = z

        def forward(self, x):
            return self.z[: len(x)]

        def build(self, pipeline, needs):
            return self

    targets = [Told(arrays["target0"]), Told(arrays["target1"])]
    parts = [Alignment(block=1, weight=0.5, target=z, name=f"z{i}") for i, z in enumerate(targets)]
    task = task_of("repa", weights, *parts)
    for objective, projector in zip(task.objectives, projectors("repa", weights), strict=True):
        objective.projector = projector
    with torch.no_grad():
        seen = passed("repa", task, arrays, arrays["in/y"])
        terms = [o.loss(seen)[f"z{i}"].mean() for i, o in enumerate(task.objectives)]
        denoise = task.process.loss(seen.output, seen.corrupted)["denoise"]
    torch.testing.assert_close(denoise, arrays["denoise"], rtol=1e-5, atol=1e-5)
    torch.testing.assert_close(sum(terms), arrays["projection"], rtol=1e-5, atol=1e-6)  # 0.5 each is their mean


@pytest.mark.parametrize(("kind", "distance"), [("sml1", SmoothL1(beta=0.05)), ("cos", Cosine(over="tokens"))])
def test_the_loss_of_sra_is_the_official_one(kind, distance):
    arrays, weights = held("sra")
    task = task_of("sra", weights, SelfAlignment(block=0, teacher_block=2, weight=1.0, distance=distance))
    objective = task.objectives[0]
    objective.head = projectors("sra", weights)[0]
    with torch.no_grad():
        for name, p in objective.teacher.named_parameters():
            if name != "positions.table":
                p.mul_(0.9)  # as the stored teacher
        seen = passed("sra", task, arrays, arrays["labels"])
        t = (seen.t - 0.2 * arrays["gap"].double()).clamp(min=0)
        torch.testing.assert_close(t.float(), arrays["teacher_time"])
        h = objective.head(seen.taps["block[0]"].h)
        found = distance.between(h, objective.targets(seen, t)).mean()
        denoise = task.process.loss(seen.output, seen.corrupted)["denoise"]
    torch.testing.assert_close(found, arrays[kind], rtol=1e-5, atol=1e-5)
    torch.testing.assert_close(denoise, arrays["denoise"], rtol=1e-5, atol=1e-5)
    assert abs(float(Cosine().between(h, h + 1).mean())) > 0


def test_wirings_take_t_as_it_is_and_guide_where_published():
    for name, wire in (("repa", repa_pipeline), ("sra", sra_pipeline)):
        _, weights = held(name)
        pipeline = wire(load_official(name, weights, **FACTS))
        assert pipeline.sampler == GUIDED
        t = torch.tensor([0.0, 0.3, 1.0], dtype=torch.float64)
        torch.testing.assert_close(pipeline.process.model_time(t), t.float())
        state, noise = torch.ones(3, 1), torch.full((3, 1), 3.0)
        torch.testing.assert_close(pipeline.process.corrupt(state, t, noise).x_t[:, 0], torch.tensor([1.0, 1.6, 3.0]))
        exact = Output(noise - state)
        torch.testing.assert_close(
            pipeline.process.loss(exact, pipeline.process.corrupt(state, t, noise))["denoise"], torch.zeros(3)
        )
    scale = GUIDED.guidance.scales[0]
    assert scale.at(torch.tensor([0.1, 0.7, 0.71, 1.0])).tolist() == pytest.approx([1.8, 1.8, 1.0, 1.0])
