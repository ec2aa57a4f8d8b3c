"""Rollout: a video continued window by window, each window given the end of what there is.

Mask^2DiT (arXiv 2503.19881) extends a story so: the scenes already told are put in clean, one more is made, and the
window moves on. How the given frames are shown while sampling is the sampler's own correction.
Shapes: b videos, c channels, t frames of a window, u frames so far, h w pixels.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from frisket.core.errors import check
from frisket.sampling.pipeline import Pipeline


def extend(
    pipeline: Pipeline, x: Float[Tensor, "b c u h w"], windows: Sequence[Mapping[str, Any]], *, fresh: int,
    seed: int = 0, **how: Any,
) -> Float[Tensor, "b c v h w"]:  # fmt: skip
    """x with `fresh` new frames behind it for each of `windows`, the conditions of one window of the model's length:
    its last `fresh` frames are made, those before are the end of the video so far. The window number i is sampled from
    seed + i. how: further arguments of `Pipeline.edit`. Frames of x come back bit for bit. Raises `FrisketError` if x
    is too short to fill a window's given part."""
    length = pipeline.info.shape[1]
    check(1 <= fresh <= length, "fresh", fresh, f"between 1 and the {length} frames of a window")
    check(x.shape[2] >= length - fresh, "frames given", x.shape[2], f"at least {length - fresh}")
    new = torch.arange(length).view(1, 1, -1, 1, 1) >= length - fresh
    for i, conditions in enumerate(windows):
        empty = x.new_zeros(*x.shape[:2], fresh, *x.shape[3:])
        window = torch.cat([x[:, :, x.shape[2] - (length - fresh) :], empty], 2)
        made = pipeline.edit(window, new.expand(len(x), 1, -1, *x.shape[3:]), seed=seed + i, **{**conditions, **how})
        x = torch.cat([x, made[:, :, length - fresh :]], 2)
    return x
