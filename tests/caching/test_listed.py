"""Listed steps: the encoder runs where the list says, and a list is for runs of its length."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise

import pytest
import torch
from caching_fakes import LABEL, forward, states, tiny
from hypothesis import given, settings
from hypothesis import strategies as st

from frisket.caching.intervals import Interval
from frisket.caching.listed import Listed, even
from frisket.core import FrisketError
from frisket.models.block import Block, repeat
from frisket.models.encoders import TokenEncoder
from frisket.testing import check_cache, check_config
from frisket.testing.backbones import stir


def encoded(depth: int = 3):
    config = replace(tiny(1).config, encoder=TokenEncoder(blocks=repeat(Block(), depth)), doors=(LABEL,))
    model = config.build().eval()
    stir(model, 0.3)
    return model


def run(model, cache, xs, **step):
    with cache.install(model) as report:
        return [forward(model, x, 1 - i / len(xs), i, len(xs), **step) for i, x in enumerate(xs)], report


@settings(max_examples=50, deadline=None)
@given(total=st.integers(1, 300), data=st.data())
def test_even_lists_begin_at_the_start_and_have_almost_equal_gaps(total, data):
    count = data.draw(st.integers(1, total))
    steps = (*even(total, count).steps, total)
    gaps = {b - a for a, b in pairwise(steps)}
    assert len(steps) == count + 1
    assert steps[0] == 0
    assert max(gaps) - min(gaps) <= 1


def test_every_fifth_step_of_250_is_the_published_even_list():
    assert even(250, 50).steps == tuple(range(0, 250, 5))


def test_every_step_listed_is_the_dense_run_bit_for_bit():
    model, xs = encoded(), states(4)
    outs, report = run(model, even(4, 4), xs)
    for i, (x, out) in enumerate(zip(xs, outs, strict=True)):
        assert torch.equal(out, forward(model, x, 1 - i / 4, i, 4))
    assert report.share == 1.0


def test_between_listed_steps_the_encoding_is_the_last_one():
    model, xs = encoded(), states(5)
    calls = []
    hook = model.encoder.register_forward_hook(lambda *_: calls.append(1))
    outs, report = run(model, Listed(steps=(0, 2), total=5), xs)
    hook.remove()
    assert len(calls) == 2
    assert [f.full for f in report.forwards] == [True, False, True, False, False]
    assert 0 < report.share < 1
    assert torch.equal(outs[2], forward(model, xs[2], 1 - 2 / 5, 2, 5))
    assert not torch.allclose(outs[3], forward(model, xs[3], 1 - 3 / 5, 3, 5))
    assert not torch.allclose(outs[3], outs[4]), "the decoder still reads the state"


def test_another_run_and_other_samples_begin_anew():
    model, xs = encoded(), states(4)
    with even(2, 1).install(model):
        first = [forward(model, x, 0.5, i, 2) for i, x in enumerate(xs[:2])]
        again = [forward(model, x, 0.5, i, 2, run="other") for i, x in enumerate(xs[2:])]
        others = [forward(model, x, 0.5, i, 2, sample=torch.tensor([7, 8])) for i, x in enumerate(xs[2:])]
    assert torch.equal(again[0], forward(model, xs[2], 0.5, 0, 2))
    assert torch.equal(again[1], others[1])
    assert not torch.allclose(first[1], again[1])


def test_it_keeps_a_caches_promises():
    model, xs = encoded(), states(4)

    def plain(one):
        return [forward(one, x, 1 - i / 4, i, 4) for i, x in enumerate(xs)]

    check_config(even(8, 3))
    check_cache(even(4, 2), model, plain)
    check_cache(even(4, 4), model, plain, dense=True)
    check_cache(even(4, 3, ("attn",)), model, plain)


def test_the_encoder_is_a_site_of_other_caches_too_but_alone():
    model, xs = encoded(), states(4)
    outs, report = run(model, Interval(every=2, sites=("encoder",)), xs)
    assert report.share < 1
    assert len(outs) == 4
    with pytest.raises(FrisketError, match="alone"):
        Interval(sites=("encoder", "attn")).mount(model)
    with pytest.raises(FrisketError, match="encoder"):
        even(2, 1).mount(tiny())


@pytest.mark.parametrize("bad", [{"steps": ()}, {"steps": (1,)}, {"steps": (0, 2, 2)}, {"steps": (0, 4)}])
def test_lists_that_make_no_sense_are_refused(bad):
    with pytest.raises(FrisketError, match=r"cache\.steps"):
        Listed(**{"total": 4, **bad})


def test_a_run_of_another_length_computes_at_the_same_shares():
    cache = Listed(steps=(0, 10, 40), total=50)
    assert cache.steps_of(50) == cache.steps_of(0) == (0, 10, 40)
    assert cache.steps_of(10) == (0, 2, 8)
    assert cache.steps_of(3) == (0, 2)
    assert cache.steps_of(1) == (0,)
    _, report = run(encoded(), Listed(steps=(0, 4), total=8), states(4))
    assert [f.full for f in report.forwards] == [True, False, True, False]


def test_more_steps_than_there_are_cannot_be_listed():
    with pytest.raises(FrisketError, match="count"):
        even(4, 5)
