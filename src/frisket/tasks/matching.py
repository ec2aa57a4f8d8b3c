"""How far a student is from its teacher: in what both predict, and in what their blocks give.

`output_gap` puts the teacher's estimate in the place of the truth: for a gaussian process the weighted squared error
between the two predictions; with a learned variance also the divergence of the teacher's step from the student's, both
means fixed (at the last step the student's likelihood of the data, as VainF/TinyFusion gaussian_diffusion.py has it);
for a masked process the divergence of the symbols' probabilities where the state is hidden. `masked_gap` is
TinyFusion's masked representation loss (arXiv 2412.01199): entries far from their sample's mean count as zero, each
side by its own statistics, so that massive activations are not imitated.
Shapes: b batch, n tokens, d width, `*s` the state's shape.
"""

from __future__ import annotations

from dataclasses import replace

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from frisket.core.condition import Output
from frisket.core.errors import FrisketError
from frisket.processes.base import Corrupted, Process, mean_over
from frisket.processes.gaussian import Gaussian
from frisket.processes.variances import kl_bits, nll_bits


def output_gap(
    process: Process, output: Output, taught: Output, corrupted: Corrupted, valid: Bool[Tensor, "b ..."] | None = None
) -> dict[str, Float[Tensor, "b"]]:
    """Named terms a sample, weighted as the process weighs its own loss; the teacher's output gets no gradient."""
    if not corrupted.x_t.is_floating_point():
        return {"match": _symbol_gap(process, output, taught, corrupted, valid)}
    taught = Output(taught.pred.detach())
    aim = process.estimate(taught, corrupted.x_t, corrupted.local)
    terms = process.loss(output, replace(corrupted, x0=aim.x0, noise=aim.noise), valid)
    out = {"match": terms["denoise"]}
    if "vlb" in terms:
        out["match_variance"] = _variance_gap(process, output, taught, corrupted, valid)
    return out


def _symbol_gap(process: Process, output: Output, taught: Output, c: Corrupted, valid: Tensor | None) -> Tensor:
    """KL(teacher || student) in nats over the symbols, the mean over the hidden elements."""
    ours = process.estimate(output, c.x_t, c.local).logits
    theirs = process.estimate(Output(taught.pred.detach()), c.x_t, c.local).logits
    assert ours is not None
    assert theirs is not None
    assert c.hidden is not None
    gap = (theirs.exp() * (theirs - ours)).sum(-1)
    return mean_over(gap, c.hidden if valid is None else c.hidden & valid)


def _variance_gap(process: Process, output: Output, taught: Output, c: Corrupted, valid: Tensor | None) -> Tensor:
    """KL(teacher's step || student's step) in bits an element; only the student's variance gets a gradient."""
    if not isinstance(process, Gaussian) or c.known is not None or valid is not None or c.local.ndim > 1:
        raise FrisketError("a learned variance is distilled under a gaussian process with one time a sample, all of "
                           "the state noised and valid")  # fmt: skip
    step = 1 / process.variance.bound_steps()
    s = c.local.to(torch.float64) - step
    s = torch.where(s < 1e-4 * step, torch.zeros_like(s), s)
    means, logs, final = [], [], None
    for one in (taught, output):
        estimate = process.estimate(one, c.x_t, c.local)
        assert estimate.x0 is not None
        moments = process.moments(c.x_t, estimate.x0.detach(), c.local, s)
        means.append(moments.mean)
        logs.append(process.variance.log_variance(moments, estimate.variance))
        final = moments.final
    assert final is not None
    gap = kl_bits(means[0], logs[0], means[1], logs[1])
    return mean_over(torch.where(final, nll_bits(c.x0, means[1], logs[1]), gap), None)


def masked_gap(
    student: Float[Tensor, "b n d"], teacher: Float[Tensor, "b n d"], outliers: float = 2.0
) -> Float[Tensor, "b"]:
    """Mean square a sample of the difference, entries farther than `outliers` standard deviations from their sample's
    mean set to zero on their own side. Where only one side has an outlier, the other is compared with zero (as in the
    official code). The teacher gets no gradient."""
    teacher = teacher.detach()
    return (student * inside(student, outliers) - teacher * inside(teacher, outliers)).square().flatten(1).mean(1)


def inside(h: Float[Tensor, "b n d"], outliers: float) -> Bool[Tensor, "b n d"]:
    """Where h lies within `outliers` standard deviations (unbiased, over tokens and width) of its sample's mean."""
    variance, mean = torch.var_mean(h.detach(), dim=(1, 2), keepdim=True)
    return (h.detach() - mean).abs() < outliers * variance.sqrt()
