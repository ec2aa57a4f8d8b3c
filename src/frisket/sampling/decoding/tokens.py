"""The decoder of masked continuous tokens: places are chosen at random, the head's own process samples what goes there.

MAR (arXiv 2406.11838) and Hi-MAR (arXiv 2505.20288); facts from LTH14/mar models/mar.py `sample_tokens` and
HiDream-ai/himar models/himar.py. A move chooses which hidden tokens to reveal, runs the network's trunk once, and then
an inner sampler with the head alone, on the same guidance; levels are finished one after the other. A head that looks
at a whole level noises all of it; visible tokens then follow along with one noise for the whole inner run. A visible
token never changes.
Shapes: b batch, d numbers of a token, n tokens.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from frisket.core.condition import Output
from frisket.core.errors import check
from frisket.core.nested import hidden_tokens, pack
from frisket.core.random import hash_text
from frisket.core.registry import register
from frisket.core.sites import install
from frisket.core.step import Step
from frisket.processes.known import Known
from frisket.processes.masked_tokens import MaskedTokens
from frisket.sampling.base import Moment
from frisket.sampling.corrections import ImposeKnown
from frisket.sampling.decoding.selects import Budget, CosineCurve, Hidden, top
from frisket.sampling.grids import Respaced
from frisket.sampling.sampler import Sampler
from frisket.sampling.solvers.ancestral import Ancestral

CITE = "Li, Tian, Li, Deng, He. Autoregressive Image Generation without Vector Quantization. 2024. arXiv:2406.11838"
HEAD = Sampler(steps=100, update=Ancestral(), grid=Respaced(), corrections=(ImposeKnown(how="same-noise"),))


@register("decoder/tokens", cite=CITE)
@dataclass(frozen=True, kw_only=True)
class Tokens:
    """moves: how many moves each level takes, () for one level that takes all; a run of another number of steps shares
    its moves out in the same proportion. select: how many tokens stay
    hidden. head: the inner sampler (its guidance is not used; the run's own applies, and its scales see the share of the
    level that is hidden after the move)."""

    moves: tuple[int, ...] = ()
    select: Budget = field(default_factory=lambda: Budget(curve=CosineCurve(), least=1, kept=1))
    head: Sampler = field(default_factory=lambda: HEAD)

    def __post_init__(self):
        check(all(m >= 1 for m in self.moves), "decoder.moves", self.moves, "1 or more for each level")

    def move(self, x: Tensor, t: Tensor, s: Tensor, at: Moment) -> Tensor:
        """x (b, d, n), NaN where hidden. Raises `FrisketError` on a process without levels, on moves for another number of
        them, and on a run of fewer moves than levels."""
        process: Any = at.process
        check(isinstance(process, MaskedTokens), "process", type(process).__name__, "process/masked-tokens")
        moves = shared_out(at.step.total, self.moves or (1,))
        check(len(moves) == len(process.levels), "decoder.moves", self.moves, f"{len(process.levels)} numbers")
        k = next(i for i in range(len(moves)) if at.step.index < sum(moves[: i + 1]))
        left = 1 - (at.step.index - sum(moves[:k]) + 1) / moves[k]
        revealed = self._revealed(hidden_tokens(x)[:, process.parts[k]], left, k, at)
        if not bool(revealed.any()):
            return x
        return self._filled(x, revealed, k, at)

    def _revealed(self, hidden: Tensor, left: float, k: int, at: Moment) -> Tensor:
        """Which tokens of level k the move reveals. left: the share of the level's moves still to come."""
        if left <= 0:
            return hidden
        first = at.memory.setdefault(f"decoder/tokens/{k}", hidden.sum(1).double())
        time = torch.full((len(hidden),), left, dtype=torch.float64, device=hidden.device)
        now = Hidden(now=hidden, first=first, share_t=time, share_s=time, rate=0 * time, s=time, step=at.step)
        scores = at.step.draw("decoder/order", (hidden.shape[1],), "uniform").masked_fill(~hidden, -torch.inf)
        return top(scores, self.select.count(now)) & hidden

    def _filled(self, x: Tensor, revealed: Tensor, k: int, at: Moment) -> Tensor:
        """x with new tokens where revealed (b, m) in level k."""
        process: MaskedTokens = at.process  # type: ignore[assignment]
        level, part = process.levels[k], process.parts[k]
        hidden = hidden_tokens(x[..., part])
        share = (hidden & ~revealed).double().mean(1)
        whole = level.unit == "level"
        asked = torch.ones_like(hidden) if whole else revealed
        network = _HeadOf(at, x, part, asked, share, level.inner.outputs(x.shape[1]))
        seen = Known(values=x[..., part].nan_to_num(), where=~hidden[:, None])
        step = at.step.at(seed=at.step.seed ^ hash_text(f"head/{at.step.index}"), index=0, total=0)
        with install(at.model, {"trunk": Held()}):
            made = self.head.sample(
                network, level.inner, shape=tuple(x[..., part].shape[1:]), step=step, known=seen if whole else None
            )
        out = x.clone()
        out[..., part] = torch.where(revealed[:, None], made.to(x.dtype), x[..., part])
        return out


def shared_out(total: int, moves: tuple[int, ...]) -> tuple[int, ...]:
    """`total` moves in the proportion of `moves`, at least one each; rounded down but for the last."""
    check(total >= len(moves), "steps", total, f"at least {len(moves)}, one for each level")
    out: list[int] = []
    for i, wanted in enumerate(moves):
        left, later = total - sum(out), len(moves) - i - 1
        out.append(min(max(1, wanted * total // sum(moves)), left - later) if later else left)
    return tuple(out)


@dataclass
class Held:
    """Answers a site with what it gave first in this branch."""

    given: dict[str, Any] = field(default_factory=dict)

    def __call__(self, call: Callable[..., Any], args: tuple[Any, ...], step: Step) -> Any:
        if step.branch not in self.given:
            self.given[step.branch] = call(*args)
        return self.given[step.branch]


@dataclass
class _HeadOf:
    """The guided head of one level as a model of its own. x: the state; asked (b, m): what the head is asked for;
    given: how many numbers its process reads."""

    at: Moment
    x: Tensor
    part: slice
    asked: Tensor
    share: Tensor
    given: int
    calls: int = 0

    def __call__(self, noisy: Tensor, time: Tensor, cond: Any = None) -> Output:
        b, d, n = self.x.shape
        copies = torch.full((b, d, n), torch.nan, dtype=noisy.dtype, device=noisy.device)
        copies[..., self.part] = noisy.masked_fill(~self.asked[:, None], torch.nan)
        times = time.to(noisy.dtype)[:, None, None].expand(b, 1, n)
        given = pack(self.x, copies[:, None], times)
        output = self.at.evaluate.output(given, self.share, part="head" if self.calls else "")
        self.calls += 1
        return Output(output.pred[:, : self.given, self.part])
