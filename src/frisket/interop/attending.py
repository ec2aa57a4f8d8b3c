"""The attention inside a foreign branch as a site of its own: `block[i].NAME.attend`.

While handlers stand there, torch's attention function, which the attention of diffusers ends in whatever its class or
processor, passes through the dispatcher with the arguments of `models.attend.attend`. Positions are applied before it, so
none are handed on; what a mask adds to scores stands in for the bias. Tokens carry no tags, so a joint attention's text
keys are not told from the image's: name them as ranges where they must not be skipped. Other attention kernels (flash,
xformers, set by `set_attention_backend`) do not pass here.
Shapes: b batch, h heads, n queries, m keys, d width of a head.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import scaled_dot_product_attention
from torch.overrides import TorchFunctionMode

from frisket.core.errors import FrisketError
from frisket.core.sites import Dispatch
from frisket.models.attend import ALL, attend
from frisket.models.tokens import Tags

NAMES = ("query", "key", "value", "attn_mask", "dropout_p", "is_causal", "scale", "enable_gqa")


@dataclass(frozen=True)
class _Added:
    """Positions that only add to the scores."""

    bias: Tensor

    def place(self, q: Tensor, k: Tensor, q_tags: Tags, k_tags: Tags) -> tuple[Tensor, Tensor, Tensor]:
        return q, k, self.bias


class Attending(TorchFunctionMode):
    """Calls of torch's attention function meanwhile are calls of `site`."""

    def __init__(self, at: Dispatch, site: str):
        super().__init__()
        self.at, self.site = at, site

    def __torch_function__(self, func: Callable, types: Any, args: tuple = (), kwargs: dict[str, Any] | None = None):
        kwargs = kwargs or {}
        if func is not scaled_dot_product_attention:
            return func(*args, **kwargs)
        given = dict(zip(NAMES, args, strict=False)) | kwargs
        q, k, v, mask = (given.get(name) for name in NAMES[:4])
        assert isinstance(q, Tensor)
        assert isinstance(k, Tensor)
        plain = q.shape[-1] ** -0.5
        scale = plain if given.get("scale") is None else given["scale"]
        strange = [name for name in ("dropout_p", "is_causal", "enable_gqa") if given.get(name)]
        if strange or q.ndim != 4:
            raise FrisketError(
                f"{self.site}: attention with {', '.join(strange) or f'{q.ndim} axes'} has no handlers yet"
            )
        tags = Tags(n=q.shape[2]), Tags(n=k.shape[2])
        positions = None if mask is None else _Added(_bias(mask, q))
        q = q if scale == plain else q * (scale / plain)
        return self.at(self.site, attend, q, k, v, *tags, ALL, positions)  # a mode does not see what it calls itself


def _bias(mask: Tensor, q: Tensor) -> Tensor:
    """What a mask adds: itself, or -inf where it is False."""
    if mask.dtype != torch.bool:
        wide = mask
    else:
        wide = torch.zeros(mask.shape, dtype=q.dtype, device=q.device).masked_fill(~mask, float("-inf"))
    while wide.ndim < 4:
        wide = wide.unsqueeze(0)
    return wide
