"""Palette ids: a scene as a small grid of colour ids, for masked-id models that need no learned tokenizer.

Ids 0..5 are the grounds, 6..15 the object colours; view "palette" rendered at token resolution gives them.
"""

from __future__ import annotations

import torch
from jaxtyping import Float, Int
from torch import Tensor

from frisket.core.errors import check
from frisket.data.scenes.vocabulary import COLOUR_RGB, COLOURS, GROUND_RGB, GROUNDS

NAMES = GROUNDS + COLOURS
SIZE = len(NAMES)


def paint(ids: Int[Tensor, "*b h w"]) -> Float[Tensor, "*b 3 h w"]:
    """The colours of palette ids. Raises `FrisketError` on an id outside 0..15."""
    check(bool(((ids >= 0) & (ids < SIZE)).all()), "palette ids", ids.unique().tolist(), f"in 0..{SIZE - 1}")
    return torch.tensor(GROUND_RGB + COLOUR_RGB)[ids].movedim(-1, -3)


def nearest(x: Float[Tensor, "*b 3 h w"]) -> Int[Tensor, "*b h w"]:
    """The palette ids whose colours are nearest to the pixels of `x`."""
    colours = torch.tensor(GROUND_RGB + COLOUR_RGB, dtype=x.dtype)
    return (x.movedim(-3, -1)[..., None, :] - colours).square().sum(-1).argmin(-1)
