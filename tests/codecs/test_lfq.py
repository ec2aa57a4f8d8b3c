"""A codec of signs: ids and bits, groups and wholes, entropies against the table of all codes."""

from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from frisket.codecs.lfq import LFQ, combine_ids, entropies, quantise, split_ids
from frisket.core import FrisketError, from_config, to_config
from frisket.data.base import Info

GOLDEN = Path(__file__).parent.parent / "golden" / "maskbit_forward.npz"
SMALL = LFQ(channels=1, bits=6, splits=2, width=8, groups=4)
INFO = Info(kind="image", shape=(1, 8, 8))


@pytest.fixture(scope="module")
def held():
    with np.load(GOLDEN, allow_pickle=False) as file:
        return {k: torch.from_numpy(file[k]) for k in file.files}


@settings(max_examples=40, deadline=None)
@given(width=st.integers(1, 7), splits=st.integers(1, 3), seed=st.integers(0, 99))
def test_splitting_and_combining_are_inverse(width, splits, seed):
    bits = width * splits
    whole = torch.randint(0, 2**bits, (3, 4), generator=torch.Generator().manual_seed(seed))
    groups = split_ids(whole, bits, splits)
    assert groups.shape == (3, 4, splits)
    assert int(groups.max()) < 2**width
    assert torch.equal(combine_ids(groups, bits), whole)


def test_ids_and_signs_are_inverse_and_a_state_decodes_to_an_image():
    codec, x = SMALL.build(), torch.rand(2, 1, 8, 8)
    ids = codec.encode(x)
    spec = codec.spec(INFO)
    assert ids.shape == (2, *spec.shape) == (2, 4, 4, 2)
    assert spec.vocabulary == 8
    assert torch.equal(codec.ids(codec.signs(ids)), ids)
    assert torch.equal(codec.signs(ids), quantise(codec.features(x)))
    assert codec.decode(ids).shape == x.shape


def test_the_gradient_passes_the_sign_unchanged_and_signs_are_their_own_signs():
    z = torch.randn(2, 3, 4, 4, requires_grad=True)
    weight = torch.randn(2, 3, 4, 4)
    (quantise(z) * weight).sum().backward()
    assert torch.equal(z.grad, weight)
    signs = quantise(z.detach())
    assert torch.equal(quantise(signs), signs)
    assert bool((signs.abs() == 1).all())
    assert bool((quantise(torch.zeros(1, 1, 1, 1)) == -1).all())


def test_entropies_are_those_of_the_softmax_over_all_codes():
    z, bits = 0.3 * torch.randn(2, 4, 3, 3), 4
    codes = (torch.arange(2**bits)[:, None] >> torch.arange(bits) & 1).float() * 2 - 1
    p = (2 * z.movedim(1, -1).flatten(0, 2) @ codes.T / 0.5).softmax(-1)
    each, mean = entropies(z, 0.5)
    torch.testing.assert_close(each, -(p * p.log()).sum(-1).mean(), rtol=1e-3, atol=1e-4)
    torch.testing.assert_close(mean, -(p.mean(0) * p.mean(0).log()).sum(), rtol=1e-3, atol=1e-4)


def test_official_quantiser(held):
    z = held["z"]
    each, mean = entropies(z, 0.01)
    torch.testing.assert_close(each, held["sample_entropy"], rtol=2e-3, atol=1e-4)
    torch.testing.assert_close(mean, held["mean_entropy"], rtol=1e-5, atol=1e-5)
    ids = LFQ(bits=5, splits=1).build().ids(z)[..., 0]
    assert torch.equal(ids, held["ids"].long())
    torch.testing.assert_close(0.25 * (z - quantise(z)).square().mean(), held["commit"])


def test_config_round_trip_and_what_does_not_fit():
    assert from_config(to_config(SMALL), LFQ, "codec") == SMALL
    for bad in ({"bits": 0}, {"splits": 4}, {"groups": 3}, {"multipliers": ()}):
        with pytest.raises(FrisketError, match="codec"):
            LFQ(**{"bits": 6, "splits": 2, "width": 8, "groups": 4} | bad)
    with pytest.raises(FrisketError, match="ids"):
        SMALL.build().decode(torch.full((1, 4, 4, 2), 8))
    with pytest.raises(FrisketError, match="image shape"):
        SMALL.build().encode(torch.rand(1, 1, 7, 8))
