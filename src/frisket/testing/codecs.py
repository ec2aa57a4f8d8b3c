"""Codecs: data to state and back, in the shape they state."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from frisket.data.base import Info
from frisket.testing.claims import claim, finite, same, untouched_generator


def check_codec(config: Any, x: Any, info: Info, *, error: float | None = None) -> None:
    """The promises of `codecs.base.Codec` on a batch `x` of at least two items of a set with `info`.

    error: the largest mean absolute difference between x and what comes back (None: not checked, for lossy codecs).
    """
    codec = config.build()
    spec = codec.spec(info)
    state = untouched_generator(config, lambda: codec.encode(x))
    claim(len(x) >= 2, config, "needs a batch of at least two items to be checked")
    claim(tuple(state.shape) == (len(x), *spec.shape), config,
          f"encodes to {tuple(state.shape[1:])}, but states {spec.shape}")  # fmt: skip
    claim(same(codec.encode(x), state), config, "encodes differently the second time")
    claim(same(codec.encode(x[1:]), state[1:], 1e-4), config, "the state of an item depends on its batch")
    if spec.kind == "ids":
        claim(not state.is_floating_point(), config, "states ids, but encodes to floating numbers")
        claim(spec.vocabulary is not None, config, "states ids without a vocabulary")
        claim(((state >= 0) & (state < (spec.vocabulary or 0))).all(), config, "encodes to ids outside its vocabulary")
    else:
        claim(state.is_floating_point() and finite(state), config, "states continuous, but is not finite numbers")
    back = codec.decode(state)
    claim(len(back) == len(x), config, "decodes to another number of items")
    if isinstance(x, Tensor):
        claim(back.shape == x.shape, config, f"decodes to {tuple(back.shape)}, the data is {tuple(x.shape)}")
    if error is None:
        return
    if not isinstance(x, Tensor):
        claim(list(back) == list(x), config, "does not give back what it read")
        return
    gap = (back - x).abs().mean()
    claim(gap <= error, config, f"gives back the data to {gap:.3g}, wanted {error:.3g}")
    if spec.kind == "continuous":
        (grad,) = torch.autograd.grad(codec.decode(leaf := state.clone().requires_grad_()).sum(), leaf)
        claim(finite(grad) and grad.abs().sum() > 0, config, "decode is not differentiable")
