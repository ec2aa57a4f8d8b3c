"""Which word of a source caption each word of a target caption is.

Shapes: b captions, m words.
"""

from __future__ import annotations

from difflib import SequenceMatcher

import torch
from jaxtyping import Int
from torch import Tensor

from frisket.core.errors import check

HOW = ("replace", "refine")


def alias_of(before: Int[Tensor, "b m"], after: Int[Tensor, "b m"], how: str = "replace") -> Int[Tensor, "b m"]:
    """For every place of `after` the place in `before` of the word that it stands for, -1 for a new word.

    Equal words in the same order stand for each other. Where as many words were exchanged as stood there, "replace"
    lets each take the place of the one it was exchanged for (a swapped word looks where the old one looked); with
    "refine" they are new. Raises `FrisketError` on another `how`.
    """
    check(how in HOW, "words.how", how, f"one of {', '.join(HOW)}")
    out = torch.full_like(after, -1)
    for row, (old, new) in enumerate(zip(before.tolist(), after.tolist(), strict=True)):
        for kind, a, b, c, d in SequenceMatcher(None, old, new, autojunk=False).get_opcodes():
            if kind == "equal" or (kind == "replace" and how == "replace" and b - a == d - c):
                out[row, c:d] = torch.arange(a, b)
    return out
