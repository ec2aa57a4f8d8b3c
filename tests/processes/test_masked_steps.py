import itertools
import math
from pathlib import Path as File

import numpy as np
import pytest
import torch
from torch.nn.functional import one_hot

from frisket.core import FrisketError, Output, Step, from_config, override, to_config
from frisket.processes import Known, Masked, MaskedSteps
from frisket.processes.parameterisations import Plain, Substitution
from frisket.processes.schedules import Cosine, LogLinear
from frisket.sampling.decoding.decoder import Ancestral
from frisket.sampling.sampler import Sampler
from frisket.testing import check_process

GOLDEN = {
    k: torch.from_numpy(v)
    for k, v in np.load(File(__file__).parents[1] / "golden" / "mdlm_d3pm.npz", allow_pickle=False).items()
}
K = 7
FORMS = [Substitution(), Plain()]
GEN = torch.Generator().manual_seed(0)
IDS = torch.randint(0, K, (4, 9), generator=GEN)
STEP = Step(seed=3, sample=torch.arange(4))


def each_element(process, logits, corrupted):
    """The loss of every element by itself, (b, n)."""
    b, n = corrupted.x0.shape
    columns = [process.loss(Output(logits), corrupted, (torch.arange(n) == j).expand(b, n)) for j in range(n)]
    return torch.stack([column["denoise"] for column in columns], 1)


def golden_loss(form, steps, extra=0.0):
    """Divergence of the official state plus reconstruction, as official code adds them."""
    process = MaskedSteps(vocabulary=K, steps=steps, parameterisation=form)
    c = process.corrupt(GOLDEN["ids"], GOLDEN[f"t_{steps}"], GOLDEN["uniform"] / 0.999)  # it hides 0.999 t
    assert torch.equal(c.x_t, GOLDEN[f"x_t_{steps}"])
    at_zero = process.corrupt(GOLDEN["ids"], torch.zeros(5), GOLDEN["uniform"])
    bias = extra * one_hot(torch.tensor(K), K + 1)
    steps_part = each_element(process, GOLDEN["logits"] + bias, c) * (1 - form.clean)
    return steps_part + each_element(process, GOLDEN["clean_logits"] + bias, at_zero) * form.clean


@pytest.mark.parametrize("steps", [10, 1000])
@pytest.mark.parametrize(
    ("name", "form", "extra"), [("plain", Plain(), 0.0), ("no_mask", Plain(), -1e6), ("subs", Substitution(), 0.0)]
)
def test_official_loss(name, form, extra, steps):
    """For t < 1: official code moves t = 1 to 0.9999."""
    wanted = GOLDEN[f"loss_{name}_{steps}"].float()
    assert torch.allclose(golden_loss(form, steps, extra), wanted, rtol=1e-4, atol=1e-4)


def random_network(process, seed=5):
    """Logits for every state of two elements of two symbols at every step."""
    g = torch.Generator().manual_seed(seed)
    table = 2 * torch.randn(process.steps + 1, 3, 3, 2, process.outputs(2), generator=g)

    def predict(x, t):
        return Output(table[(t * process.steps).round().long(), x[:, 0], x[:, 1]])

    return predict


def chain_by_matrices(process, predict, x0):
    """The bound and the exact -log p(x0) of the chain, from its transition matrices: D3PM's posterior with the
    network's distribution in the place of x0, over all nine states."""
    k, steps = 2, process.steps
    m = process.schedule.hidden(torch.arange(steps + 1) / steps)
    eye, mask = torch.eye(k + 1, dtype=torch.float64), one_hot(torch.tensor(k), k + 1).double()
    states = torch.tensor(list(itertools.product(range(k + 1), repeat=2)))

    def network(i):
        out = predict(states, torch.full((9,), i / steps, dtype=torch.float64))
        return process.parameterisation.logp(out.pred, states, k).double().exp()  # (9, 2, 3)

    def posterior(i, z, x):
        """Of one element a step before i, given z and the distribution x of the clean element."""
        beta = (m[i] - m[i - 1]) / (1 - m[i - 1])
        to_z = ((1 - beta) * eye + beta * mask)[:, z]  # from each state before
        before = (1 - m[i - 1]) * x + m[i - 1] * mask
        joint = to_z * before
        return joint / joint.sum()

    exact = torch.zeros(9, dtype=torch.float64)
    exact[-1] = 1.0  # all hidden
    bound = torch.zeros((), dtype=torch.float64)
    for i in range(steps, 0, -1):
        x = network(i)
        before = torch.zeros(9, dtype=torch.float64)
        for n, z in enumerate(states):
            if exact[n] == 0:  # not yet reached, by the true chain neither
                continue
            reached = ((z == k) | (z == x0)).all()  # by the forward chain
            forward = reached * torch.where(z == k, m[i], 1 - m[i]).prod()
            p = [posterior(i, z[j], x[n, j]) for j in range(2)]
            before += exact[n] * (p[0][:, None] * p[1]).flatten()
            if forward > 0:
                q = [posterior(i, z[j], eye[x0[j]]) for j in range(2)]
                bound += forward * sum(
                    (torch.xlogy(a, a / b.clamp(min=1e-300))).sum() for a, b in zip(q, p, strict=True)
                )
        exact = before
    x = network(0)
    given = torch.stack([x[:, 0, x0[0]] * x[:, 1, x0[1]]])[0]
    here = int((states == x0).all(1).nonzero())
    return bound - given[here].log(), -(exact * given).sum().log()


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("schedule", [MaskedSteps().schedule, Cosine()])
def test_nelbo_is_the_bound_of_the_chain_of_matrices(form, schedule):
    process = MaskedSteps(vocabulary=2, steps=4, parameterisation=form, schedule=schedule)
    predict, x0 = random_network(process), torch.tensor([0, 1])
    bound, exact = chain_by_matrices(process, predict, x0)
    assert bound > exact
    n = 3000
    nats = process.nelbo(predict, x0.expand(n, 2), Step(seed=1, sample=torch.arange(n)), draws=3)
    assert abs(float(nats.mean() - bound)) < 4 * float(nats.std()) / n**0.5


@pytest.mark.parametrize("form", FORMS)
def test_the_loss_has_the_bound_as_its_expectation(form):
    """Summed over all times that training draws and all hidden sets, with their probabilities."""
    process = MaskedSteps(vocabulary=2, steps=4, parameterisation=form)
    predict, x0 = random_network(process), torch.tensor([[0, 1]])
    expected = torch.zeros(1, dtype=torch.float64)
    for i in range(5):
        chance = form.clean if i == 0 else (1 - form.clean) / 4
        t = torch.tensor([i / 4], dtype=torch.float64)
        for hidden in itertools.product([False, True], repeat=2):
            weight = math.prod(i / 4 if h else 1 - i / 4 for h in hidden)
            if weight > 0:
                c = process.corrupt(x0, t, torch.tensor([[0.0 if h else 0.999 for h in hidden]]))
                assert (c.x_t == 2).tolist() == [list(hidden)]
                expected += chance * weight * process.loss(predict(c.x_t, t), c)["denoise"]
    bound, _ = chain_by_matrices(process, predict, x0[0])
    assert float(2 * expected) == pytest.approx(float(bound), rel=1e-5)


def test_training_times_are_steps_and_the_share_of_clean_samples():
    u = (torch.arange(1000, dtype=torch.float64) + 0.5) / 1000
    t = MaskedSteps(vocabulary=K, steps=10, parameterisation=Plain(clean=0.2)).times(u)
    assert [int((t == v).sum()) for v in (0.0, 0.1, 0.5, 1.0)] == [200, 80, 80, 80]
    assert sorted(set(MaskedSteps(vocabulary=K, steps=4).times(u).tolist())) == [0.25, 0.5, 0.75, 1.0]


@pytest.mark.parametrize("steps", [1, 3, 1000])
def test_nelbo_of_a_uniform_model_with_substitution_is_exact(steps):
    known = Known(values=IDS, where=torch.arange(9).expand(4, 9) < 4)
    valid = torch.arange(9).expand(4, 9) < 8
    process = MaskedSteps(vocabulary=K, steps=steps)

    def uniform(x, t):
        assert torch.equal(x[:, :4], IDS[:, :4])
        assert not (x[:, 8] == K).any()
        return Output(torch.zeros(*x.shape, K))

    nats = process.nelbo(uniform, IDS, STEP, 4, known, valid)
    assert torch.allclose(nats, torch.full((4,), 4 * math.log(K), dtype=torch.float64))


def test_nelbo_of_a_uniform_model_that_predicts_the_mask():
    steps, p = 6, 1 / (K + 1)
    process = MaskedSteps(vocabulary=K, steps=steps, parameterisation=Plain())
    total = math.log(K + 1)  # the reconstruction
    for i in range(1, steps + 1):
        now, before = i / steps, (i - 1) / steps
        scale = now + (1 - now) * p
        reveal, stay = (now - before) * p / scale, (before + (1 - before) * p) / scale
        total += (now - before) * math.log((now - before) / now / reveal)
        total += before * math.log(before / now / stay) if before > 0 else 0.0
    one = process.nelbo(lambda x, t: Output(torch.zeros(*x.shape, K + 1)), IDS[:, :1], STEP, draws=steps)
    assert torch.allclose(one, torch.full((4,), total, dtype=torch.float64), rtol=1e-5)  # each step is drawn once
    nats = process.nelbo(lambda x, t: Output(torch.zeros(*x.shape, K + 1)), IDS, STEP, draws=100)
    assert torch.allclose(nats, torch.full((4,), 9 * total, dtype=torch.float64), rtol=0.02)
    assert total > math.log(K)


@pytest.mark.parametrize("form", FORMS)
def test_nelbo_of_the_true_law_of_one_symbol_is_its_surprise(form):
    """One element has nothing to be revealed with, so any number of steps gives the entropy."""
    law = torch.tensor([0.5, 0.3, 0.15, 0.05]).log()

    def perfect(x, t):
        seen = torch.where(x[..., None] == 4, law, 60.0 * one_hot(x.clamp(max=3), 4))
        return Output(torch.cat([seen, torch.full_like(seen[..., :1], -60.0)], -1)[..., : form.outputs(4)])

    process = MaskedSteps(vocabulary=4, steps=3, parameterisation=form)
    nats = process.nelbo(perfect, torch.arange(4)[:, None], STEP, draws=2)
    assert torch.allclose(nats, -law.double(), atol=1e-5)


JOINT = torch.tensor([[0.4, 0.05, 0.05], [0.02, 0.2, 0.08], [0.1, 0.0999, 0.0001]], dtype=torch.float64)


def true_conditionals(x, t):
    out = torch.stack([JOINT.sum(1).log().expand(len(x), 3), JOINT.sum(0).log().expand(len(x), 3)], 1).clone()
    a, b = x[:, 0], x[:, 1]
    out[b < 3, 0] = (JOINT / JOINT.sum(0)).T.log()[b[b < 3]]
    out[a < 3, 1] = (JOINT / JOINT.sum(1, keepdim=True)).log()[a[a < 3]]
    return Output(out)


def mean_nats(process, reps=800):
    ids = torch.cartesian_prod(torch.arange(3), torch.arange(3)).repeat(reps, 1)
    nats = process.nelbo(true_conditionals, ids, Step(seed=5, sample=torch.arange(len(ids))), 4).reshape(reps, 9)
    error = ((JOINT.flatten() ** 2 * nats.var(0)).sum() / reps).sqrt()
    return float((JOINT.flatten() * nats.mean(0)).sum()), float(error)


@pytest.mark.parametrize("steps", [1, 2, 5, 1000])
def test_a_dependent_pair_costs_its_mutual_information_over_the_steps(steps):
    """Two elements revealed in one step, which has chance 1 / T, are taken as independent; the rest is the entropy."""
    entropy = -torch.xlogy(JOINT, JOINT).sum()
    information = (JOINT * (JOINT / JOINT.sum(1, keepdim=True) / JOINT.sum(0)).log()).sum()
    value, error = mean_nats(MaskedSteps(vocabulary=3, steps=steps))
    assert abs(value - float(entropy + information / steps)) < 4 * error + 1e-6


def test_the_two_bounds_share_their_draws():
    """So that arms differ by the bound and not by its noise: equal states, but for counts at a stratum's edge."""
    continuous, steps = [], []
    for process, states in ((Masked(vocabulary=K), continuous), (MaskedSteps(vocabulary=K), steps)):

        def predict(x, t, states=states):
            states.append(x)
            return Output(torch.zeros(*x.shape, K))

        process.nelbo(predict, IDS, STEP, 4)
    same = torch.stack([(a == b).all(1) for a, b in zip(continuous, steps[1:], strict=True)])  # steps[0] sees all
    assert same.float().mean() >= 0.9


def test_nothing_open_has_no_nats():
    known = Known(values=IDS, where=(torch.arange(4) < 2)[:, None].expand(4, 9))
    for form in FORMS:
        process = MaskedSteps(vocabulary=K, parameterisation=form)
        uniform = Output(torch.zeros(4, 9, process.outputs(1)))
        nats = process.nelbo(lambda x, t, out=uniform: out, IDS, STEP, 2, known)
        assert (nats[:2] == 0).all()
        assert (nats[2:] > 9).all()


def test_with_many_steps_the_bound_is_the_continuous_one():
    value, error = mean_nats(MaskedSteps(vocabulary=3, steps=10_000))
    limit, other = mean_nats(Masked(vocabulary=3))
    assert abs(value - limit) < 4 * (error**2 + other**2) ** 0.5
    logits = torch.randn(4, 9, K, generator=GEN)
    noise, t = torch.rand(4, 9, generator=GEN), torch.tensor([0.2, 0.5, 0.75, 1.0])
    losses = [p.loss(Output(logits), p.corrupt(IDS, t, noise))["denoise"]
              for p in (MaskedSteps(vocabulary=K), override(Masked(vocabulary=K), "schedule", "linear"))]  # fmt: skip
    assert torch.allclose(*losses, rtol=1e-5)  # 1 / t at a step's end, whatever T


@pytest.mark.parametrize("form", FORMS)
def test_conformance(form):
    check_process(MaskedSteps(parameterisation=form), shape=(9,), vocabulary=5)
    check_process(MaskedSteps(parameterisation=form, steps=2, schedule=Cosine()), shape=(3, 4), vocabulary=5)


def test_what_is_not_valid_may_hold_any_number():
    ids = IDS.where(torch.arange(9) < 6, torch.tensor(-100))
    for form in FORMS:
        process = MaskedSteps(vocabulary=K, parameterisation=form)
        logits = torch.zeros(4, 9, process.outputs(1))
        c = process.corrupt(ids, torch.full((4,), 0.5), torch.full((4, 9), 0.6))  # all visible
        assert (process.loss(Output(logits), c, (torch.arange(9) < 6).expand(4, 9))["denoise"] == 0).all()


def test_a_network_sure_of_the_mask_still_samples_real_symbols():
    process = MaskedSteps(vocabulary=K, parameterisation=Plain())
    logits = torch.zeros(K + 1)
    logits[2], logits[K] = 50.0, 90.0
    assert process.outputs(1) == K + 1
    estimate = process.estimate(Output(logits.expand(4, 9, K + 1)), process.prior(torch.zeros(4, 9)), torch.ones(4))
    assert estimate.logits is not None
    assert torch.allclose(estimate.logits.exp().sum(-1), torch.ones(4, 9))
    out = Sampler(steps=3, update=Ancestral()).sample(
        lambda x, t, cond=None, keep=None: Output(logits.expand(*x.shape, K + 1)), process, shape=(9,), step=STEP
    )
    assert (out == 2).all()


@pytest.mark.parametrize("form", FORMS)
def test_nelbo_does_not_depend_on_the_batch(form):
    process = MaskedSteps(vocabulary=K, parameterisation=form)
    row = torch.randn(process.outputs(1), generator=torch.Generator().manual_seed(1))

    def predict(x, t):
        return Output(row.expand(*x.shape, len(row)))

    part = process.nelbo(predict, IDS[1:3], STEP.rows(torch.tensor([1, 2])), 4)
    assert torch.equal(process.nelbo(predict, IDS, STEP, 4)[1:3], part)


def test_configs_and_errors():
    process = MaskedSteps(vocabulary=K, steps=10, parameterisation=Plain(clean=0.3))
    assert from_config(to_config(process)) == process
    assert override(MaskedSteps(), "parameterisation", "plain").fit(K).outputs(1) == K + 1
    assert MaskedSteps(schedule=LogLinear(eps=0.0)).steps == 1000
    with pytest.raises(FrisketError, match=r"process\.schedule"):
        MaskedSteps(schedule=LogLinear())
    with pytest.raises(FrisketError, match=r"process\.steps"):
        MaskedSteps(steps=0)
    with pytest.raises(FrisketError, match=r"process\.vocabulary"):
        MaskedSteps().corrupt(IDS, torch.ones(4), torch.zeros(4, 9))
    with pytest.raises(FrisketError, match="and the mask"):
        process.nelbo(lambda x, t: Output(torch.zeros(*x.shape, K)), IDS, STEP, 1)
    with pytest.raises(FrisketError, match="draws"):
        process.nelbo(lambda x, t: Output(torch.zeros(*x.shape, K + 1)), IDS, STEP, 0)
