"""Gates: numbers in [0, 1] that learn which parts of a model are kept.

`GroupGates` (arXiv 2412.01199, TinyFusion; facts from VainF/TinyFusion models_with_layer_pruning.py): in each group of
neighbouring blocks exactly `keep` survive; a categorical over all keep patterns is drawn by a hard Gumbel-softmax, a
sample at a time. `UnitGates` (arXiv 2412.02852, EcoDiff; YaNgZhAnG-V5/EcoDiff src/sdib/utils/utils.py): one hard-
concrete gate a unit. Both receive their uniform numbers; the logits stay float32 whatever the model computes in.
Shapes: b batch, o patterns, m blocks, u units.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from itertools import combinations

import torch
from jaxtyping import Float
from torch import Tensor, nn

from frisket.core.errors import check
from frisket.core.sites import Handler
from frisket.models.tokens import Tokens

Groups = tuple[tuple[int, int], ...]
SHARPNESS, STRETCH = 0.83, 0.1  # of the hard-concrete law: its temperature, and how far it reaches beyond [0, 1]


def patterns(keep: int, of: int) -> Float[Tensor, "o m"]:
    """Every way to keep `keep` of `of`, as rows of zeros and ones, in lexicographic order of what is kept."""
    rows = torch.zeros(math.comb(of, keep), of)
    for row, kept in zip(rows, combinations(range(of), keep), strict=True):
        row[list(kept)] = 1.0
    return rows


def even_groups(depth: int, keep: int, of: int) -> Groups:
    """depth / of groups that keep `keep` of `of` each. Raises `FrisketError` if `of` does not divide the depth."""
    check(of > 0 and depth % of == 0, "groups", (keep, of), f"of a size that divides the {depth} blocks")
    return ((keep, of),) * (depth // of)


def check_groups(groups: Groups, depth: int | None = None) -> None:
    """Raise `FrisketError` unless every group keeps some of its blocks and, if given, the sizes add up to `depth`."""
    for keep, of in groups:
        check(1 <= keep <= of, "groups", (keep, of), "(keep, of) with 1 <= keep <= of")
    total = sum(of for _, of in groups)
    check(depth is None or total == depth, "groups", groups, f"groups of {depth} blocks in all, not {total}")


class GroupGates(nn.Module):
    """Logits of the keep patterns of every group. start: their first value. rate: factor on the learning rate."""

    def __init__(self, groups: Groups, *, start: float = 0.02, rate: float = 10.0):
        super().__init__()
        check_groups(groups)
        self.groups = groups
        self.logits = nn.ParameterList(torch.full((math.comb(of, keep),), start) for keep, of in groups)
        for logits in self.logits:
            logits.lr_scale = rate  # type: ignore[attr-defined]
        for g, (keep, of) in enumerate(groups):
            self.register_buffer(f"patterns_{g}", patterns(keep, of), persistent=False)

    @property
    def options(self) -> int:
        """How many uniform numbers a sample needs: one a pattern, over all groups."""
        return sum(len(logits) for logits in self.logits)

    def sample(
        self, uniform: Float[Tensor, "b o"], temperature: float, scale: float
    ) -> Float[Tensor, "b m"]:  # fmt: skip
        """One mask a row: exactly 0 or 1 forward, the gradient of the soft choice backward.

        uniform: in (0, 1), `options` a row. The choice is softmax((scale logits + Gumbel) / temperature)."""
        drawn = uniform.split([len(logits) for logits in self.logits], dim=1)
        parts = []
        for g, (logits, u) in enumerate(zip(self.logits, drawn, strict=True)):
            noise = -torch.log(-torch.log(u)).to(torch.float32)
            soft = torch.softmax((logits.float() * scale + noise) / temperature, dim=1)
            hard = nn.functional.one_hot(soft.argmax(1), soft.shape[1]).to(soft.dtype)
            parts.append((hard + (soft - soft.detach())) @ self.patterns(g))
        return torch.cat(parts, dim=1)

    def patterns(self, g: int) -> Float[Tensor, "o m"]:
        """The keep patterns of group g."""
        return getattr(self, f"patterns_{g}")

    def kept(self) -> tuple[int, ...]:
        """The blocks of the likeliest pattern of every group, by their numbers in the whole model."""
        chosen = torch.cat([self.patterns(g)[int(logits.argmax())] for g, logits in enumerate(self.logits)])
        return tuple(int(i) for i in chosen.nonzero().flatten())

    def confidence(self, scale: float) -> tuple[float, ...]:
        """The probability of every group's likeliest pattern."""
        return tuple(float(torch.softmax(logits.detach().float() * scale, 0).max()) for logits in self.logits)


def gate_blocks(mask: Float[Tensor, "b m"]) -> dict[str, Handler]:
    """Handlers that make block j give mask_j block(x) + (1 - mask_j) x, a row at a time. All blocks are computed, so
    that the gates of dropped ones get a gradient."""
    return {f"block[{j}]": _block_handler(mask[:, j]) for j in range(mask.shape[1])}


def _block_handler(gate: Float[Tensor, "b"]) -> Handler:
    def handle(call, args, step):
        tokens: Tokens = args[0]
        wide = gate[:, None, None].to(tokens.h.dtype)
        return tokens.with_h(call(*args).h * wide + tokens.h * (1 - wide))

    return handle


def skip_blocks(indices: Sequence[int]) -> dict[str, Handler]:
    """Handlers under which the blocks `indices` pass their tokens on and are not computed."""
    return {f"block[{i}]": lambda call, args, step: args[0] for i in indices}


def hard_concrete(logits: Tensor, uniform: Tensor, eps: float = 0.1) -> Tensor:
    """A gate in [0, 1] that is exactly 0 or 1 with positive probability (arXiv 1712.01312, eq. 10 and 11).

    eps: added inside both logarithms of the uniform numbers; the larger, the weaker the noise (official: 0.1 for FLUX,
    0.5 for SDXL). The sigmoid's temperature is 0.83, stretched to [-0.1, 1.1]."""
    noise = torch.log(uniform + eps) - torch.log(1 - uniform + eps)
    return (torch.sigmoid((noise + logits) / SHARPNESS) * (1 + 2 * STRETCH) - STRETCH).clamp(0, 1)


class UnitGates(nn.Module):
    """One logit a unit. sites: the units' site -> how many. start: first value of the logits. rates: site -> factor on
    the learning rate, 1 where none is given."""

    def __init__(self, sites: Mapping[str, int], *, start: float = 3.0, rates: Mapping[str, float] | None = None):
        super().__init__()
        self.sites = tuple(sites)
        self.logits = nn.ParameterList(torch.full((count,), start) for count in sites.values())
        for site, logits in zip(self.sites, self.logits, strict=True):
            logits.lr_scale = (rates or {}).get(site, 1.0)  # type: ignore[attr-defined]

    def scores(self) -> dict[str, Float[Tensor, "u"]]:
        """The logits by site: the larger, the more a unit matters."""
        return {site: logits.detach().float() for site, logits in zip(self.sites, self.logits, strict=True)}

    def handlers(self, eps: float, draws: str) -> dict[str, Handler]:
        """Handlers that multiply units by gates drawn from the step of the call: one a sample and "step" of the
        sampler, or one a sample and "trajectory". Branches of guidance share them, and a call repeated for its gradient
        draws the same."""
        return {s: _unit_handler(s, g, eps, draws) for s, g in zip(self.sites, self.logits, strict=True)}


def _unit_handler(site: str, logits: Tensor, eps: float, draws: str) -> Handler:
    def handle(call, args, step):
        at = step if draws == "step" else step.at(index=0)
        uniform = at.draw(f"gates/{site}", (len(logits),), "uniform").to(logits.device, torch.float32)
        return gated_units(site, call(*args), hard_concrete(logits.float(), uniform, eps))

    return handle


def fixed_units(gates: Mapping[str, Float[Tensor, "u"]]) -> dict[str, Handler]:
    """Handlers that multiply the units of every site by given numbers."""
    return {site: _fixed_handler(site, gate) for site, gate in gates.items()}


def _fixed_handler(site: str, gate: Tensor) -> Handler:
    return lambda call, args, step: gated_units(site, call(*args), gate[None])


def gated_units(site: str, out: Tensor, gate: Float[Tensor, "b u"]) -> Tensor:
    """`out` of a site times one number a unit: heads (b, h, n, d) of an `attend` site, hidden units (b, n, u) else."""
    gate = gate.to(out.dtype)
    return out * (gate[:, :, None, None] if site.endswith(".attend") else gate[:, None, :])
