"""Sudoku by backtracking on bit masks: always the cell with the fewest candidates next (Knuth's rule for exact cover).

Grids are flat lists of s*s symbols 0..s-1, row by row, EMPTY where unknown. Boxes: 2x2 (s = 4), 2 rows by 3 columns
(6), 3x3 (9).
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from typing import no_type_check

import torch
from jaxtyping import Bool, Int
from torch import Tensor

from frisket.core.errors import check

EMPTY = -1
BOXES = {4: (2, 2), 6: (2, 3), 9: (3, 3)}  # size -> rows and columns of a box


@cache
def box_of(size: int) -> tuple[int, ...]:
    """The box 0..s-1 of each of the s*s cells."""
    check(size in BOXES, "data.size", size, "4, 6 or 9")
    rows, columns = BOXES[size]
    across = size // columns
    return tuple((i // size) // rows * across + (i % size) // columns for i in range(size * size))


def solutions(
    grid: Sequence[int], size: int, limit: int = 2, prefer: Sequence[Sequence[int]] | None = None
) -> list[list[int]]:
    """Up to `limit` full grids that agree with `grid`; [] if it contradicts itself, so `len(...) == 1` with limit 2
    means a unique solution. prefer: per cell the order in which symbols are tried (a permutation of 0..s-1)."""
    search = _Search(grid, size, limit, prefer)
    if search.consistent:
        search.descend()
    return search.found


def is_solution(grid: Sequence[int], size: int) -> bool:
    """Whether each row, column and box of a full grid holds every symbol once."""
    boxes, want = box_of(size), set(range(size))
    if len(grid) != size * size:
        return False
    cells = range(size * size)
    for unit in (lambda i: i // size, lambda i: i % size, lambda i: boxes[i]):
        if any({grid[i] for i in cells if unit(i) == u} != want for u in range(size)):
            return False
    return True


def are_solutions(grids: Int[Tensor, "b n"], size: int) -> Bool[Tensor, "b"]:
    """`is_solution` of many full grids at once. Raises `FrisketError` unless n = size * size."""
    check(grids.shape[1:] == (size * size,), "grids.shape", tuple(grids.shape), f"(b, {size * size})")
    cells = torch.arange(size * size).reshape(size, size)
    boxes = torch.tensor(box_of(size)).argsort(stable=True).reshape(size, size)
    units = torch.cat([cells, cells.T, boxes]).to(grids.device)  # (3 size, size)
    want = torch.arange(size, device=grids.device)
    return (grids[:, units].sort(-1).values == want).all(-1).all(-1)


@no_type_check  # its methods run a million times where a puzzle is made; checking each call costs a hundredfold
class _Search:
    """The state of one search: candidates left per row, column and box as bits."""

    def __init__(self, grid: Sequence[int], size: int, limit: int, prefer: Sequence[Sequence[int]] | None):
        check(len(grid) == size * size, "grid", len(grid), f"{size * size} cells")
        self.size, self.limit, self.boxes = size, limit, box_of(size)
        self.prefer = prefer if prefer is not None else [range(size)] * (size * size)
        full = (1 << size) - 1
        self.rows, self.columns, self.free_boxes = [full] * size, [full] * size, [full] * size
        self.grid, self.open, self.found = list(grid), [], []
        self.consistent = True
        for cell, symbol in enumerate(grid):
            if symbol == EMPTY:
                self.open.append(cell)
            elif 0 <= symbol < size and self.free(cell) >> symbol & 1:
                self.flip(cell, 1 << symbol)
            else:
                self.consistent = False

    def free(self, cell: int) -> int:
        return self.rows[cell // self.size] & self.columns[cell % self.size] & self.free_boxes[self.boxes[cell]]

    def flip(self, cell: int, bit: int) -> None:
        self.rows[cell // self.size] ^= bit
        self.columns[cell % self.size] ^= bit
        self.free_boxes[self.boxes[cell]] ^= bit

    def tightest(self) -> tuple[int, int]:
        """Position in `open` and candidates of the cell with the fewest."""
        best, least, place = 0, self.size + 1, -1
        for k, cell in enumerate(self.open):
            candidates = self.free(cell)
            count = candidates.bit_count()
            if count < least:
                best, least, place = candidates, count, k
                if count <= 1:
                    break
        return place, best

    def descend(self) -> None:
        if not self.open:
            self.found.append(list(self.grid))
            return
        place, candidates = self.tightest()
        if not candidates:
            return
        cell, self.open[place] = self.open[place], self.open[-1]
        self.open.pop()
        for symbol in self.prefer[cell]:
            bit = 1 << symbol
            if not candidates & bit:
                continue
            self.grid[cell] = symbol
            self.flip(cell, bit)
            self.descend()
            self.flip(cell, bit)
            if len(self.found) >= self.limit:
                break
        self.grid[cell] = EMPTY
        self.open.append(cell)
        last = len(self.open) - 1
        self.open[place], self.open[last] = self.open[last], self.open[place]
