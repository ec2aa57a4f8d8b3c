"""Masked continuous tokens with a gaussian process inside the network's head: MAR (arXiv 2406.11838).

The outer process hides tokens of a row of them; from what is left the network makes a vector for every token, and its
head denoises each hidden token given that vector, by a gaussian process of its own. One call of the network is shown
both (see `core.nested`), so training, held-out loss and sampling are those of any other process. Hi-MAR (arXiv
2505.20288) has two levels of tokens, a coarse image before the fine one; facts from LTH14/mar models/mar.py and
HiDream-ai/himar models/{himar,diffloss}.py. The first level's share comes from t, those of the others from numbers
drawn once for a batch. Left open by the papers: what the shares are outside training; here they follow t too.
Shapes: b batch, d numbers of a token, n tokens, m tokens of a level, r noised copies, l levels, o numbers a head gives.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import ClassVar

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from frisket.core.condition import Output
from frisket.core.errors import FrisketError, check
from frisket.core.nested import hidden_tokens, hide_tokens, pack
from frisket.core.registry import register
from frisket.core.step import Step
from frisket.processes.absorbing import lowest
from frisket.processes.base import Corrupted, Estimate
from frisket.processes.densities import Density, TruncatedNormal
from frisket.processes.gaussian import Gaussian
from frisket.processes.known import Known

CITE = "Li, Tian, Li, Deng, He. Autoregressive Image Generation without Vector Quantization. 2024. arXiv:2406.11838"


@register("level/tokens")
@dataclass(frozen=True, kw_only=True)
class Level:
    """One scale of a row of tokens. tokens: how many. share: density of the share that is hidden in training (the
    number is rounded up). inner: the head's process. unit: what shares a time: each "token" by itself, and only hidden
    ones are noised; or the "level", all of which is noised, so that a head may look at all of it. Its error counts at
    hidden tokens only, but is averaged over all (as himar's is). weight: of its terms. name: before them."""

    tokens: int = 64
    share: Density = field(default_factory=TruncatedNormal)
    inner: Gaussian = field(default_factory=Gaussian)
    unit: str = "token"
    weight: float = 1.0
    name: str = ""

    def __post_init__(self):
        check(self.tokens >= 1, "level.tokens", self.tokens, "at least 1")
        check(self.unit in ("token", "level"), "level.unit", self.unit, "'token' or 'level'")
        check(self.weight >= 0, "level.weight", self.weight, "0 or more")


@register("process/masked-tokens", cite=CITE)
@dataclass(frozen=True, kw_only=True)
class MaskedTokens:
    """levels: of the row of tokens, in the order in which they are generated. copies: how often each token is noised in
    a training step, at times of their own."""

    hides: ClassVar[bool] = True
    levels: tuple[Level, ...] = (Level(),)
    copies: int = 4

    def __post_init__(self):
        check(bool(self.levels), "process.levels", self.levels, "one or more")
        names = [level.name for level in self.levels]
        check(len(set(names)) == len(names), "process.levels", names, "levels of different names")
        check(self.copies >= 1, "process.copies", self.copies, "at least 1")

    @property
    def parts(self) -> tuple[slice, ...]:
        """Where each level's tokens are."""
        out, first = [], 0
        for level in self.levels:
            out.append(slice(first, first + level.tokens))
            first += level.tokens
        return tuple(out)

    def times(self, u: Float[Tensor, "..."]) -> Float[Tensor, "..."]:
        """t is the uniform number itself; each level's density makes its hidden share of it."""
        return u.to(torch.float64)

    def model_time(self, t: Float[Tensor, "..."]) -> Float[Tensor, "..."]:
        """t; networks of this process read the head's time from their input and no other."""
        return t

    def noise(self, shape: tuple[int, ...], step: Step) -> Float[Tensor, "b k n"]:
        """Rows of k = 1 + l + r (d + 1) numbers a token, float32: the order of hiding, the shares' numbers (the same
        for the whole batch), and for each copy a uniform number for its time and d normal ones."""
        d, n = shape
        order = step.draw("order", (1, n), "uniform")
        shares = step.shared("shares", (len(self.levels), 1)).expand(len(order), -1, n)
        u = step.draw("head/time", (self.copies, 1, n), "uniform")
        normal = step.draw("noise", (self.copies, d, n))
        return torch.cat([order, shares, torch.cat([u, normal], 2).flatten(1, 2)], 1).to(torch.float32)

    def corrupt(
        self,
        x0: Float[Tensor, "b d n"],
        t: Float[Tensor, "b"],
        noise: Float[Tensor, "b k n"],
        known: Known | None = None,
    ) -> Corrupted:
        """What the network is shown at t: hidden tokens and noised copies. Raises `FrisketError` unless x0 has the
        levels' tokens and numbers."""
        n = sum(level.tokens for level in self.levels)
        check(x0.ndim == 3 and x0.shape[2] == n, "shape of the state", tuple(x0.shape), f"(b, d, {n})")
        x0 = x0 if known is None else known.impose(x0)
        hidden = self._hidden(x0, t, noise, known)
        copies = [
            self._copy(level, x0, noise, hidden, part) for level, part in zip(self.levels, self.parts, strict=True)
        ]
        noisy, time = (torch.cat(each, -1) for each in zip(*copies, strict=True))
        x_t = pack(hide_tokens(x0, hidden), noisy, time)
        return Corrupted(x_t=x_t, x0=x0, noise=noise, t=t, local=t, known=known, hidden=hidden)

    def loss(
        self, output: Output, corrupted: Corrupted, valid: Bool[Tensor, "b n"] | None = None
    ) -> dict[str, Float[Tensor, "b"]]:
        """The head's own terms for each level, behind the level's name. output.pred: (b, r o, n)."""
        c = corrupted
        if c.hidden is None:
            raise FrisketError("corrupted.hidden is None; it must come from a process that hides")
        counts = c.hidden if valid is None else c.hidden & valid
        pred = output.pred.unflatten(1, (self.copies, -1))
        terms: dict[str, Tensor] = {}
        for level, part in zip(self.levels, self.parts, strict=True):
            inner = self._inner(level, c.x0, c.noise, part)
            own = level.inner.outputs(c.x0.shape[1])
            each = Output(pred[:, :, :own, part].flatten(0, 1))
            where = counts[:, part].repeat_interleave(self.copies, 0)
            share = where.double().mean(1) if level.unit == "level" else torch.ones(len(where), device=where.device)
            for name, term in level.inner.loss(each, inner, where).items():
                whole = (term * share.to(term.dtype)).unflatten(0, (-1, self.copies)).mean(1)
                terms[f"{level.name} {name}".strip()] = level.weight * whole
        return terms

    def estimate(self, output: Output, x_t: Tensor, t: Tensor) -> Estimate:
        """Raises `FrisketError`: what a head's output means, its own process says (`decoder/tokens` asks it)."""
        raise FrisketError("process/masked-tokens estimates nothing by itself; sample it with decoder/tokens")

    def prior(self, noise: Float[Tensor, "b k n"]) -> Float[Tensor, "b d n"]:
        """Everything hidden."""
        d = (noise.shape[1] - 1 - len(self.levels)) // self.copies - 1
        return torch.full((len(noise), d, noise.shape[2]), torch.nan, device=noise.device)

    def renoise(
        self, x: Float[Tensor, "b d n"], t: Float[Tensor, "b"], s: Float[Tensor, "b"], noise: Tensor
    ) -> Float[Tensor, "b d n"]:
        """Hide visible tokens again, each with the chance (s - t) / (1 - t)."""
        chance = ((s - t) / (1 - t).clamp(min=1e-12)).clamp(0, 1)
        return hide_tokens(x, hidden_tokens(x) | (noise[:, 0].double() < chance[:, None]))

    def outputs(self, channels: int) -> int:
        """Numbers a head gives for a token and a copy: the most that a level's process asks for."""
        return max(level.inner.outputs(channels) for level in self.levels)

    def _hidden(self, x0: Tensor, t: Tensor, noise: Tensor, known: Known | None) -> Bool[Tensor, "b n"]:
        parts = []
        for i, (level, part) in enumerate(zip(self.levels, self.parts, strict=True)):
            u = t.double() if i == 0 else (t.double() + noise[:, 1 + i, 0].double()) % 1
            count = torch.ceil(level.tokens * level.share.quantile(u) - 1e-9).clamp(max=level.tokens)
            open_ = torch.ones(len(x0), level.tokens, dtype=torch.bool, device=x0.device)
            if known is not None:
                open_ = open_ & ~known.where[:, 0, part]
            parts.append(lowest(noise[:, 0, part], open_, count.long()))
        return torch.cat(parts, 1)

    def _inner(self, level: Level, x0: Tensor, noise: Tensor, part: slice) -> Corrupted:
        """The head's own noised batch of b r rows, all tokens of the level noised."""
        copies = noise[:, 1 + len(self.levels) :, part].unflatten(1, (self.copies, -1)).flatten(0, 1)
        u = copies[:, :1]
        local = level.inner.times(u if level.unit == "token" else u[..., :1].expand_as(u))
        clean = x0[..., part].repeat_interleave(self.copies, 0)
        return level.inner.corrupt(clean, local, copies[:, 1:])

    def _copy(self, level: Level, x0: Tensor, noise: Tensor, hidden: Tensor, part: slice) -> tuple[Tensor, Tensor]:
        """A level's noised copies (b, r, d, m), NaN where the head is asked nothing, and their times (b, r, m)."""
        c = self._inner(level, x0, noise, part)
        noisy, time = (
            v.unflatten(0, (-1, self.copies)) for v in (c.x_t, level.inner.model_time(c.local[:, 0]).to(c.x_t.dtype))
        )
        if level.unit == "token":
            noisy = noisy.masked_fill(~hidden[:, None, None, part], torch.nan)
        return noisy, time
