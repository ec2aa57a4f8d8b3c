"""Small discrete sequences whose distribution is known exactly, so a model's loss can be held against the truth.

Item i is a pure function of (seed, split, i); the set is endless. Train and test are different draws of one law;
where few sequences exist, the same sequence can come up in both. `entropy_bits` is the exact entropy of one item and
`bits(x)` is -log2 p(x), infinite where x cannot occur, so the gap of a sampler is measured without a reference set.
Shapes: b items, n positions, m independent groups.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache
from typing import Protocol

import torch
from jaxtyping import Float, Int
from torch import Tensor

from frisket.core import config, random
from frisket.core.errors import check
from frisket.core.registry import register
from frisket.data.base import Batch, Info, Split
from frisket.data.files import check_split


class Toy(Protocol):
    """A law of sequences that turns uniform numbers into items."""

    @property
    def seed(self) -> int: ...

    @property
    def length(self) -> int: ...

    @property
    def vocabulary(self) -> int: ...

    @property
    def entropy_bits(self) -> float: ...

    def sequences(self, u: Float[Tensor, "b n"]) -> Int[Tensor, "b n"]: ...

    def bits(self, x: Int[Tensor, "b n"]) -> Float[Tensor, "b"]: ...


class ToySource:
    """An endless source of a toy's items: `x` int64 (b, n)."""

    def __init__(self, toy: Toy, split: Split):
        check_split(split)
        self.toy, self.word = toy, random.hash_text(f"toy/{split}")
        extra = {"vocabulary": toy.vocabulary, "length": toy.length, "entropy_bits": toy.entropy_bits}
        self.info = Info(kind="ids", shape=(toy.length,), digest=config.digest(toy), extra=extra)

    def batch(self, ids: Tensor) -> Batch:
        u = random.uniform(random.key(self.toy.seed, ids, self.word), self.toy.length)
        return {"x": self.toy.sequences(u), "id": ids.to(torch.int64)}


@register("data/pairs")
@dataclass(frozen=True, kw_only=True)
class Pairs:
    """`groups` pairs (a, b): a uniform over `vocabulary` symbols; b equals a, except with chance `flip` it is one of
    the others, uniformly. Entropy of a pair: log2 v + h(flip) + flip log2(v - 1)."""

    vocabulary: int = 8
    groups: int = 1
    flip: float = 0.0
    seed: int = 0

    def __post_init__(self):
        check(self.vocabulary >= 2, "data.vocabulary", self.vocabulary, "2 or more")
        check(self.groups >= 1, "data.groups", self.groups, "1 or more")
        check(0 <= self.flip <= 1, "data.flip", self.flip, "in [0, 1]")

    @property
    def length(self) -> int:
        return 2 * self.groups

    @property
    def entropy_bits(self) -> float:
        other = self.flip * math.log2(self.vocabulary - 1)
        return self.groups * (math.log2(self.vocabulary) + _entropy([self.flip, 1 - self.flip]) + other)

    def open(self, split: Split = "train") -> ToySource:
        return ToySource(self, split)

    def sequences(self, u: Float[Tensor, "b n"]) -> Int[Tensor, "b n"]:
        first, second = u[:, 0::2], u[:, 1::2]
        a = (first * self.vocabulary).long()
        by = 1 + (second / max(self.flip, 1e-300) * (self.vocabulary - 1)).clamp(max=self.vocabulary - 2).long()
        b = torch.where(second < self.flip, (a + by) % self.vocabulary, a)
        return torch.stack([a, b], dim=-1).flatten(1)

    def bits(self, x: Int[Tensor, "b n"]) -> Float[Tensor, "b"]:
        same = x[:, 0::2] == x[:, 1::2]
        costs = _bits_of(1 - self.flip), _bits_of(self.flip / (self.vocabulary - 1))
        pair = torch.where(same, *(x.new_tensor(c, dtype=torch.float64) for c in costs))
        return _inside(pair.sum(1) + self.groups * math.log2(self.vocabulary), x, self.vocabulary)


@register("data/permutations")
@dataclass(frozen=True, kw_only=True)
class Permutations:
    """A uniform permutation of 0..length-1. Entropy: log2 length!."""

    length: int = 8
    seed: int = 0

    def __post_init__(self):
        check(self.length >= 2, "data.length", self.length, "2 or more")

    @property
    def vocabulary(self) -> int:
        return self.length

    @property
    def entropy_bits(self) -> float:
        return math.log2(math.factorial(self.length))

    def open(self, split: Split = "train") -> ToySource:
        return ToySource(self, split)

    def sequences(self, u: Float[Tensor, "b n"]) -> Int[Tensor, "b n"]:
        return u.argsort(dim=1, stable=True)

    def bits(self, x: Int[Tensor, "b n"]) -> Float[Tensor, "b"]:
        possible = (x.sort(dim=1).values == torch.arange(self.length, device=x.device)).all(1)
        return torch.where(possible, self.entropy_bits, math.inf).to(torch.float64)


@register("data/parity")
@dataclass(frozen=True, kw_only=True)
class Parity:
    """`groups` runs of `size` bits; all but the last bit of a run are fair coins and the last is their XOR, so any
    proper subset of a run is independent. Entropy: size - 1 bits a run."""

    size: int = 3
    groups: int = 1
    seed: int = 0

    def __post_init__(self):
        check(self.size >= 2, "data.size", self.size, "2 or more")
        check(self.groups >= 1, "data.groups", self.groups, "1 or more")

    @property
    def length(self) -> int:
        return self.size * self.groups

    @property
    def vocabulary(self) -> int:
        return 2

    @property
    def entropy_bits(self) -> float:
        return float(self.groups * (self.size - 1))

    def open(self, split: Split = "train") -> ToySource:
        return ToySource(self, split)

    def sequences(self, u: Float[Tensor, "b n"]) -> Int[Tensor, "b n"]:
        runs = (u >= 0.5).long().unflatten(1, (self.groups, self.size))
        runs[..., -1] = runs[..., :-1].sum(-1) % 2
        return runs.flatten(1)

    def bits(self, x: Int[Tensor, "b n"]) -> Float[Tensor, "b"]:
        even = (x.unflatten(1, (self.groups, self.size)).sum(-1) % 2 == 0).all(1)
        return _inside(torch.where(even, self.entropy_bits, math.inf).to(torch.float64), x, 2)


@register("data/markov")
@dataclass(frozen=True, kw_only=True)
class Markov:
    """A first-order chain over `vocabulary` states, started in its stationary law.

    Its transition table is drawn from `table_seed`: softmax of `sharpness` times standard normals, row by row (0 =
    independent uniform symbols, larger = more predictable). Entropy: H(stationary) + (length - 1) x entropy rate.
    """

    vocabulary: int = 8
    length: int = 32
    sharpness: float = 2.0
    table_seed: int = 0
    seed: int = 0

    def __post_init__(self):
        check(self.vocabulary >= 2, "data.vocabulary", self.vocabulary, "2 or more")
        check(self.length >= 1, "data.length", self.length, "1 or more")
        check(0 <= self.sharpness <= 8, "data.sharpness", self.sharpness, "in [0, 8]")

    @property
    def table(self) -> Float[Tensor, "k k"]:
        """Row a: the law of the symbol after a."""
        return _chain(self.vocabulary, self.sharpness, self.table_seed)[0]

    @property
    def stationary(self) -> Float[Tensor, "k"]:
        return _chain(self.vocabulary, self.sharpness, self.table_seed)[1]

    @property
    def entropy_bits(self) -> float:
        rate = sum(p * _entropy(row) for p, row in zip(self.stationary.tolist(), self.table.tolist(), strict=True))
        return _entropy(self.stationary.tolist()) + (self.length - 1) * rate

    def open(self, split: Split = "train") -> ToySource:
        return ToySource(self, split)

    def sequences(self, u: Float[Tensor, "b n"]) -> Int[Tensor, "b n"]:
        rows, start = self.table.cumsum(1), self.stationary.cumsum(0)
        out = [(u[:, :1] >= start[:-1]).sum(1)]
        for i in range(1, self.length):
            out.append((u[:, i : i + 1] >= rows[out[-1], :-1]).sum(1))
        return torch.stack(out, dim=1)

    def bits(self, x: Int[Tensor, "b n"]) -> Float[Tensor, "b"]:
        held = x.clamp(0, self.vocabulary - 1)
        cost = -self.stationary.log2()[held[:, 0]] - self.table.log2()[held[:, :-1], held[:, 1:]].sum(1)
        return _inside(cost, x, self.vocabulary)


@lru_cache(maxsize=16)
def _chain(k: int, sharpness: float, seed: int) -> tuple[Tensor, Tensor]:
    keys = random.key(seed, torch.arange(k), random.hash_text("markov/table"))
    table = torch.softmax(sharpness * random.normal(keys, k), dim=1)
    equations = torch.cat([table.T - torch.eye(k, dtype=table.dtype), torch.ones(1, k, dtype=table.dtype)])
    target = torch.cat([torch.zeros(k, dtype=table.dtype), torch.ones(1, dtype=table.dtype)])
    return table, torch.linalg.lstsq(equations, target[:, None]).solution[:, 0]


def _entropy(law: list[float]) -> float:
    return -sum(p * math.log2(p) for p in law if p > 0)


def _bits_of(p: float) -> float:
    return -math.log2(p) if p > 0 else math.inf


def _inside(bits: Tensor, x: Tensor, vocabulary: int) -> Tensor:
    return torch.where(((x >= 0) & (x < vocabulary)).all(1), bits, math.inf)
