import itertools
import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from sampling_fakes import GaussianDenoiser, Joint, steps
from scipy.stats import chisquare

from frisket.core import FrisketError, Output, from_config, to_config
from frisket.processes.emissions import JointDigits
from frisket.processes.gaussian import Gaussian
from frisket.processes.known import Known
from frisket.processes.masked import Masked
from frisket.processes.schedules import Cosine, Linear
from frisket.sampling.base import Start
from frisket.sampling.corrections import ImposeKnown
from frisket.sampling.decoding.commits import Remask
from frisket.sampling.decoding.decoder import Ancestral, Ordered
from frisket.sampling.decoding.orders import Confidence, Entropy, Margin, Random, Raster
from frisket.sampling.decoding.proposals import Greedy, Gumbel
from frisket.sampling.decoding.selects import Threshold
from frisket.sampling.grids import Repaint
from frisket.sampling.sampler import Sampler

N = 8000


def p_value(x, joint, p=None):
    """Of Pearson's chi-square test that the samples x have the law p; rare states are pooled."""
    p = joint.p if p is None else p
    counts = torch.bincount(joint.index(x), minlength=len(p)).double()
    wanted = p * len(x)
    rare = wanted < 8
    if bool(rare.any()):
        counts, wanted = (torch.cat([v[~rare], v[rare].sum(0, keepdim=True)]) for v in (counts, wanted))
    kept = wanted > 0
    assert float(counts[~kept].sum()) == 0
    return float(chisquare(counts[kept].numpy(), wanted[kept].numpy()).pvalue)


def law_of_ancestral(joint, moves):
    """The exact law of the ancestral decoder on a linear schedule: reveal times are uniform over the moves, and what is
    revealed in one move is drawn independently given what was visible before."""
    n, p = joint.n, torch.zeros(len(joint.p), dtype=torch.float64)
    for times in itertools.product(range(n), repeat=n):  # which of at most n distinct moves, in order
        used = sorted(set(times))
        if used != list(range(len(used))):
            continue
        weight = math.comb(moves, len(used)) / moves**n
        for k, x in enumerate(joint.states):
            chance = 1.0
            for now in used:
                fits = torch.ones(len(joint.p), dtype=torch.bool)
                for i in range(n):
                    if times[i] < now:
                        fits &= joint.states[:, i] == x[i]
                for i in range(n):
                    if times[i] == now:
                        chance *= float(joint.p[fits & (joint.states[:, i] == x[i])].sum() / joint.p[fits].sum())
            p[k] += weight * chance
    return p


@pytest.mark.parametrize("moves", [1, 2, 8])
def test_ancestral_decoding_has_its_exact_law(moves):
    process = Masked(vocabulary=3, schedule=Linear())
    joint = Joint(process)
    law = law_of_ancestral(joint, moves)
    assert float(law.sum()) == pytest.approx(1.0)
    x = Sampler(steps=moves, update=Ancestral()).sample(joint, process, shape=(3,), step=steps(N))
    assert p_value(x, joint, law) > 1e-3


def test_ancestral_decoding_in_many_moves_reproduces_the_joint():
    process = Masked(vocabulary=3)
    joint = Joint(process)
    x = Sampler(steps=120, update=Ancestral()).sample(joint, process, shape=(3,), step=steps(N))
    assert p_value(x, joint) > 1e-3
    far = Sampler(steps=1, update=Ancestral()).sample(joint, process, shape=(3,), step=steps(N))
    assert p_value(far, joint) < 1e-9  # one move draws the tokens independently


@pytest.mark.parametrize("order", [Random(), Raster(), Entropy(), Margin()])
@pytest.mark.parametrize("proposal", [None, Gumbel()])
def test_one_at_a_time_reproduces_the_joint_in_any_order_that_does_not_see_the_draw(order, proposal):
    process = Masked(vocabulary=3, schedule=Linear())
    joint = Joint(process)
    update = Ordered(orders=(order,), **({} if proposal is None else {"proposal": proposal}))
    x = Sampler(steps=3, update=update).sample(joint, process, shape=(3,), step=steps(N))
    assert p_value(x, joint) > 1e-3


def test_most_confident_draws_first_is_biased():
    process = Masked(vocabulary=3, schedule=Linear())
    joint = Joint(process)
    x = Sampler(steps=3, update=Ordered(orders=(Confidence(),))).sample(joint, process, shape=(3,), step=steps(N))
    assert p_value(x, joint) < 1e-9


def test_given_the_known_the_rest_has_its_conditional_law():
    process = Masked(vocabulary=3, schedule=Linear())
    joint = Joint(process)
    where = torch.tensor([[False, True, False]]).expand(N, 3)
    known = Known(values=torch.ones(N, 3, dtype=torch.int64), where=where)
    p = joint.p * (joint.states[:, 1] == 1)
    sampler = Sampler(steps=2, update=Ordered(), corrections=(ImposeKnown(),))
    x = sampler.sample(joint, process, shape=(3,), step=steps(N), known=known)
    assert p_value(x, joint, p / p.sum()) > 1e-3


@pytest.mark.parametrize(
    "sampler",
    [
        Sampler(steps=60, update=Ancestral(), grid=Repaint(jump=30, resamples=2)),
        Sampler(steps=60, update=Ancestral(commit=Remask(cap=0.02))),
    ],
)
def test_resampling_and_hiding_again_keep_the_joint(sampler):
    process = Masked(vocabulary=3, schedule=Linear())
    joint = Joint(process)
    shots = list(sampler.run(joint, process, shape=(3,), step=steps(2500)))
    assert p_value(shots[-1].x, joint) > 1e-3
    again = sum(int(((a.x < 3) & (b.x == 3)).sum()) for a, b in itertools.pairwise(shots))
    assert again > 300


@pytest.mark.parametrize("update", [Ancestral(), Ordered(), Ordered(select=Threshold()), Ordered(commit=Remask())])
@settings(max_examples=8, deadline=None)
@given(n=st.integers(1, 16), seed=st.integers(0, 2**31), cosine=st.booleans())
def test_nothing_is_hidden_at_the_end_and_the_visible_stays(update, n, seed, cosine):
    process = Masked(vocabulary=4, schedule=Cosine() if cosine else Linear())
    calls = []

    def model(x, t, cond=None):
        calls.append(len(x))
        return Output(torch.zeros(*x.shape, 4))

    shots = list(Sampler(steps=n, update=update).run(model, process, shape=(2, 3), step=steps(3, seed=seed)))
    assert bool((shots[-1].x < 4).all())
    for before, after in itertools.pairwise(shots):
        stays = before.x < 4
        if not isinstance(update.commit, Remask):
            assert torch.equal(before.x[stays], after.x[stays])
        changed = (before.x != after.x).flatten(1).any(1)
        made = after.forwards - before.forwards
        assert made <= 3
        if not isinstance(update.commit, Remask):
            assert made == int(changed.sum())  # a row that reveals nothing makes no forward
    assert sum(calls) == shots[-1].forwards


def test_forwards_never_exceed_the_tokens():
    process = Masked(vocabulary=3)
    joint = Joint(process)
    *_, last = Sampler(steps=60, update=Ancestral()).run(joint, process, shape=(3,), step=steps(20))
    assert last.forwards <= 3 * 20
    *_, last = Sampler(steps=60, update=Ordered()).run(joint, process, shape=(3,), step=steps(20))
    assert last.forwards == 3 * 20


def test_a_start_half_shown_keeps_its_schedule():
    process = Masked(vocabulary=3, schedule=Linear())
    x = torch.tensor([[0, 1, 2, 0, 1, 3, 3, 3, 3, 3]])
    model = lambda x, t, cond=None: Output(torch.zeros(*x.shape, 3))  # noqa: E731
    shots = list(
        Sampler(steps=10, update=Ordered()).run(model, process, shape=(10,), step=steps(1), start=Start(x=x, t=0.5))
    )
    assert [int((s.x == 3).sum()) for s in shots] == [5, 4, 3, 2, 1, 0]
    assert torch.equal(shots[-1].x[:, :5], x[:, :5])


def test_threshold_of_zero_is_one_forward():
    process = Masked(vocabulary=3)
    *_, last = Sampler(steps=10, update=Ordered(select=Threshold(threshold=0.0))).run(
        Joint(process), process, shape=(3,), step=steps(5)
    )
    assert last.forwards == 5


def test_greedy_confident_decoding_follows_the_best_conditionals():
    process = Masked(vocabulary=3, schedule=Linear())
    joint = Joint(process)
    update = Ordered(proposal=Greedy(), orders=(Confidence(),))
    x = Sampler(steps=3, update=update).sample(joint, process, shape=(3,), step=steps(2))
    state = torch.full((1, 3), 3)
    for _ in range(3):
        p = joint(state, torch.zeros(1)).pred.exp()
        p[state < 3] = -1
        place, symbol = divmod(int(p.flatten().argmax()), 3)
        state[0, place] = symbol
    assert torch.equal(x, state.expand(2, 3))


def test_continuous_states_are_refused():
    with pytest.raises(FrisketError, match="solver"):
        Sampler(steps=2, update=Ancestral()).sample(GaussianDenoiser(Gaussian()), Gaussian(), shape=(2,), step=steps(2))


def test_config_round_trip():
    update = Ordered(proposal=Gumbel(temperature=0.7), orders=(Confidence(), Random(scale=4.5, anneal=1.0)))
    assert from_config(to_config(update)) == update


@pytest.mark.parametrize("update", [Ancestral(), Ordered(orders=(Random(),))])
def test_ids_that_are_predicted_together_are_drawn_together(update):
    """Symbols 0 and 8 of nine in two digits of base 3: revealed in one move, (0, 2) and (2, 0) never come."""
    process = Masked(vocabulary=3, schedule=Linear(), emission=JointDigits(symbols=9))
    logits = torch.full((9,), -80.0)
    logits[[0, 8]] = torch.tensor([0.3, 0.7]).log()

    def model(x, t, cond=None):
        return Output(logits.expand(*x.shape[:2], 9))

    for moves in (1, 3):
        sampler = Sampler(steps=moves, update=update)
        out = sampler.sample(model, process, shape=(2, 2), step=steps(N // 8)).flatten(0, 1)
        assert ((out == 0).all(1) | (out == 2).all(1)).all()
        assert float((out[:, 0] == 2).double().mean()) == pytest.approx(0.7, abs=0.04)
