"""What a network with a process inside its head is shown: a state with hidden tokens, and noised copies of it.

The state is a row of tokens (b, d, n). A hidden token is NaN in all its numbers, so that nothing can read it by
mistake. Behind the d numbers of each token stand r noised copies, each d numbers and the time the head is told; a copy
that is NaN asks the head for nothing there.
Shapes: b batch, d numbers of a token, n tokens, r copies.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from frisket.core.errors import check


class Nested(NamedTuple):
    """shown (b, n, d), NaN where hidden; noisy (b, r, n, d), NaN where nothing is asked; time (b, r, n)."""

    shown: Tensor
    noisy: Tensor
    time: Tensor


def hidden_tokens(x: Float[Tensor, "b d n"]) -> Bool[Tensor, "b n"]:
    """True where a token of a state is hidden."""
    return torch.isnan(x[:, 0])


def hide_tokens(x: Float[Tensor, "b d n"], where: Bool[Tensor, "b n"]) -> Float[Tensor, "b d n"]:
    """x with the tokens hidden where True."""
    return x.masked_fill(where.unsqueeze(1), torch.nan)


def pack(
    shown: Float[Tensor, "b d n"], noisy: Float[Tensor, "b r d n"], time: Float[Tensor, "b r n"]
) -> Float[Tensor, "b k n"]:
    """The network's input of k = d + r (d + 1) numbers a token."""
    copies = torch.cat([noisy, time.to(noisy.dtype).unsqueeze(2)], 2)
    return torch.cat([shown, copies.flatten(1, 2)], 1)


def unpack(x: Float[Tensor, "b k n"], d: int) -> Nested:
    """The parts of `pack`, tokens before their numbers. Raises `FrisketError` on another number of channels; a state
    without copies (k = d) has r = 0."""
    more = x.shape[1] - d
    check(more >= 0 and more % (d + 1) == 0, "channels of the input", x.shape[1], f"{d} + a multiple of {d + 1}")
    copies = x[:, d:].unflatten(1, (more // (d + 1), d + 1))
    return Nested(x[:, :d].transpose(1, 2), copies[:, :, :d].transpose(2, 3), copies[:, :, d])
