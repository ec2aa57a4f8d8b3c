import math

import pytest
import torch
from torch import nn

from frisket.codecs.digits import Digits
from frisket.codecs.text import Characters
from frisket.core import FrisketError, Output
from frisket.data.base import Info
from frisket.data.text import Text
from frisket.evaluation.likelihood import likelihood
from frisket.processes.emissions import JointDigits
from frisket.processes.gaussian import Gaussian
from frisket.processes.masked import Masked
from frisket.processes.schedules import Linear

K, LENGTH = 4, 6
PROBABILITIES = torch.tensor([0.5, 0.25, 0.125, 0.125])


class Ids:
    def encode(self, x, draw=None):
        return x


class Symbols:
    """Independent symbols of known frequencies, exactly balanced over every eight items."""

    info = Info(kind="ids", shape=(LENGTH,), size=64)

    def batch(self, ids):
        cycle = torch.tensor([0, 1, 0, 2, 0, 1, 0, 3])
        return {"x": cycle[(ids[:, None] + torch.arange(LENGTH)) % 8], "id": ids}


class Fixed(nn.Module):
    """The same distribution at every place."""

    def __init__(self, probabilities):
        super().__init__()
        self.logits = probabilities.log()

    def forward(self, x, t, cond=None):
        return Output(self.logits.expand(*x.shape, K))


def test_of_the_true_frequencies_is_their_entropy():
    entropy = -(PROBABILITIES * PROBABILITIES.log2()).sum().item()  # 1.75 bits
    found = likelihood(Fixed(PROBABILITIES), Masked(vocabulary=K), Ids(), Symbols(), n=64, draws=32, train=Symbols())
    assert found["bits"]["value"] == pytest.approx(entropy, rel=0.03)
    assert found["perplexity"]["value"] == pytest.approx(2 ** found["bits"]["value"])
    assert found["nats"]["value"] == pytest.approx(found["bits"]["value"] * LENGTH * math.log(2))
    assert found["bits"]["floor"] == pytest.approx(entropy, rel=0.02)  # nothing to learn beyond frequencies
    assert found["perplexity"]["floor"] == pytest.approx(2**entropy, rel=0.02)
    assert found["bits"]["low"] <= found["bits"]["value"] <= found["bits"]["high"]


def test_of_the_uniform_guess_is_the_vocabulary_exactly():
    found = likelihood(Fixed(torch.full((K,), 1 / K)), Masked(vocabulary=K), Ids(), Symbols(), n=16, draws=LENGTH)
    assert found["perplexity"]["value"] == pytest.approx(K, rel=1e-5)
    assert found["bits"]["value"] == pytest.approx(2.0, rel=1e-5)
    assert found["bits"]["floor"] is None


def test_elements_may_count_as_fewer_dimensions():
    found = likelihood(Fixed(PROBABILITIES), Masked(vocabulary=K), Ids(), Symbols(), n=8, draws=4)
    halved = likelihood(
        Fixed(PROBABILITIES), Masked(vocabulary=K), Ids(), Symbols(), n=8, draws=4, elements=LENGTH // 2
    )
    assert halved["bits"]["value"] == pytest.approx(2 * found["bits"]["value"])
    assert halved["nats"]["value"] == pytest.approx(found["nats"]["value"])


def test_batches_change_nothing():
    options = {"n": 10, "draws": 4}
    one = likelihood(Fixed(PROBABILITIES), Masked(vocabulary=K), Ids(), Symbols(), batch=10, **options)
    many = likelihood(Fixed(PROBABILITIES), Masked(vocabulary=K), Ids(), Symbols(), batch=3, **options)
    assert one["nats"]["value"] == pytest.approx(many["nats"]["value"], rel=1e-9)


def test_a_process_without_a_bound_is_refused():
    with pytest.raises(FrisketError, match="nelbo"):
        likelihood(Fixed(PROBABILITIES), Gaussian(), Ids(), Symbols(), n=4)


class Guess(nn.Module):
    """Knows nothing of any character."""

    def __init__(self, logits):
        super().__init__()
        self.logits = logits

    def forward(self, x, t, cond=None):
        return Output(torch.zeros(*x.shape[:2], self.logits))


def test_digits_of_a_symbol_count_as_one_and_the_floor_is_of_symbols():
    """The same text with characters whole or in digits, uniform guesses: equal bits a character, equal floors."""
    data = Text(length=4)
    source, found = data.open("train"), []
    for codec in (Characters().fit(source), Digits(inner=Characters(), count=2).fit(source)):
        spec = codec.build().spec(source.info)
        emission = {} if spec.symbols is None else {"emission": JointDigits()}
        process = Masked(schedule=Linear(), **emission).fit(spec.vocabulary, spec.symbols)

        test, guess = data.open("test"), Guess(process.outputs(spec.vocabulary))
        found.append(likelihood(guess, process, codec.build(), test, n=32, draws=32, train=source))
    whole, digits = found
    assert whole["elements"] == digits["elements"] == 4
    assert whole["bits"]["floor"] == pytest.approx(digits["bits"]["floor"])
    assert digits["bits"]["value"] == pytest.approx(whole["bits"]["value"], rel=0.02)
