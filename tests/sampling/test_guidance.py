import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from sampling_fakes import GaussianDenoiser, Joint, steps, tiny_pipeline

from frisket.core import Condition, FrisketError, Output, current_step, from_config, to_config
from frisket.processes.gaussian import Gaussian
from frisket.processes.known import Known
from frisket.processes.masked import Masked
from frisket.sampling.corrections import ImposeKnown
from frisket.sampling.decoding.decoder import Ordered
from frisket.sampling.guidance import Branch, Chosen, Guidance, Skip, autoguidance, cfg, path_drop
from frisket.sampling.sampler import Sampler
from frisket.sampling.scales import Constant, Interval
from frisket.sampling.solvers.euler import Euler


class Table:
    """Puts out the label in every channel (0 where dropped), the other condition times 10, and notes its calls."""

    def __init__(self, channels=None):
        self.calls, self.channels = [], channels

    def __call__(self, x, t, cond=None, keep=None):
        self.calls.append((len(x), current_step().branch, keep))
        value = torch.zeros(len(x), dtype=x.dtype)
        for name, weight in (("label", 1.0), ("image", 10.0)):
            if cond is not None and name in cond.values:
                value = value + weight * cond.values[name].to(x.dtype).masked_fill(cond.dropped(name), 0)
        shape = (len(x), self.channels or x.shape[1], *x.shape[2:])
        return Output(value.reshape(-1, 1, 1).expand(shape).clone() + x.mean())


def one_move(guidance, model, cond, others=None, x_shape=(4, 2), process=None, **inputs):
    """The guided velocity of the first move."""
    process = process or Gaussian()
    start, end = list(
        Sampler(steps=1, update=Euler(), guidance=guidance, corrections=(ImposeKnown(),)).run(
            model, process, shape=x_shape, step=steps(3), cond=cond, others=others, **inputs
        )
    )
    return start.x, start.x - end.x


LABEL = Condition.of(label=torch.tensor([1.0, 2.0, 3.0]), image=torch.tensor([1.0, 1.0, 1.0]))


@given(st.floats(-2, 8))
def test_cfg_is_the_published_combination(scale):
    _, plain = one_move(Guidance(), Table(), LABEL)
    _, null = one_move(Guidance(), Table(), LABEL.without())
    _, guided = one_move(cfg(scale), Table(), LABEL)
    torch.testing.assert_close(guided, null + scale * (plain - null), rtol=1e-4, atol=1e-4)


def test_several_conditions():
    """InstructPix2Pix: e(0, 0) + s_i (e(i, 0) - e(0, 0)) + s_t (e(i, t) - e(i, 0))."""
    s_i, s_t = 1.5, 4.0
    guidance = Guidance(
        others=(Branch(name="image", absent=("label",)), Branch(name="none", absent=("*",))),
        scales=(Constant(value=1 - (s_i - s_t)), Constant(value=1 - (1 - s_i))),
    )
    _, full = one_move(Guidance(), Table(), LABEL)
    _, image = one_move(Guidance(), Table(), LABEL.without("label"))
    _, none = one_move(Guidance(), Table(), LABEL.without())
    _, guided = one_move(guidance, Table(), LABEL)
    torch.testing.assert_close(guided, none + s_i * (image - none) + s_t * (full - image), rtol=1e-4, atol=1e-4)


def test_scale_one_is_the_plain_call_bit_for_bit():
    plain, guided = Table(), Table()
    _, a = one_move(Guidance(), plain, LABEL)
    _, b = one_move(cfg(1.0), guided, LABEL)
    assert torch.equal(a, b)
    assert guided.calls == plain.calls == [(3, "conditional", None)]


def test_branches_of_one_model_are_one_forward():
    model = Table()
    one_move(cfg(2.0), model, LABEL)
    assert model.calls == [(6, "conditional+null", None)]


def test_joint_forward_equals_separate_forwards_of_a_network():
    pipeline = tiny_pipeline()
    x = torch.randn(3, 1, 8, 8, generator=torch.Generator().manual_seed(0))
    cond = Condition.of(label=torch.tensor([0, 1, 2]))
    inputs = {"shape": (1, 8, 8), "step": steps(3), "cond": cond}
    with torch.no_grad():
        full, null = (pipeline.model(x, torch.ones(3), c).pred for c in (cond, cond.without()))
    *_, last = Sampler(steps=1, guidance=cfg(3.0)).run(pipeline.model, pipeline.process, **inputs, start=_start(x))
    torch.testing.assert_close(x - last.x, null + 3 * (full - null), rtol=1e-4, atol=1e-4)


def _start(x):
    from frisket.sampling.base import Start

    return Start(x=x, t=1.0)


def test_outside_the_interval_the_null_is_not_computed():
    process, model = Gaussian(), Table()
    guidance = cfg(Interval(inside=Constant(value=3.0), low=0.3, high=0.7))
    Sampler(steps=10, guidance=guidance).sample(model, process, shape=(4, 2), step=steps(3), cond=LABEL)
    assert [rows for rows, _, _ in model.calls] == [3, 3, 3, 6, 6, 6, 6, 3, 3, 3]


def test_autoguidance_pushes_away_from_the_weak_model():
    process = Gaussian()
    strong, weak = GaussianDenoiser(process, mean=2.0, std=0.0), GaussianDenoiser(process, mean=1.0, std=0.0)
    sampler = Sampler(steps=3, guidance=autoguidance(2.0))
    *_, last = sampler.run(strong, process, shape=(2,), step=steps(2), others={"weak": weak})
    torch.testing.assert_close(last.x, torch.full_like(last.x, 3.0))
    assert last.rows == {"": 6, "weak": 6}
    with pytest.raises(FrisketError, match="'weak'"):
        sampler.run(strong, process, shape=(2,), step=steps(2))


def test_channels():
    _, plain = one_move(Guidance(), Table(), LABEL)
    _, guided = one_move(cfg(4.0, channels=3), Table(), LABEL)
    _, whole = one_move(cfg(4.0), Table(), LABEL)
    assert torch.equal(guided[:, 3], plain[:, 3])
    assert torch.equal(guided[:, :3], whole[:, :3])
    assert not torch.allclose(guided[:, 0], plain[:, 0])


def test_a_learned_variance_is_never_guided():
    from frisket.processes.variances import LearnedRange

    process = Gaussian(variance=LearnedRange())
    shots = [
        list(Sampler(steps=1, guidance=g).run(Table(channels=8), process, shape=(4, 2), step=steps(3), cond=LABEL))[
            -1
        ].estimate
        for g in (Guidance(), cfg(3.0))
    ]
    assert torch.equal(shots[0].variance, shots[1].variance)
    assert not torch.allclose(shots[0].x0, shots[1].x0)


def test_channels_of_ids_are_refused():
    process = Masked(vocabulary=3)
    with pytest.raises(FrisketError, match="channels"):
        Sampler(steps=2, update=Ordered(), guidance=cfg(2.0, channels=3)).sample(
            Joint(process), process, shape=(3,), step=steps(2), cond=Condition.of(label=torch.zeros(2))
        )


def test_hidden_known_is_shown_as_noise_to_that_branch_alone():
    process, seen = Gaussian(), []

    class Looks(Table):
        def __call__(self, x, t, cond=None):
            seen.append(x.clone())
            return super().__call__(x, t, cond)

    where = torch.zeros(3, 4, 2, dtype=torch.bool)
    where[:, 0] = True
    known = Known(values=torch.full((3, 4, 2), 7.0), where=where)
    guidance = Guidance(others=(Branch(name="blind", hide_known=True),), scales=(Constant(value=2.0),))
    one_move(guidance, Looks(), None, process=process, known=known)
    full, blind = seen[0].chunk(2)
    assert bool((full[:, 0] == 7.0).all())
    assert bool((blind[:, 0] != 7.0).all())
    assert torch.equal(full[:, 1:], blind[:, 1:])
    with pytest.raises(FrisketError, match="nothing known"):
        one_move(guidance, Looks(), None)


def test_skipped_spans_are_a_forward_of_their_own():
    model = Table()
    guidance = Guidance(
        others=(Branch(name="path", keep=Skip(spans=("middle",))), Branch(absent=("*",))),
        scales=(Constant(value=2.0), Constant(value=2.0)),
    )
    one_move(guidance, model, LABEL)
    assert [(rows, branch) for rows, branch, _ in model.calls] == [(6, "conditional+null"), (3, "path")]
    assert model.calls[1][2]["middle"].shape == (3, 0)


def test_guided_ids_are_a_product_of_powers():
    process = Masked(vocabulary=2)

    def model(x, t, cond=None):
        odds = torch.where(cond.dropped("label"), 0.0, 1.0)
        logits = torch.stack([torch.zeros_like(odds), odds], -1)[:, None].expand(len(x), 1, 2)
        return Output(logits)

    cond = Condition.of(label=torch.zeros(20_000))
    x = Sampler(steps=1, update=Ordered(), guidance=cfg(2.0)).sample(
        model, process, shape=(1,), step=steps(20_000), cond=cond
    )
    assert float(x.double().mean()) == pytest.approx(float(torch.sigmoid(torch.tensor(2.0))), abs=0.01)


@pytest.mark.parametrize(
    ("guidance", "cond", "match"),
    [
        (cfg(2.0), None, "given none"),
        (cfg(2.0, absent=("lable",)), LABEL, "'lable'"),
    ],
)
def test_missing_conditions(guidance, cond, match):
    with pytest.raises(FrisketError, match=match):
        one_move(guidance, Table(), cond)


def test_configs():
    guidance = cfg(Interval(inside=Constant(value=3.0), low=0.3), channels=3)
    assert from_config(to_config(guidance)) == guidance
    with pytest.raises(FrisketError, match="one a branch"):
        Guidance(others=(Branch(),))
    with pytest.raises(FrisketError, match="different"):
        Guidance(others=(Branch(name="conditional"),), scales=(Constant(),))


def test_branches_choose_tokens_of_their_own_anew_at_every_call():
    from frisket.models.plans.choose import Uniform
    from frisket.models.tokens import Tags

    model = Table()
    model.tags = lambda x: Tags(n=8, extent=(8,))
    strong = Branch(name="strong", keep=Chosen(spans={"route": Uniform(drop=0.25)}))
    weak = Branch(name="weak", keep=Chosen(spans={"route": Uniform(drop=0.5)}))
    guidance = Guidance(main=strong, others=(weak,), scales=(Constant(value=2.0),))
    assert from_config(to_config(guidance)) == guidance
    list(Sampler(steps=2, guidance=guidance).run(model, Gaussian(), shape=(4, 2), step=steps(3), cond=LABEL))
    keeps = [(branch, keep["route"]) for _, branch, keep in model.calls]
    assert [(b, k.shape) for b, k in keeps] == [("strong", (3, 6)), ("weak", (3, 4))] * 2
    assert not torch.equal(keeps[0][1], keeps[2][1])
    assert not torch.equal(keeps[1][1], keeps[3][1])
    assert not torch.equal(keeps[0][1][:, :4], keeps[1][1])


def test_tokens_of_a_model_that_does_not_describe_them_cannot_be_chosen():
    from frisket.models.plans.choose import Uniform

    branch = Branch(keep=Chosen(spans={"route": Uniform()}))
    with pytest.raises(FrisketError, match="does not describe its tokens"):
        one_move(Guidance(main=branch), Table(), LABEL)


def test_path_drop_is_the_published_combination_and_its_branch_skips_the_span():
    model = Table()
    _, velocity = one_move(path_drop(3.0), model, LABEL)
    _, conditional = one_move(cfg(1.0), Table(), LABEL)
    _, guided = one_move(cfg(3.0), Table(), LABEL)
    torch.testing.assert_close(velocity, guided)
    assert not torch.allclose(velocity, conditional)
    assert [branch for _, branch, _ in model.calls] == ["conditional", "shallow"]
    assert model.calls[0][2] is None
    assert model.calls[1][2]["middle"].shape == (3, 0)
    plain = Table()
    _, unguided = one_move(path_drop(1.0), plain, LABEL)
    assert torch.equal(unguided, conditional)
    assert len(plain.calls) == 1
