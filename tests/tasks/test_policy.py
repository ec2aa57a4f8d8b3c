import itertools
import math
from dataclasses import dataclass, replace

import pytest
import torch

from frisket.adapters.policy import AddRevealPolicy, RevealPolicy
from frisket.codecs.text import Ids as IdsCodec
from frisket.core import FrisketError, Step, register
from frisket.data.base import Info
from frisket.models.backbones.transformer import Transformer
from frisket.models.layers.ends import Ids, Logits
from frisket.processes.masked import Masked
from frisket.processes.schedules import Linear
from frisket.sampling.corrections import ImposeKnown
from frisket.sampling.decoding.decoder import Ordered
from frisket.sampling.decoding.learned import Chance, Learned
from frisket.sampling.decoding.orders import Confidence
from frisket.sampling.decoding.proposals import Greedy
from frisket.sampling.pipeline import Pipeline
from frisket.sampling.sampler import Sampler
from frisket.tasks.policy import Policy, advantages, clipped_gain, log_chance

N, K = 6, 4
CONFIG = Transformer(width=16, heads=2, input=Ids(vocabulary=K, size=(N,)), output=Logits(vocabulary=K)).with_depth(1)
SAMPLER = Sampler(
    steps=N, update=Ordered(proposal=Greedy(), orders=(Learned(),), select=Chance()), corrections=(ImposeKnown(),)
)


@register("judge/test-first-place")
@dataclass(frozen=True, kw_only=True)
class FirstPlace:
    """Right if the first hidden place is of an even id, or always."""

    always: bool = False

    def right(self, made, batch):
        return (made[:, 2] % 2 == 0) | self.always


def moved(module, seed=0, by=0.5):
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for value in module.parameters():
            value.add_(by * torch.randn(value.shape, generator=generator))


def pipeline(sampler=SAMPLER, slope=0.0):
    info = Info(kind="ids", shape=(N,), extra={"vocabulary": K})
    model = CONFIG.build()
    moved(model)
    made = Pipeline(model, Masked(vocabulary=K, schedule=Linear()), IdsCodec(vocabulary=K), sampler, info)
    return AddRevealPolicy(edit=RevealPolicy(length=1, slope=slope)).apply(made, None, {}, 0)


def batch(count=3):
    known = torch.zeros(count, N, dtype=torch.bool)
    known[:, :2] = True
    return {"x": torch.arange(count * N).reshape(count, N) % K, "known": known, "id": torch.arange(count)}


STEP = Step(seed=0, sample=torch.arange(3), index=0, total=4)
TASK = Policy(judge=FirstPlace(), group=4)


def test_runs_keep_the_known_reveal_every_time_and_stay_within_the_places():
    made = TASK.build(pipeline(), {}).runs(batch(), STEP)
    assert made.forwards.shape == made.earned.shape == (12,)
    assert bool((made.forwards >= 1).all())
    assert bool((made.forwards <= N - 2).all())
    assert not bool(made.hidden[:, :2].any())
    assert bool((made.chosen <= made.hidden).all())
    assert torch.equal(made.chosen.any(1), made.free)
    assert torch.equal(torch.bincount(made.row, minlength=12), made.forwards)
    assert len({int(t) for t in made.forwards}) > 1  # the runs of a group differ


def test_a_run_does_not_depend_on_the_batch_it_is_made_in():
    task = TASK.build(pipeline(), {})
    whole = task.runs(batch(), STEP)
    last = task.runs({k: v[2:] for k, v in batch().items()}, STEP.rows(torch.tensor([2])))
    assert torch.equal(last.forwards, whole.forwards[8:])
    torch.testing.assert_close(last.earned, whole.earned[8:])


def test_what_a_run_earns():
    task = replace(TASK, judge=FirstPlace(always=True), speed=2.0).build(pipeline(), {})
    made = task.runs(batch(), STEP)
    torch.testing.assert_close(made.earned, (1 - (made.forwards - 1) / 4.0) ** 2)
    plain = replace(TASK, judge=FirstPlace(always=True), speed=0.0).build(pipeline(), {}).runs(batch(), STEP)
    assert torch.equal(plain.earned, torch.ones(12, dtype=plain.earned.dtype))
    wrong = TASK.build(pipeline(), {}).runs(batch(), STEP)
    assert float(wrong.earned.min()) >= 0


def test_chances_of_all_choices_sum_to_one():
    scores = torch.tensor([[0.3, -1.2, 2.0, 9.0]], dtype=torch.float64).expand(8, 4)
    hidden = torch.tensor([[True, True, True, False]]).expand(8, 4)
    chosen = torch.tensor([[*bits, False] for bits in itertools.product([False, True], repeat=3)])
    assert float(log_chance(scores, hidden, chosen).exp().sum()) == pytest.approx(1.0)


def test_advantages_sum_to_zero_and_an_even_group_teaches_nothing():
    earned = torch.tensor([0.0, 1.0, 0.5, 0.2, 0.7, 0.7, 0.7, 0.7], dtype=torch.float64)
    found = advantages(earned, 4).unflatten(0, (2, 4))
    torch.testing.assert_close(found.sum(1), torch.zeros(2, dtype=torch.float64), rtol=0, atol=1e-9)
    assert torch.equal(found[1], torch.zeros(4, dtype=torch.float64))


def test_only_the_policy_has_a_gradient():
    task = replace(TASK, judge=FirstPlace(always=True)).build(pipeline(), {})
    terms = task(batch(), STEP)
    assert float(terms["missed"]) == pytest.approx(1 - float(task.runs(batch(), STEP).earned.mean()))
    sum(terms.values()).backward()
    with_gradient = {n for n, p in task.named_parameters() if p.grad is not None and bool(p.grad.any())}
    assert with_gradient
    assert all(name.startswith("model.policy.") for name in with_gradient)


def test_the_gradient_is_that_of_the_log_chances_weighed_by_advantage():
    """At equal policies the objective's gradient is the plain policy gradient."""
    task = replace(TASK, judge=FirstPlace(always=True)).build(pipeline(), {})
    moved(task.model.policy, 1)
    task.acting.load_state_dict(task.model.policy.state_dict())
    made = task.runs(batch(), STEP)
    weights = [p for p in task.model.policy.parameters() if p.requires_grad]
    found = torch.autograd.grad(task(batch(), STEP)["policy"], weights, allow_unused=True)
    chance = log_chance(task.model.policy(made.confidence, made.hidden), made.hidden, made.chosen) * made.free
    each = torch.zeros(12, dtype=torch.float64).index_add(
        0, made.row, chance.double() * advantages(made.earned, 4)[made.row]
    )
    wanted = torch.autograd.grad(-(each / made.forwards).mean(), weights, allow_unused=True)
    for ours, theirs in zip(found, wanted, strict=True):
        if theirs is not None:
            torch.testing.assert_close(ours, theirs, rtol=1e-4, atol=1e-6)


def test_ratios_beyond_the_clip_teach_nothing():
    ratio = torch.tensor([2.0, 0.5, 2.0, 0.5, 1.0], requires_grad=True)
    gain = clipped_gain(ratio, torch.tensor([3.0, 3.0, -3.0, -3.0, 3.0]), 0.2)
    assert gain.tolist() == pytest.approx([3.6, 1.5, -6.0, -2.4, 3.0])
    gain.sum().backward()
    assert ratio.grad is not None
    assert ratio.grad[:4].tolist() == [0.0, 3.0, -3.0, 0.0]


def test_entropy_is_paid_at_even_chances():
    even = replace(TASK, entropy=2.0).build(pipeline(slope=0.0), {})
    assert float(even(batch(), STEP)["entropy"].detach()) == pytest.approx(-2 * math.log(2), rel=1e-5)
    steep = replace(TASK, entropy=2.0).build(pipeline(slope=50.0), {})
    assert -0.1 < float(steep(batch(), STEP)["entropy"].detach()) < 0


def test_the_acting_policy_is_renewed_on_time():
    task = replace(TASK, refresh=2).build(pipeline(), {})
    moved(task.model.policy, 1)
    task.after_step(STEP.at(index=0))
    assert not torch.equal(next(task.acting.parameters()), next(task.model.policy.parameters()))
    task.after_step(STEP.at(index=1))
    for ours, theirs in zip(task.acting.parameters(), task.model.policy.parameters(), strict=True):
        assert torch.equal(ours, theirs)


def test_it_learns_to_be_fast_where_everything_is_right():
    task = replace(TASK, judge=FirstPlace(always=True), group=8, refresh=1).build(pipeline(), {})
    optimiser = torch.optim.Adam(task.model.policy.parameters(), lr=0.02)
    before = task.runs(batch(), STEP).forwards.double().mean()
    for index in range(8):
        optimiser.zero_grad()
        step = STEP.at(index=index, sample=torch.arange(3) + 3 * index)
        sum(task(batch(), step).values()).backward()
        optimiser.step()
        task.after_step(step)
    assert float(task.runs(batch(), STEP).forwards.double().mean()) < float(before) - 0.3


def test_what_is_saved_decides_the_same(tmp_path):
    task = TASK.build(pipeline(), {})
    moved(task.model.policy, 2)
    task.save_model(tmp_path / "model", {f"model.{k}": v for k, v in task.model.state_dict().items()})
    held = Pipeline.from_pretrained(tmp_path / "model")
    assert torch.equal(held.sample(3), task.pipeline.sample(3))
    assert torch.equal(task.preview(STEP, 2), task.pipeline.sample(2))


@pytest.mark.parametrize(
    ("sampler", "says"),
    [
        (replace(SAMPLER, update=Ordered(orders=(Confidence(),))), "Learned"),
        (replace(SAMPLER, update=replace(SAMPLER.update, select=Chance(temperature=0.0))), "temperature"),
        (replace(SAMPLER, steps=3), "steps"),
    ],
)
def test_samplers_that_do_not_follow_the_policy_are_refused(sampler, says):
    with pytest.raises(FrisketError, match=says):
        TASK.build(pipeline(sampler), {})


def test_refusals():
    for change in ({"group": 1}, {"speed": -1.0}, {"clip": 0.0}, {"refresh": 0}, {"entropy": -1.0}):
        with pytest.raises(FrisketError):
            replace(TASK, **change)
    with pytest.raises(FrisketError, match="known"):
        TASK.build(pipeline(), {}).loss({"x": torch.zeros(3, N, dtype=torch.int64)}, STEP)
