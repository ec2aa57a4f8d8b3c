import math
from pathlib import Path as File

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from frisket.core import FrisketError, Output, Step, from_config, names, override, to_config
from frisket.processes import Known, Masked
from frisket.processes.emissions import Categorical
from frisket.processes.hidden_weights import Everywhere, Plain
from frisket.processes.masked import bits_per_element
from frisket.processes.schedules import Linear

GOLDEN = {
    k: torch.from_numpy(v)
    for k, v in np.load(File(__file__).parents[1] / "golden" / "mdlm.npz", allow_pickle=False).items()
}
K = 7
PROCESS = Masked(vocabulary=K)
GEN = torch.Generator().manual_seed(0)
IDS = torch.randint(0, K, (4, 9), generator=GEN)
LOGITS = torch.randn(4, 9, K, generator=GEN)
T = torch.tensor([0.2, 0.5, 0.8, 1.0])
STEP = Step(seed=3, sample=torch.arange(4))


def test_official_corruption_form_and_loss():
    c = PROCESS.corrupt(GOLDEN["ids"], GOLDEN["t"], GOLDEN["uniform"])
    assert torch.equal(c.x_t, GOLDEN["x_t"])
    estimate = PROCESS.estimate(Output(GOLDEN["logits"]), c.x_t, GOLDEN["t"])
    assert torch.allclose(estimate.logits, GOLDEN["subs"][..., :K], atol=1e-5)
    loss = PROCESS.loss(Output(GOLDEN["logits"]), c)["denoise"]
    assert torch.allclose(loss, GOLDEN["loss"].mean(1), rtol=1e-4)


def test_estimate_is_a_distribution_that_copies_what_is_visible():
    c = PROCESS.corrupt(IDS, T, PROCESS.noise((9,), STEP))
    p = PROCESS.estimate(Output(LOGITS), c.x_t, T).logits.exp()
    assert torch.allclose(p.sum(-1), torch.ones(4, 9), atol=1e-5)
    assert torch.equal(p.argmax(-1)[~c.hidden], IDS[~c.hidden])
    assert ((p == 1).any(-1) == ~c.hidden).all()


def test_a_further_logit_for_the_mask_changes_nothing():
    c = PROCESS.corrupt(IDS, T, PROCESS.noise((9,), STEP))
    more = Output(torch.cat([LOGITS, torch.full((4, 9, 1), 50.0)], -1))
    assert torch.equal(PROCESS.loss(more, c)["denoise"], PROCESS.loss(Output(LOGITS), c)["denoise"])
    assert torch.equal(PROCESS.estimate(more, c.x_t, T).logits, PROCESS.estimate(Output(LOGITS), c.x_t, T).logits)


@pytest.mark.parametrize("name", names("schedule"))
@settings(max_examples=10, deadline=None)
@given(a=st.floats(0.01, 0.98), b=st.floats(0.01, 0.98))
def test_renoise_has_the_share_of_the_later_time(name, a, b):
    process = override(PROCESS, "schedule", name)
    t, s = (torch.tensor([v], dtype=torch.float64) for v in sorted((a, b)))
    lattice = ((torch.arange(500, dtype=torch.float64) + 0.5) / 500).expand(1, 500)
    visible = torch.zeros(1, 500, dtype=torch.long)
    more = (process.renoise(visible, t, s, lattice) == K).double().mean()
    now, later = process.schedule.hidden(t), process.schedule.hidden(s)
    assert float(now + (1 - now) * more) == pytest.approx(float(later), abs=2e-3)
    # the reverse step undoes it: hidden at t, and visible at s with the complementary chance
    back = later * (1 - process.reveal_chance(s, t))
    assert torch.allclose(back, now, atol=1e-9)


def test_hidden_stays_hidden_when_renoised():
    x = torch.tensor([[K, 1, K, 2]])
    out = PROCESS.renoise(x, torch.tensor([0.4]), torch.tensor([0.4]), torch.rand(1, 4, generator=GEN))
    assert torch.equal(out, x)


def test_noise_never_reaches_one_so_all_is_hidden_at_the_end():
    step = Step(seed=0, sample=torch.arange(64))
    noise = PROCESS.noise((512,), step)
    assert noise.max() < 1
    assert noise.dtype == torch.float32
    ids = torch.zeros(64, 512, dtype=torch.long)
    assert Masked(vocabulary=2, schedule=Linear()).corrupt(ids, torch.ones(64), noise).hidden.all()
    share = PROCESS.corrupt(ids, torch.full((64,), 0.3), noise).hidden.float().mean()
    assert float(share) == pytest.approx(0.3 * 0.999, abs=0.01)


def test_known_is_visible_and_not_counted():
    known = Known(values=IDS, where=torch.arange(9).expand(4, 9) < 4)
    c = PROCESS.corrupt(IDS, T, torch.zeros(4, 9), known)
    assert torch.equal(c.hidden, ~known.where)
    uniform = Output(torch.zeros(4, 9, K))
    wanted = math.log(K) / T  # all that counts is hidden
    assert torch.allclose(PROCESS.loss(uniform, c)["denoise"], wanted, rtol=1e-5)


def test_valid_is_out_of_both_halves_of_the_fraction():
    valid = torch.arange(9).expand(4, 9) < 6
    ids = IDS.where(valid, torch.tensor(-100))
    c = PROCESS.corrupt(ids, T, torch.zeros(4, 9))
    loss = PROCESS.loss(Output(torch.zeros(4, 9, K)), c, valid)["denoise"]
    assert torch.allclose(loss, math.log(K) / T, rtol=1e-5)


def test_a_perfect_prediction_has_no_loss_and_weights_are_slots():
    c = PROCESS.corrupt(IDS, T, PROCESS.noise((9,), STEP))
    exact = Output(torch.nn.functional.one_hot(IDS, K) * 100.0)
    assert PROCESS.loss(exact, c)["denoise"].abs().max() < 1e-6
    plain = override(PROCESS, "weight", "none").loss(Output(LOGITS), c)["denoise"]
    assert torch.allclose(PROCESS.loss(Output(LOGITS), c)["denoise"], plain / T, rtol=1e-5)


@pytest.mark.parametrize("draws", [1, 3, 16])
def test_nelbo_of_a_uniform_model_is_exact(draws):
    uniform = PROCESS.nelbo(lambda x, t: Output(torch.zeros(*x.shape, K)), IDS, STEP, draws)
    assert torch.allclose(uniform, torch.full((4,), 9 * math.log(K), dtype=torch.float64))
    assert torch.allclose(bits_per_element(uniform, 9), torch.full((4,), math.log2(K), dtype=torch.float64))


def test_nelbo_counts_only_what_is_open_and_times_match_the_hidden_share():
    known = Known(values=IDS, where=torch.arange(9).expand(4, 9) < 4)
    valid = torch.arange(9).expand(4, 9) < 8
    shares = []

    def predict(x, t):
        assert torch.equal(x[:, :4], IDS[:, :4])
        hidden = x == K
        assert not hidden[:, 8].any()
        shares.append((hidden.sum(1) / 4 - PROCESS.schedule.hidden(t)).abs().max())
        return Output(torch.zeros(*x.shape, K))

    nats = PROCESS.nelbo(predict, IDS, STEP, 4, known, valid)
    assert torch.allclose(nats, torch.full((4,), 4 * math.log(K), dtype=torch.float64))
    assert max(shares) < 2e-3  # the schedule stops at 0.999


def test_nelbo_of_the_true_conditionals_is_the_entropy():
    """A dependent pair: -log p(x) for every x in expectation, so the entropy over the data."""
    joint = torch.tensor([[0.4, 0.05, 0.05], [0.02, 0.2, 0.08], [0.1, 0.0999, 0.0001]], dtype=torch.float64)
    log_rows = [(joint.sum(1)).log(), (joint.sum(0)).log()]
    x = torch.cartesian_prod(torch.arange(3), torch.arange(3))
    reps = 400
    ids = x.repeat(reps, 1)

    def perfect(x_t, t):
        out = torch.stack([log_rows[0].expand(len(x_t), 3), log_rows[1].expand(len(x_t), 3)], 1).clone()
        a, b = x_t[:, 0], x_t[:, 1]
        out[b < 3, 0] = (joint / joint.sum(0)).T.log()[b[b < 3]]
        out[a < 3, 1] = (joint / joint.sum(1, keepdim=True)).log()[a[a < 3]]
        return Output(out)

    step = Step(seed=5, sample=torch.arange(len(ids)))
    nats = Masked(vocabulary=3).nelbo(perfect, ids, step, 2).reshape(reps, 9)
    per_x, error = nats.mean(0), nats.std(0) / reps**0.5
    wanted = -joint.flatten().log()
    assert ((per_x - wanted).abs() < 4 * error + 1e-9).all()
    entropy = (joint.flatten() * wanted).sum()
    assert float((joint.flatten() * per_x).sum()) == pytest.approx(float(entropy), abs=0.05)


def test_nelbo_does_not_depend_on_the_batch():
    def predict(x, t):
        return Output(torch.randn(K, generator=torch.Generator().manual_seed(1)).expand(*x.shape, K))

    whole = PROCESS.nelbo(predict, IDS, STEP, 4)
    part = PROCESS.nelbo(predict, IDS[1:3], STEP.rows(torch.tensor([1, 2])), 4)
    assert torch.equal(whole[1:3], part)


def test_grids_of_any_rank():
    ids = torch.randint(0, K, (2, 3, 4), generator=GEN)
    c = PROCESS.corrupt(ids, torch.tensor([0.5, 0.9]), torch.rand(2, 3, 4, generator=GEN))
    assert PROCESS.loss(Output(torch.zeros(2, 3, 4, K)), c)["denoise"].shape == (2,)
    each = torch.full((2, 3, 4), 0.5)
    assert torch.equal(PROCESS.corrupt(ids, each, c.noise).x_t[0], c.x_t[0])
    assert (PROCESS.prior(torch.zeros(2, 3, 4)) == K).all()


def test_configs_and_errors():
    assert from_config(to_config(PROCESS)) == PROCESS
    assert Masked().fit(K) == PROCESS
    assert PROCESS.outputs(1) == K
    assert float(PROCESS.times(torch.zeros(1))) == 1e-3
    with pytest.raises(FrisketError, match=r"process\.vocabulary"):
        Masked().corrupt(IDS, T, torch.zeros(4, 9))
    with pytest.raises(FrisketError, match="logits of shape"):
        PROCESS.estimate(Output(torch.zeros(4, 9, K + 2)), IDS, T)
    with pytest.raises(FrisketError, match=r"x0\.dtype"):
        PROCESS.corrupt(IDS.float(), T, torch.zeros(4, 9))
    with pytest.raises(FrisketError, match="draws"):
        PROCESS.nelbo(lambda x, t: Output(LOGITS), IDS, STEP, 0)


def test_everywhere_scores_what_is_visible_and_smoothing_asks_for_all_symbols():
    process = Masked(vocabulary=K, weight=Everywhere(), emission=Categorical(smoothing=0.1))
    c = process.corrupt(IDS, T, process.noise((9,), STEP))
    wanted = torch.nn.functional.cross_entropy(LOGITS.movedim(-1, 1), IDS, label_smoothing=0.1, reduction="none").mean(
        1
    )
    assert torch.allclose(process.loss(Output(LOGITS), c)["denoise"], wanted, atol=1e-5)
    hidden = Masked(vocabulary=K, weight=Plain(), emission=Categorical(smoothing=0.1)).loss(Output(LOGITS), c)[
        "denoise"
    ]
    assert bool((hidden < wanted)[:3].all()), "visible elements count too"
    with pytest.raises(FrisketError, match="smoothing"):
        Categorical(smoothing=1.0)
