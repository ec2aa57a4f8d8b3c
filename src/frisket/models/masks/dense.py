"""A mask given as a tensor."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from frisket.core.errors import check
from frisket.models.masks.base import Combines, View


@dataclass(frozen=True, kw_only=True, eq=False)
class Dense(Combines):
    """allowed[q, k], bool (n, m) or (b, n, m), over the tokens of the full sequences: it is read at each token's
    `index` tag, so it holds for chosen tokens too. A value of one run: it is not registered and cannot be saved."""

    table: Tensor
    empty: Literal["zeros", "all"] = "zeros"

    def __post_init__(self):
        fits = self.table.ndim in (2, 3) and self.table.dtype == torch.bool
        check(fits, "mask table", (tuple(self.table.shape), self.table.dtype), "bool of shape (n, m) or (b, n, m)")

    def allowed(self, q: View, k: View) -> Tensor:
        rows, columns = q.tag("index"), k.tag("index")
        return self.table[rows, columns] if self.table.ndim == 2 else self.table[q.row, rows, columns]
