import pytest
import torch
from torch import nn

from frisket.codecs.digits import Digits
from frisket.codecs.text import Characters
from frisket.core import Output
from frisket.core.registry import lookup
from frisket.data.text import Text
from frisket.evaluation.scores.idle import Idle
from frisket.evaluation.scores.written import judged_bits
from frisket.processes.emissions import JointDigits
from frisket.processes.masked import Masked
from frisket.processes.schedules import Linear
from frisket.sampling.decoding.decoder import Ancestral
from frisket.sampling.pipeline import Pipeline
from frisket.sampling.sampler import Sampler
from frisket.testing import check_config

TEXT = Text(length=4)


class Uniform(nn.Module):
    def __init__(self, logits):
        super().__init__()
        self.logits = logits

    def forward(self, x, t, cond=None):
        places = x.shape[: 1 + 1]
        return Output(torch.zeros(*places, self.logits))


def pipeline(count, moves):
    source = TEXT.open("train")
    codec = Characters().fit(source) if count == 1 else Digits(inner=Characters(), count=count).fit(source)
    spec = codec.build().spec(source.info)
    emission = {} if count == 1 else {"emission": JointDigits()}
    process = Masked(schedule=Linear(), **emission).fit(spec.vocabulary, spec.symbols)
    model = Uniform(process.outputs(spec.vocabulary))
    return Pipeline(model, process, codec, Sampler(steps=moves, update=Ancestral()), source.info)


def test_it_is_found_by_its_measures():
    check_config(Idle())
    assert lookup("score/idle").gives == ("idle", "sample_bits")


@pytest.mark.parametrize("count", [1, 2])
def test_the_share_of_moves_that_reveal_nothing(count):
    """Each of 4 x count hidden ids falls into one of 8 equal moves; a move is idle if none does."""
    chosen = pipeline(count, 8)
    found = Idle().take(chosen, TEXT, 400, 0)
    assert found["idle"] == pytest.approx((1 - 1 / 8) ** (4 * count), abs=0.02)
    assert found["sample_bits"] == pytest.approx(judged_bits(TEXT, chosen.sample(400, seed=0)))
