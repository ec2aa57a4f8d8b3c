import math

import pytest
import torch
from sampling_fakes import Joint
from torch import nn

from frisket.codecs.digits import Digits
from frisket.codecs.text import Ids as IdsCodec
from frisket.core import FrisketError
from frisket.data.base import Info
from frisket.data.digits import Digits as DigitImages
from frisket.data.text import Text
from frisket.evaluation.scores.written import Written, check_blind, judged_bits, parallel_bits, write
from frisket.processes.emissions import JointDigits
from frisket.processes.masked import Masked
from frisket.processes.schedules import Linear
from frisket.sampling.decoding.decoder import Ancestral, Ordered
from frisket.sampling.decoding.dilated import Dilated, Tied
from frisket.sampling.decoding.orders import Confidence, Entropy, Raster
from frisket.sampling.decoding.proposals import Greedy
from frisket.sampling.decoding.selects import Threshold
from frisket.sampling.pipeline import Pipeline
from frisket.sampling.sampler import Sampler

PROCESS = Masked(vocabulary=3, schedule=Linear())


class Exact(nn.Module):
    """The conditionals of a joint distribution of three ids, as a module."""

    def __init__(self):
        super().__init__()
        self.joint = Joint(PROCESS)

    def forward(self, x, t, cond=None):
        return self.joint(x, t, cond)


def pipeline(update, moves):
    info = Info(kind="ids", shape=(3,), extra={"vocabulary": 3})
    return Pipeline(Exact(), PROCESS, IdsCodec(vocabulary=3), Sampler(steps=moves, update=update), info)


def test_one_place_at_a_time_costs_nothing():
    one = pipeline(Ordered(orders=(Entropy(),)), 3)
    made = write(one, 20, 0)
    assert parallel_bits(one, made) == pytest.approx(0.0, abs=1e-5)
    assert made.forwards == 60
    assert sorted(made.move.unique().tolist()) == [0, 1, 2]


def test_all_at_once_costs_the_total_correlation():
    one = pipeline(Ordered(orders=(Raster(block=3),), select=Tied()), 1)
    joint = one.model.joint
    made = write(one, 4000, 0)
    assert made.forwards == 4000
    p = torch.stack([joint.p[joint.states[:, i] == v].sum() for i in range(3) for v in range(3)]).reshape(3, 3)
    independent = p[torch.arange(3), joint.states].prod(1)
    wanted = float((independent * (independent / joint.p).log2()).sum()) / 3
    first = write(one, 64, 0)
    state = joint.index(first.state)
    here = float((independent.log2() - joint.p.log2())[state].mean()) / 3
    assert parallel_bits(one, made) == pytest.approx(here, abs=1e-5)
    everything = float((independent.log2() - joint.p.log2())[joint.index(made.state)].mean()) / 3
    assert everything == pytest.approx(wanted, abs=0.05)


def test_what_was_drawn_with_which_chance_in_which_move():
    one = pipeline(Ordered(orders=(Dilated(block=3),), select=Tied()), 2)
    made = write(one, 5, 0)
    levels = Dilated(block=3).levels(3)
    for number, level in enumerate(levels):
        assert bool((made.move[:, list(level)] == number).all())
    joint = one.model.joint
    place = levels[0][0]
    chance = torch.stack([joint.p[joint.states[:, place] == v].sum() for v in range(3)])
    torch.testing.assert_close((-made.nats[:, place]).exp(), chance[made.state[:, place]], rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize(
    "update",
    [Ordered(orders=(Confidence(),)), Ordered(select=Threshold()), Ordered(proposal=Greedy(), orders=(Entropy(),))],
)
def test_decoders_that_look_at_the_draw_are_refused(update):
    with pytest.raises(FrisketError, match="without looking at the draw"):
        check_blind(pipeline(update, 3))


def test_exact_decoders_are_taken():
    check_blind(pipeline(Ancestral(), 3))


def test_the_judge_prefers_the_language_it_read():
    data = Text(length=64)
    real = judged_bits(data, data.open("test").batch(torch.arange(20))["x"])
    assert 1.0 < real < 4.0
    assert judged_bits(data, ["".join(chr(97 + (7 * i * i + i) % 26) for i in range(64))]) > real + 1
    with pytest.raises(FrisketError, match="no running text"):
        judged_bits(DigitImages(), ["a"])


def test_the_score_of_a_text_model(mdlm_run):
    from frisket.experiments.system import load

    one = load(mdlm_run)
    one.sampler = Sampler(steps=6, update=Ordered(orders=(Dilated(block=64),), select=Tied()))
    numbers = Written().take(one, Text(length=64), 2, 0)
    assert numbers["forwards"] == math.log2(one.spec.shape[0])
    assert numbers["judged_bits"] > 2
    assert math.isfinite(numbers["parallel_bits"])


def test_ids_that_are_drawn_together_are_refused():
    codec = Digits(inner=IdsCodec(vocabulary=3), count=2, vocabulary=3)
    process = Masked(schedule=Linear(), emission=JointDigits()).fit(2, 3)
    info = Info(kind="ids", shape=(3,), extra={"vocabulary": 3})
    with pytest.raises(FrisketError, match="one by one"):
        check_blind(Pipeline(Exact(), process, codec, Sampler(update=Ancestral()), info))
