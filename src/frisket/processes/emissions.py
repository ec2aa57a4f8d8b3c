"""Emissions: what a network's logits say about the hidden elements of a masked state.

`categorical` has k logits an element. `digits` and `joint-digits` are for states whose last axis spells one symbol in
digits (partial masking, MDM-Prime 2505.18495; utils/utils.py and diffusion.py of chen-hao-chao/mdm-prime were read for
facts): the network has a logit for each of c symbols, and the probability of a digit is the sum over the symbols that
have it. The bound of this process is the cross-entropy of the hidden digits, each by its own marginal. The paper trains
on the symbol's joint cross-entropy instead, at every position, and reports that: it counts a symbol once where the
bound counts its digits one by one as they are revealed, and lies below the likelihood whenever digits depend on each
other (the authors say so themselves at chen-hao-chao/mdm-prime-v2). Here `joint-digits` trains on it and nothing is
ever reported from it; `nats`, of which bounds are made, is the marginal form for both.
Shapes: b batch, `*g` the grid of ids, `*n` the grid without its last axis, l digits, k ids (the base), c symbols.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from functools import lru_cache
from typing import Protocol, TypeVar, runtime_checkable

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from frisket.core.digits import digits_of, number_of
from frisket.core.errors import FrisketError, check
from frisket.core.registry import register
from frisket.processes.absorbing import NEVER, copied, separate, symbols
from frisket.processes.base import Estimate

CITE_PRIME = (
    "Chao et al. Beyond Masked and Unmasked: Discrete Diffusion Models via Partial Masking. 2025. arXiv:2505.18495"
)
Some = TypeVar("Some", bound="_Spelled")


@runtime_checkable
class Emission(Protocol):
    """A registered value ("emission/..."). k: the number of ids; the mask id is k."""

    def fit(self, vocabulary: int, symbols: int | None) -> Emission:
        """A copy for a state of `vocabulary` ids; symbols: how many its last axis spells, None where none."""
        ...

    def outputs(self, k: int) -> int:
        """The number of logits."""
        ...

    def estimate(self, pred: Tensor, x_t: Int[Tensor, "b *g"], k: int) -> Estimate:
        """What a prediction says about each element, and about those it predicts together."""
        ...

    def nats(
        self, pred: Tensor, x_t: Int[Tensor, "b *g"], x0: Int[Tensor, "b *g"], where: Bool[Tensor, "b *g"], k: int
    ) -> Float[Tensor, "b *g"]:
        """-log p(x0) of each element by itself where True, 0 elsewhere: what the bound is made of."""
        ...

    def trained(
        self, pred: Tensor, x_t: Int[Tensor, "b *g"], x0: Int[Tensor, "b *g"], where: Bool[Tensor, "b *g"], k: int
    ) -> Float[Tensor, "b *g"]:
        """What the loss weighs and averages over the elements."""
        ...

    def spelled(self, symbols: Tensor, shape: tuple[int, ...], k: int) -> Int[Tensor, "b *g"]:
        """The ids of a state of `shape` that symbols drawn together spell."""
        ...


@register("emission/categorical")
@dataclass(frozen=True, kw_only=True)
class Categorical:
    """Each element by itself, from its own k logits (a further one, of the mask, is cut off). smoothing: share of what is
    trained on that asks for equal chances of all symbols, in [0, 1)."""

    smoothing: float = 0.0

    def __post_init__(self):
        check(0 <= self.smoothing < 1, "emission.smoothing", self.smoothing, "at least 0 and below 1")

    def fit(self, vocabulary: int, symbols: int | None) -> Categorical:
        if symbols is not None:
            raise FrisketError("the state's ids are digits of symbols; use emission/digits or emission/joint-digits")
        return self

    def outputs(self, k: int) -> int:
        return k

    def estimate(self, pred: Tensor, x_t: Int[Tensor, "b *g"], k: int) -> Estimate:
        return separate(pred, x_t, k)

    def nats(
        self, pred: Tensor, x_t: Int[Tensor, "b *g"], x0: Int[Tensor, "b *g"], where: Bool[Tensor, "b *g"], k: int
    ) -> Float[Tensor, "b *g"]:
        return _picked(symbols(pred, x0, k), x0, where)

    def trained(
        self, pred: Tensor, x_t: Int[Tensor, "b *g"], x0: Int[Tensor, "b *g"], where: Bool[Tensor, "b *g"], k: int
    ) -> Float[Tensor, "b *g"]:
        nats = self.nats(pred, x_t, x0, where, k)
        if not self.smoothing:
            return nats
        even = -symbols(pred, x0, k).mean(-1).masked_fill(~where, 0.0)
        return (1 - self.smoothing) * nats + self.smoothing * even

    def spelled(self, symbols: Tensor, shape: tuple[int, ...], k: int) -> Int[Tensor, "b *g"]:
        return symbols.reshape(len(symbols), *shape)


@runtime_checkable
class Spelling(Protocol):
    """A registered value ("spelling/..."): which symbols a state with some digits visible leaves possible."""

    def possible(self, x_t: Int[Tensor, "b *n l"], codes: Int[Tensor, "c l"], k: int) -> Bool[Tensor, "b *n c"] | None:
        """None: all."""
        ...


@register("spelling/consistent", cite=CITE_PRIME)
@dataclass(frozen=True, kw_only=True)
class Consistent:
    """Those that have every visible digit (the paper's carry-over)."""

    def possible(self, x_t: Int[Tensor, "b *n l"], codes: Int[Tensor, "c l"], k: int) -> Bool[Tensor, "b *n c"] | None:
        fits = torch.ones(*x_t.shape[:-1], len(codes), dtype=torch.bool, device=x_t.device)
        for digit, code in zip(x_t.unbind(-1), codes.unbind(-1), strict=True):
            fits &= (digit[..., None] == k) | (digit[..., None] == code)
        return fits


@register("spelling/any", cite=CITE_PRIME)
@dataclass(frozen=True, kw_only=True)
class Unfiltered:
    """All, as released for sampling: the network must learn what the visible digits rule out."""

    def possible(self, x_t: Int[Tensor, "b *n l"], codes: Int[Tensor, "c l"], k: int) -> Bool[Tensor, "b *n c"] | None:
        return None


@dataclass(frozen=True, kw_only=True)
class _Spelled:
    """What both emissions of digits share. symbols: c, set by `fit` from the codec. spelling: which symbols the visible
    digits leave."""

    symbols: int = 0
    spelling: Spelling = field(default_factory=Consistent)

    def __post_init__(self):
        check(self.symbols >= 0, "emission.symbols", self.symbols, "at least 1 (0 = not yet known)")

    def fit(self: Some, vocabulary: int, symbols: int | None) -> Some:
        if symbols is None:
            raise FrisketError("an emission of digits needs a state whose last axis spells symbols (codec/digits)")
        return replace(self, symbols=symbols)

    def outputs(self, k: int) -> int:
        if self.symbols < 1:
            raise FrisketError("emission.symbols = 0: give the number of symbols, or fit the process to a codec")
        return self.symbols

    def joint(self, pred: Float[Tensor, "b *n c"], x_t: Int[Tensor, "b *n l"], k: int) -> Float[Tensor, "b *n c"]:
        """Normalised log probabilities of the symbols, float32; those ruled out near -1e6."""
        c = self.outputs(k)
        if pred.shape != (*x_t.shape[:-1], c):
            raise FrisketError(
                f"logits of shape {tuple(pred.shape)} do not fit digits {tuple(x_t.shape)} of {c} symbols"
            )
        pred = pred.to(torch.float32)
        possible = self.spelling.possible(x_t, code_table(c, k, x_t.shape[-1]).to(x_t.device), k)
        return torch.log_softmax(pred if possible is None else pred.masked_fill(~possible, NEVER), dim=-1)

    def estimate(self, pred: Float[Tensor, "b *n c"], x_t: Int[Tensor, "b *n l"], k: int) -> Estimate:
        joint = self.joint(pred, x_t, k)
        return Estimate(logits=copied(marginals(joint, k, x_t.shape[-1]), x_t), joint=joint)

    def nats(
        self, pred: Float[Tensor, "b *n c"], x_t: Int[Tensor, "b *n l"], x0: Int[Tensor, "b *n l"],
        where: Bool[Tensor, "b *n l"], k: int,
    ) -> Float[Tensor, "b *n l"]:  # fmt: skip
        return _picked(marginals(self.joint(pred, x_t, k), k, x_t.shape[-1]), x0, where)

    def spelled(self, symbols: Tensor, shape: tuple[int, ...], k: int) -> Int[Tensor, "b *g"]:
        return digits_of(symbols, k, shape[-1]).reshape(len(symbols), *shape)


@register("emission/digits", cite=CITE_PRIME)
@dataclass(frozen=True, kw_only=True)
class Digits(_Spelled):
    """Trained on the bound itself: each hidden digit by its marginal."""

    def trained(
        self, pred: Float[Tensor, "b *n c"], x_t: Int[Tensor, "b *n l"], x0: Int[Tensor, "b *n l"],
        where: Bool[Tensor, "b *n l"], k: int,
    ) -> Float[Tensor, "b *n l"]:  # fmt: skip
        return self.nats(pred, x_t, x0, where, k)


@register("emission/joint-digits", cite=CITE_PRIME)
@dataclass(frozen=True, kw_only=True)
class JointDigits(_Spelled):
    """Trained as the paper does, on the whole symbol's cross-entropy at every position, each digit carrying its symbol's
    (so that their mean is a mean over symbols). Not a bound."""

    def trained(
        self, pred: Float[Tensor, "b *n c"], x_t: Int[Tensor, "b *n l"], x0: Int[Tensor, "b *n l"],
        where: Bool[Tensor, "b *n l"], k: int,
    ) -> Float[Tensor, "b *n l"]:  # fmt: skip
        real = ((x0 >= 0) & (x0 < k)).all(-1, keepdim=True)
        symbol = number_of(x0.clamp(0, k - 1), k).clamp(max=self.symbols - 1)
        nats = -self.joint(pred, x_t, k).gather(-1, symbol[..., None])
        return (nats * real).expand(x0.shape)


@lru_cache(maxsize=16)
def code_table(symbols: int, base: int, count: int) -> Int[Tensor, "c l"]:
    """The digits of every symbol."""
    return digits_of(torch.arange(symbols), base, count)


def marginals(joint: Float[Tensor, "b *n c"], base: int, count: int) -> Float[Tensor, "b *n l k"]:
    """Log probabilities of each digit, from those of the symbols."""
    missing = base**count - joint.shape[-1]
    cube = torch.nn.functional.pad(joint, (0, missing), value=NEVER).unflatten(-1, (base,) * count)
    axes = range(-count, 0)
    each = [cube if count == 1 else cube.logsumexp(tuple(a for a in axes if a != axis)) for axis in axes]
    return torch.stack(each, dim=-2)


def _picked(
    logp: Float[Tensor, "b *g k"], x0: Int[Tensor, "b *g"], where: Bool[Tensor, "b *g"]
) -> Float[Tensor, "b *g"]:
    """-log p(x0) where True, 0 elsewhere."""
    own = logp.gather(-1, x0.masked_fill(~where, 0)[..., None]).squeeze(-1)
    return torch.where(where, -own, torch.zeros_like(own))
