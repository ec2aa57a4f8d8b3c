"""Equality of decoder rules with official code, on stored arrays: plans, filters, orders and selects of fixed scores.

The arrays lie in `tests/golden/decoding.npz` (its README names the functions that made them); they are numbers, not
code. Shapes: r rows, n tokens, k vocabulary.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from frisket.core.errors import FrisketError
from frisket.core.step import Step
from frisket.interop.golden import GOLDEN
from frisket.sampling.decoding.adaptive import EntropyBound, spaced
from frisket.sampling.decoding.dilated import Levels, binary_levels, dilated_levels
from frisket.sampling.decoding.orders import Confidence, Entropy, Margin, Proposed
from frisket.sampling.decoding.proposals import Greedy
from frisket.sampling.decoding.selects import Hidden, Threshold, top


def arrays(folder: Path = GOLDEN) -> dict[str, Tensor]:
    """All arrays. Raises `FrisketError` where they are not at hand (they belong to the source tree)."""
    path = folder / "decoding.npz"
    if not path.is_file():
        raise FrisketError(f"{path} does not exist; parity is measured in the source tree, which holds the arrays")
    with np.load(path, allow_pickle=False) as held:
        return {key: torch.from_numpy(held[key]) for key in held.files}


def plans_difference(folder: Path = GOLDEN) -> float:
    """DUS's plans, spacing filter and entropy budget: the largest difference of any level or choice."""
    held = arrays(folder)
    found = [
        _distance(_numbered(dilated_levels(b, base, skip)), out)
        for (b, base, skip), out in zip(held["plan/args"].tolist(), held["plan/out"], strict=True)
    ]
    found += [_distance(_numbered(binary_levels(i + 1)), out) for i, out in enumerate(held["binary/out"])]
    taken = spaced(held["spacing/chosen"], held["spacing/scores"], held["spacing/gap"])
    found.append(_distance(taken, held["spacing/out"]))
    proposed, standing = _proposed(held), _standing(held)
    scores = Entropy().score(proposed).masked_fill(~held["hidden"], -torch.inf)
    for gamma, out in zip(held["entropy/gamma"].tolist(), held["entropy/out"], strict=True):
        found.append(_distance(EntropyBound(gamma=gamma).choose(standing, scores, proposed), out))
    return max(found)


def margin_difference(folder: Path = GOLDEN) -> float:
    """Dream's margin of the two best ids: the largest difference."""
    held = arrays(folder)
    return _distance(Margin().score(_proposed(held)), held["margin/out"])


def transfer_difference(folder: Path = GOLDEN) -> float:
    """Fast-dLLM's choice by threshold and by number, and its ids: the largest difference."""
    held = arrays(folder)
    proposed, standing, hidden = _proposed(held), _standing(held), held["hidden"]
    scores = Confidence().score(proposed).masked_fill(~hidden, -torch.inf)
    found = [_distance(proposed.ids.masked_fill(~hidden, -1), held["ids/out"])]
    for at, out in zip(held["threshold/at"].tolist(), held["threshold/out"], strict=True):
        found.append(_distance(Threshold(threshold=at).choose(standing, scores, proposed), out))
    for count, out in zip(held["top/count"], held["top/out"], strict=True):
        found.append(_distance(top(scores, count.expand(len(scores))), out))
    return max(found)


def _distance(ours: Tensor, theirs: Tensor) -> float:
    return float((ours.to(torch.float64) - theirs.to(torch.float64)).abs().max())


def _numbered(levels: Levels, length: int = 96) -> Tensor:
    """The level of each place, -1 beyond the block."""
    out = torch.full((length,), -1, dtype=torch.int64)
    for number, level in enumerate(levels):
        out[list(level)] = number
    return out


def _proposed(held: dict[str, Tensor]) -> Proposed:
    logits, hidden = held["logits"], held["hidden"]
    step = Step(seed=0, sample=torch.arange(len(logits)))
    return Proposed(
        log_p=torch.log_softmax(logits, -1), ids=Greedy().propose(logits, step), hidden=hidden,
        s=torch.full((len(logits),), 0.5, dtype=torch.float64), step=step,
    )  # fmt: skip


def _standing(held: dict[str, Tensor]) -> Hidden:
    hidden = held["hidden"]
    half = torch.full((len(hidden),), 0.5, dtype=torch.float64)
    return Hidden(
        now=hidden, first=hidden.sum(1).to(torch.float64), share_t=2 * half, share_s=half, rate=0 * half, s=half,
        step=Step(seed=0, sample=torch.arange(len(hidden))),
    )  # fmt: skip
