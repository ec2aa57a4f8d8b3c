from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from frisket.core import random

WORD = (1 << 64) - 1
PUBLISHED = [  # SplitMix64 seeded with 1234567
    6457827717110365317, 3203168211198807973, 9817491932198370423, 4593380528125082431, 16408922859458223821,
]  # fmt: skip


def splitmix64(seed: int, n: int) -> list[int]:
    """The published algorithm in unsigned arithmetic."""
    out = []
    for _ in range(n):
        seed = (seed + 0x9E3779B97F4A7C15) & WORD
        z = seed
        z = ((z ^ (z >> 30)) * 0xBF58476D1CE4E5B9) & WORD
        z = ((z ^ (z >> 27)) * 0x94D049BB133111EB) & WORD
        out.append(z ^ (z >> 31))
    return out


def unsigned(words: torch.Tensor) -> list[int]:
    return [w & WORD for w in words.flatten().tolist()]


def keys_of(n: int, seed: int = 1) -> torch.Tensor:
    return random.key(seed, torch.arange(n))


def test_the_words_are_those_of_splitmix64():
    assert splitmix64(1234567, 5) == PUBLISHED
    assert unsigned(random.words(torch.tensor([1234567]), 5)) == PUBLISHED


@given(st.integers(-(2**63), 2**63 - 1), st.integers(1, 40))
def test_any_seed_gives_its_splitmix64_stream(seed, n):
    assert unsigned(random.words(torch.tensor([seed]), n)) == splitmix64(seed & WORD, n)


@given(st.integers(-(2**63), 2**63 - 1))
def test_mix_of_an_integer_is_mix_of_a_tensor(x):
    assert random.mix_int(x) == random.mix(torch.tensor(x)).item()


@given(st.integers(0, 2**62), st.integers(-(2**40), 2**40), st.lists(st.integers(-(2**63), 2**63 - 1), max_size=3))
def test_the_key_of_an_integer_row_is_that_of_a_tensor_row(seed, row, words):
    assert random.key_int(seed, row, *words) == random.key(seed, torch.tensor([row]), *words).item()


def test_keys_leave_their_rows_untouched():
    rows = torch.arange(5)
    random.key(1, rows, 2, 3)
    assert rows.tolist() == [0, 1, 2, 3, 4]


def test_text_hashes_are_stable_and_distinct():
    assert random.hash_text("noise") == 3964110132002447589  # the same in every process and release
    texts = [f"purpose {i}" for i in range(2000)]
    assert len({random.hash_text(t) for t in texts}) == len(texts)


@given(st.integers(1, 60), st.integers(1, 60))
def test_a_longer_draw_starts_with_the_shorter(n, m):
    n, m = sorted((n, m))
    for law in (random.words, random.uniform, random.normal):
        assert torch.equal(law(keys_of(3), m)[:, :n], law(keys_of(3), n))


def test_uniforms_stay_inside_the_open_interval_at_the_extreme_words(monkeypatch):
    extremes = torch.tensor([[0, -1, 1, -(2**63), 2**63 - 1]])
    monkeypatch.setattr(random, "words", lambda keys, n: extremes.clone())
    u = random.uniform(torch.zeros(1, dtype=torch.int64), 5)
    assert (u > 0).all()
    assert (u < 1).all()
    assert torch.isfinite(torch.special.ndtri(u)).all()


def test_normals_are_finite_at_the_extreme_words(monkeypatch):
    monkeypatch.setattr(random, "words", lambda keys, n: torch.tensor([[0, -1, 1, -(2**63), 2**63 - 1]]))
    z = random.normal(torch.zeros(1, dtype=torch.int64), 10)
    assert torch.isfinite(z).all()
    assert z.abs().max() < 6.7


def test_uniform_moments_and_histogram():
    u = random.uniform(keys_of(200), 1000).flatten()
    assert u.mean().item() == pytest.approx(0.5, abs=4 / math.sqrt(12 * len(u)))
    assert u.var().item() == pytest.approx(1 / 12, rel=0.01)
    counts = torch.histc(u, bins=64, min=0, max=1)
    expected = len(u) / 64
    assert ((counts - expected) ** 2 / expected).sum() < 120  # chi-square with 63 degrees, p about 1e-5


def test_normal_moments_and_tails():
    z = random.normal(keys_of(200), 1000).flatten()
    n = len(z)
    assert z.mean().abs() < 4 / math.sqrt(n)
    assert z.var().item() == pytest.approx(1, abs=4 * math.sqrt(2 / n))
    assert (z**3).mean().abs() < 4 * math.sqrt(15 / n)
    assert (z**4).mean().item() == pytest.approx(3, abs=4 * math.sqrt(96 / n))
    assert (z.abs() > 1.959964).double().mean().item() == pytest.approx(0.05, abs=4 * math.sqrt(0.0475 / n))


def test_the_two_numbers_of_a_word_are_uncorrelated():
    z = random.normal(keys_of(100), 2000).reshape(-1, 2)
    for a, b in ((z[:, 0], z[:, 1]), (z[:, 0] ** 2, z[:, 1] ** 2)):
        assert torch.corrcoef(torch.stack([a, b]))[0, 1].abs() < 4 / math.sqrt(len(z))


def test_streams_of_neighbouring_rows_seeds_and_words_are_uncorrelated():
    rows = torch.arange(8)
    streams = [random.key(seed, rows, index, purpose) for seed in (0, 1) for index in (0, 1) for purpose in (5, 6)]
    z = random.normal(torch.cat(streams), 4096)
    cross = torch.corrcoef(z) - torch.eye(len(z))
    assert cross.abs().max() < 5.5 / math.sqrt(4096)


@given(st.integers(1, 300), st.integers(-(2**63), 2**63 - 1))
def test_a_permutation_is_a_bijection_of_any_size(size, word):
    image = random.permutation_of(torch.arange(size), size, word)
    assert image.sort().values.tolist() == list(range(size))


def test_a_permutation_shuffles_and_depends_on_its_key():
    index = torch.arange(1000)
    one, other = (random.permutation_of(index, 1000, word) for word in (1, 2))
    assert (one == index).sum() < 10
    assert (one == other).sum() < 10
    assert torch.corrcoef(torch.stack([index, one]).double())[0, 1].abs() < 0.15


def test_a_permutation_is_known_at_any_position_of_a_huge_range():
    size = 10**12 + 39
    index = torch.tensor([0, 1, 12345, size - 1])
    image = random.permutation_of(index, size, 7)
    assert ((image >= 0) & (image < size)).all()
    assert len(set(image.tolist())) == 4
    assert torch.equal(random.permutation_of(index[2:3], size, 7), image[2:3])


@given(st.integers(0, 10**15), st.integers(2, 400), st.integers(-(2**63), 2**63 - 1))
def test_the_golden_sequence_leaves_no_wide_gap_wherever_it_is_read(start, n, shift):
    u = random.golden_sequence(torch.arange(start, start + n), shift).sort().values
    gaps = torch.cat([u.diff(), (u[:1] + 1 - u[-1:])])  # round the circle
    assert u.min() >= 0
    assert u.max() < 1
    assert gaps.max() < 1.9 / n
    assert gaps.min() > 0.3 / n
