"""Counter-based random numbers: a draw is a pure function of its key, whatever the batch size, order or device.

Generator: SplitMix64 (Steele, Lea, Flood 2014, "Fast splittable pseudorandom number generators") in wrapping int64
arithmetic; one 64-bit stream per key, words at positions 0, 1, 2, ... of that stream. Normals by Box-Muller in float64.
Shapes: b rows (one key each), n words a row.
"""

from __future__ import annotations

import hashlib
import math
from functools import cache

import torch
from torch import Tensor

GOLDEN = -0x61C8864680B583EB  # 0x9E3779B97F4A7C15 as a signed word
MIX_1 = -0x40A7B892E31B1A47  # 0xBF58476D1CE4E5B9
MIX_2 = -0x6B2FB644ECCEEE15  # 0x94D049BB133111EB
WORD = (1 << 64) - 1


def _shift(x: Tensor, bits: int) -> Tensor:
    """Logical right shift of int64 words, as a new tensor."""
    return (x >> bits).bitwise_and_((1 << (64 - bits)) - 1)


def mix(x: Tensor) -> Tensor:
    """The SplitMix64 finaliser on int64 words of any shape: a bijection whose output looks independent of its input."""
    x = _shift(x, 30).bitwise_xor_(x).mul_(MIX_1)
    x = _shift(x, 27).bitwise_xor_(x).mul_(MIX_2)
    return _shift(x, 31).bitwise_xor_(x)


def mix_int(x: int) -> int:
    """`mix` of one Python integer (taken modulo 2**64), as a signed word."""
    x &= WORD
    x = ((x ^ (x >> 30)) * MIX_1) & WORD
    x = ((x ^ (x >> 27)) * MIX_2) & WORD
    return _signed(x ^ (x >> 31))


def _signed(x: int) -> int:
    return ((x + (1 << 63)) & WORD) - (1 << 63)


@cache
def hash_text(text: str) -> int:
    """A signed 64-bit word from a string, the same in every process (Python's own hash is salted)."""
    return int.from_bytes(hashlib.blake2b(text.encode(), digest_size=8).digest(), "little", signed=True)


def generator(text: str) -> torch.Generator:
    """One of torch's own on the CPU, seeded by a string."""
    return torch.Generator().manual_seed(hash_text(text) & (2**63 - 1))


def key(seed: int, rows: Tensor, *words: int) -> Tensor:
    """One 64-bit key a row (b,) from the seed, the row's own number (b,) and further words that all rows share."""
    out = mix(rows.to(torch.int64) + mix_int(seed))
    for word in words:
        out = mix(out.mul_(3).add_(_signed(word)))
    return out


def key_int(seed: int, row: int, *words: int) -> int:
    """`key` of one row given as a Python integer: what all rows share needs no tensor."""
    out = mix_int(row + mix_int(seed))
    for word in words:
        out = mix_int(out * 3 + word)
    return out


def words(keys: Tensor, n: int) -> Tensor:
    """int64 words (b, n): words 0..n-1 of each key's stream; a longer draw starts with a shorter one."""
    counter = torch.arange(1, n + 1, dtype=torch.int64, device=keys.device)
    return mix(keys[:, None] + counter * GOLDEN)


def uniform(keys: Tensor, n: int) -> Tensor:
    """float64 (b, n) in the open interval (0, 1), 52 bits; open, so that logarithms and quantiles are finite.

    A 53rd bit would leave no room for the half step, and the largest word would round to 1.
    """
    return _shift(words(keys, n), 12).to(torch.float64).add_(0.5).mul_(2.0**-52)


def normal(keys: Tensor, n: int) -> Tensor:
    """float64 (b, n) standard normal, |z| < 6.7; a word gives two numbers."""
    w = words(keys, (n + 1) // 2)
    radius = _shift(w, 32).to(torch.float64).add_(1.0).mul_(2.0**-32).log_().mul_(-2.0).sqrt_()
    angle = w.bitwise_and_(0xFFFFFFFF).to(torch.float64).mul_(2.0 * math.pi * 2.0**-32)
    out = torch.stack([torch.cos(angle), torch.sin(angle)], dim=-1).mul_(radius[..., None])
    return out.flatten(1)[:, :n]


def golden_sequence(index: Tensor, shift: int) -> Tensor:
    """float64 in [0, 1): the golden-ratio sequence at `index` (int64, any shape), shifted by the word `shift`.

    In wrapping integers, so it is as even at index 10**15 as at 0. Any run of n consecutive indices leaves no gap wider
    than about 1.9 / n.
    """
    return _shift(index.to(torch.int64) * GOLDEN + shift, 11).to(torch.float64).mul_(2.0**-53)


def permutation_of(index: Tensor, size: int, key_word: int) -> Tensor:
    """The images (any shape) of `index` in [0, size) under a pseudo-random bijection of [0, size), without a table.

    A four-round Feistel network on the next even power of two, walked until the image is below `size`; so the order of
    an epoch of any length is known at any position in constant memory.
    """
    half = max(1, math.ceil(math.log2(max(size, 2)) / 2))
    low = (1 << half) - 1
    out = index.to(torch.int64)
    todo = torch.ones_like(out, dtype=torch.bool)
    while bool(todo.any()):
        left, right = out >> half, out & low
        for turn in range(4):
            left, right = right, left ^ (mix(right + mix_int(key_word + turn * 7919)) & low)
        out = torch.where(todo, (left << half) | right, out)
        todo = out >= size
    return out
