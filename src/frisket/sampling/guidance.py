"""Guidance: a linear combination of model branches whose coefficients sum to one.

Sources: classifier-free guidance arXiv 2207.12598; autoguidance (a weaker model as the branch) arXiv 2406.02507;
several conditions arXiv 2211.09800. Combined is the network's own prediction, before the process reads it: the same as
combining x0, noise or velocity, and for ids the same as combining log probabilities up to a constant that the softmax
removes. The DiT release guides only the first three channels of four; that is the property `channels` here. Shapes: b
batch, `*s` the state's shape, c channels.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

import torch
from jaxtyping import Float
from torch import Tensor

from frisket.core.condition import Condition, Output
from frisket.core.errors import FrisketError, check, unknown
from frisket.core.registry import register
from frisket.core.step import Step
from frisket.models.base import Keep
from frisket.models.plans.base import Choose, draw
from frisket.sampling.scales import Constant, Scale

CITE_CFG = "Ho, Salimans. Classifier-Free Diffusion Guidance. 2022. arXiv:2207.12598"


class KeepRule(Protocol):
    """A registered value ("keep/..."): which tokens of each span a branch computes, for the model's `keep` argument."""

    def keep(self, model: Any, x: Tensor, step: Step) -> Keep: ...


@register("keep/skip")
@dataclass(frozen=True, kw_only=True)
class Skip:
    """No token enters the named spans: the branch takes the path without them (path-drop guidance)."""

    spans: tuple[str, ...] = ()

    def keep(self, model: Any, x: Tensor, step: Step) -> Keep:
        return {span: torch.empty(len(x), 0, dtype=torch.int64, device=x.device) for span in self.spans}


@register("keep/chosen")
@dataclass(frozen=True, kw_only=True)
class Chosen:
    """Tokens of each named span chosen anew at every call, as in training: a model with more of them left out is a
    weaker one (route guidance, arXiv 2501.04765). Two branches draw different tokens."""

    spans: dict[str, Choose] = field(default_factory=dict)

    def keep(self, model: Any, x: Tensor, step: Step) -> Keep:
        if not hasattr(model, "tags"):
            raise FrisketError(f"{type(model).__name__} does not describe its tokens, so none can be chosen")
        return draw(self.spans, model.tags(x), step, stream=f"keep/{step.branch}/{step.call}")


@register("branch/model")
@dataclass(frozen=True, kw_only=True)
class Branch:
    """One way to call a model. name: what `step.branch` says during the call. model: "" for the model being sampled, or
    the name of another one given to the run. absent: conditions that are dropped, ("*",) for all of them. hide_known:
    known elements are shown as at t = 1. keep: which tokens take part."""

    name: str = "null"
    model: str = ""
    absent: tuple[str, ...] = ()
    hide_known: bool = False
    keep: KeepRule | None = None


@dataclass(frozen=True, kw_only=True)
class Inputs:
    """What all branches of one call share. hidden: the state at t = 1, shown where a branch hides the known."""

    x: Tensor
    time: Tensor
    cond: Condition | None
    known: Tensor | None = None
    hidden: Tensor | None = None


@register("guidance/linear", cite=CITE_CFG)
@dataclass(frozen=True, kw_only=True)
class Guidance:
    """main + sum over k of (scale_k - 1) (main - other_k): other_k has the coefficient 1 - scale_k and main the rest.

    One dropped-condition branch is classifier-free guidance, a weaker model is autoguidance. For any
    other combination, give each branch the scale 1 - (its coefficient); main has what is missing to one. A branch whose
    scale is 1 in every row is not computed, so scale 1 is exactly the plain call. channels: how many leading channels
    are guided, the others are those of main; None guides the channels of the state (never a learned variance).
    Branches that share the model and the kept tokens run as one forward.
    """

    main: Branch = Branch(name="conditional")
    others: tuple[Branch, ...] = ()
    scales: tuple[Scale, ...] = ()
    channels: int | None = None

    def __post_init__(self):
        check(len(self.others) == len(self.scales), "guidance.scales", self.scales, f"{len(self.others)}, one a branch")
        names = [b.name for b in (self.main, *self.others)]
        check(len(set(names)) == len(names), "guidance branch names", names, "different from each other")
        check(self.channels is None or self.channels > 0, "guidance.channels", self.channels, "positive or None")

    def models(self) -> tuple[str, ...]:
        """Names of the further models that a run has to be given."""
        return tuple(sorted({b.model for b in (self.main, *self.others)} - {""}))

    def pred(self, call: Call, inputs: Inputs, t: Float[Tensor, "b"], step: Step) -> Output:
        """The guided output; `aux` and everything unguided are those of main."""
        scales = [scale.at(t.to(torch.float64)) for scale in self.scales]
        active = [k for k, scale in enumerate(scales) if bool((scale != 1).any())]
        outputs = _run([self.main, *(self.others[k] for k in active)], call, inputs, step)
        main = outputs[0]
        if not active:
            return main
        pred = main.pred.clone()
        part = (slice(None), slice(0, self._guided(pred, inputs.x)))
        base = main.pred[part]
        for k, output in zip(active, outputs[1:], strict=True):
            weight = (scales[k] - 1).to(base.dtype)
            weight = weight.reshape(*weight.shape, *[1] * (base.ndim - weight.ndim))
            pred[part] = pred[part] + weight * (base - output.pred[part])
        return Output(pred, aux=main.aux)

    def _guided(self, pred: Tensor, x: Tensor) -> int | None:
        if self.channels is not None:
            accepted = "None for ids, which have no channels"
            check(x.is_floating_point(), "guidance.channels", self.channels, accepted)
            return self.channels
        widened = pred.ndim == x.ndim and pred.shape[2:] == x.shape[2:] and pred.shape[1] > x.shape[1]
        return x.shape[1] if widened and x.is_floating_point() else None


class Call(Protocol):
    """How a branch reaches a model; the run counts rows here."""

    def __call__(
        self, name: str, x: Tensor, time: Tensor, cond: Condition | None, keep: Keep | None, step: Step
    ) -> Output: ...

    def model(self, name: str) -> Any: ...


def cfg(scale: float | Scale = 3.0, *, absent: Sequence[str] = ("*",), channels: int | None = None) -> Guidance:
    """Classifier-free guidance: the condition against its null. `scale` 1 is no guidance, 0 the null alone."""
    strength = Constant(value=float(scale)) if isinstance(scale, (int, float)) else scale
    return Guidance(others=(Branch(absent=tuple(absent)),), scales=(strength,), channels=channels)


def path_drop(scale: float | Scale = 3.0, *, span: str = "middle", absent: Sequence[str] = ("*",)) -> Guidance:
    """The condition against a branch that has no condition and skips `span` (path-drop guidance, arXiv 2510.21986)."""
    strength = Constant(value=float(scale)) if isinstance(scale, (int, float)) else scale
    weak = Branch(name="shallow", absent=tuple(absent), keep=Skip(spans=(span,)))
    return Guidance(others=(weak,), scales=(strength,))


def autoguidance(scale: float | Scale = 2.0, *, model: str = "weak") -> Guidance:
    """The model against a weaker one, which the run is given under the name `model`."""
    strength = Constant(value=float(scale)) if isinstance(scale, (int, float)) else scale
    return Guidance(others=(Branch(name="weak", model=model),), scales=(strength,))


@dataclass
class _Group:
    model: str
    keep: KeepRule | None
    members: list[int] = field(default_factory=list)


def _run(branches: Sequence[Branch], call: Call, inputs: Inputs, step: Step) -> list[Output]:
    """Outputs in the order of `branches`; those of one model and one keep rule are concatenated."""
    groups: list[_Group] = []
    for k, branch in enumerate(branches):
        own = next((g for g in groups if (g.model, g.keep) == (branch.model, branch.keep)), None)
        if own is None:
            groups.append(own := _Group(branch.model, branch.keep))
        own.members.append(k)
    out: dict[int, Output] = {}
    for group in groups:
        chosen = [branches[k] for k in group.members]
        joint = _call(chosen, group, call, inputs, step)
        for k, part in zip(group.members, _split(joint, len(chosen)), strict=True):
            out[k] = part
    return [out[k] for k in range(len(branches))]


def _call(chosen: Sequence[Branch], group: _Group, call: Call, inputs: Inputs, step: Step) -> Output:
    n = len(chosen)
    x = torch.cat([_shown(inputs, b) for b in chosen]) if n > 1 else _shown(inputs, chosen[0])
    conds = [_condition(inputs.cond, b) for b in chosen]
    cond = conds[0] if n == 1 or conds[0] is None else Condition.cat([c for c in conds if c is not None])
    at = step.at(sample=step.sample.repeat(n) if n > 1 else step.sample, branch="+".join(b.name for b in chosen))
    keep = None if group.keep is None else group.keep.keep(call.model(group.model), x, at)
    time = inputs.time.repeat(n, *[1] * (inputs.time.ndim - 1)) if n > 1 else inputs.time
    return call(group.model, x, time, cond, keep, at)


def _shown(inputs: Inputs, branch: Branch) -> Tensor:
    if not branch.hide_known:
        return inputs.x
    if inputs.known is None or inputs.hidden is None:
        raise FrisketError(f"guidance branch {branch.name!r} hides the known, but the run was given nothing known")
    return inputs.hidden.where(inputs.known, inputs.x)


def _condition(cond: Condition | None, branch: Branch) -> Condition | None:
    if not branch.absent:
        return cond
    held: Mapping[str, Tensor] = {} if cond is None else cond.values
    if cond is None or not held:
        raise FrisketError(f"guidance branch {branch.name!r} drops conditions, but the run was given none")
    names = tuple(held) if branch.absent == ("*",) else branch.absent
    for name in names:
        if name not in held:
            raise unknown(f"condition dropped by branch {branch.name!r}:", name, held)
    return cond.without(*names)


def _split(output: Output, n: int) -> list[Output]:
    if n == 1:
        return [output]
    rows = len(output.pred) // n
    cut = [slice(k * rows, (k + 1) * rows) for k in range(n)]
    return [Output(output.pred[c], aux={k: v[c] for k, v in output.aux.items()}) for c in cut]
