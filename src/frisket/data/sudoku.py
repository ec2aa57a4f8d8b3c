"""Endless sudoku puzzles with a unique solution, of size 4, 6 or 9.

A pool of base puzzles is made once per process: random grids from which clues are taken away while the solution stays
unique. Item i moves a base puzzle by symmetries that keep both the rules and uniqueness exactly (renaming symbols,
permuting bands, rows within a band, stacks, columns within a stack, and transposing where boxes are square) and then
shows further cells until `clues` are known. Everything is a pure function of (seed, split, i). Splits: a full grid is
the test's when a hash of it says so (one in four), for any seed, so the splits share no solution. With size 4 there
are only two grids up to symmetry: verdicts belong on 6 or 9. Shapes: b items, s symbols, n = s*s cells row by row.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

import torch
from jaxtyping import Bool, Int
from torch import Tensor

from frisket.core import config, random
from frisket.core.errors import FrisketError, check
from frisket.core.registry import register
from frisket.data.base import Batch, Info, Split
from frisket.data.files import check_split
from frisket.data.sudoku_solver import BOXES, EMPTY, are_solutions, solutions

POOL = 24
FEWEST = {4: 5, 6: 10, 9: 25}  # what taking clues away reaches within a few tries; the true minima are 4, 8 and 17
TRIES = 200
TEST_SHARE = 4


@register("data/sudoku")
@dataclass(frozen=True, kw_only=True)
class Sudoku:
    """`x` the solution, int64 (b, n) in 0..s-1; `known` bool (b, n), True on the `clues` cells that are given.

    clues: FEWEST[size]..s*s; the fewer, the harder.
    """

    size: int = 9
    clues: int = 32
    seed: int = 0

    def __post_init__(self):
        check(self.size in BOXES, "data.size", self.size, "4, 6 or 9")
        low, high = FEWEST[self.size], self.size**2
        check(low <= self.clues <= high, "data.clues", self.clues, f"in {low}..{high} for size {self.size}")

    def open(self, split: Split = "train") -> SudokuSource:
        check_split(split)
        return SudokuSource(self, split)


@register("judge/sudoku")
@dataclass(frozen=True, kw_only=True)
class SudokuRules:
    """Whether a made grid is right: every row, column and box holds every symbol once, and the clues are untouched."""

    size: int = 9

    def __post_init__(self):
        check(self.size in BOXES, "judge.size", self.size, "4, 6 or 9")

    def right(self, made: Int[Tensor, "b n"], batch: Batch) -> Bool[Tensor, "b"]:
        """batch: the puzzles, as `SudokuSource.batch` gives them, on the device of `made`."""
        clues = batch["known"]
        return are_solutions(made, self.size) & ((made == batch["x"]) | ~clues).all(1)


class SudokuSource:
    """Puzzles made on request. judge: says which grids made for them are right."""

    def __init__(self, puzzle: Sudoku, split: Split):
        self.puzzle, self.split = puzzle, split
        self.judge = SudokuRules(size=puzzle.size)
        extra = {"vocabulary": puzzle.size, "length": puzzle.size**2, "clues": puzzle.clues}
        self.info = Info(kind="ids", shape=(puzzle.size**2,), digest=config.digest(puzzle), extra=extra)

    def batch(self, ids: Tensor) -> Batch:
        x = torch.empty(len(ids), self.puzzle.size**2, dtype=torch.int64)
        known = torch.zeros_like(x, dtype=torch.bool)
        todo, attempt = torch.arange(len(ids)), 0
        while len(todo):
            found, clue = self._propose(ids[todo], attempt)
            fits = (_grid_hash(found) % TEST_SHARE == 0) == (self.split == "test")
            x[todo[fits]], known[todo[fits]] = found[fits], clue[fits]
            todo, attempt = todo[~fits], attempt + 1
        return {"x": x, "known": known, "id": ids.to(torch.int64)}

    def _propose(self, ids: Tensor, attempt: int) -> tuple[Tensor, Tensor]:
        """The attempt-th candidate of each item, of either split."""
        s, n = self.puzzle.size, self.puzzle.size**2
        grids, clues = _pool(s)
        keys = random.key(self.puzzle.seed, ids, random.hash_text(f"sudoku/{self.split}"), attempt)
        u = random.uniform(keys, 2 + 5 * s + n)
        base, flip = (u[:, 0] * POOL).long(), u[:, 1] < 0.5
        rows, columns = BOXES[s]
        row = _lines(u[:, 2 : 2 + 2 * s], s, rows)
        column = _lines(u[:, 2 + 2 * s : 2 + 4 * s], s, columns)
        cells = (row[:, :, None] * s + column[:, None, :]).flatten(1)
        if rows == columns:
            across = (cells % s) * s + cells // s
            cells = torch.where(flip[:, None], across, cells)
        names = u[:, 2 + 4 * s : 2 + 5 * s].argsort(1)
        x = names.gather(1, grids[base].gather(1, cells))
        given = clues[base].gather(1, cells)
        rank = (u[:, 2 + 5 * s :] - given.double()).argsort(1).argsort(1)  # base clues first, then random cells
        return x, rank < self.puzzle.clues


def _lines(u: Tensor, size: int, thick: int) -> Tensor:
    """A permutation of `size` lines (b, size) that permutes bands of `thick` lines and the lines within each band."""
    bands = u[:, : size // thick].argsort(1)
    within = u[:, size:].unflatten(1, (size // thick, thick)).argsort(2)
    return (bands[:, :, None] * thick + within).flatten(1)


def _grid_hash(x: Tensor) -> Tensor:
    out = torch.zeros(len(x), dtype=torch.int64)
    for column in x.T:
        out = random.mix(out * 31 + column + 1)
    return out


@cache
def _pool(size: int) -> tuple[Tensor, Tensor]:
    """POOL solutions (pool, n) and their base clues, bool (pool, n), each with at most FEWEST[size] clues."""
    made = [_base_puzzle(size, number) for number in range(POOL)]
    return torch.tensor([grid for grid, _ in made]), torch.tensor([clue for _, clue in made])


def _base_puzzle(size: int, number: int) -> tuple[list[int], list[bool]]:
    n = size * size
    for attempt in range(TRIES):
        keys = random.key(0, torch.tensor([number]), random.hash_text(f"sudoku/pool/{size}"), attempt)
        u = random.uniform(keys, n * (size + 1)).reshape(n, size + 1)
        grid = _random_grid(size, u[:, 1:])
        left = list(grid)
        for cell in u[:, 0].argsort().tolist():
            if n - left.count(EMPTY) == FEWEST[size]:
                break
            held, left[cell] = left[cell], EMPTY
            if len(solutions(left, size)) != 1:
                left[cell] = held
        if n - left.count(EMPTY) == FEWEST[size]:
            return grid, [symbol != EMPTY for symbol in left]
    raise FrisketError(f"sudoku: no base puzzle of size {size} with {FEWEST[size]} clues in {TRIES} tries")


def _random_grid(size: int, u: Tensor) -> list[int]:
    """A full grid, found by search from nothing with a random order of symbols at every cell. u: (n, s)."""
    empty = [EMPTY] * (size * size)
    return solutions(empty, size, limit=1, prefer=u.argsort(1).tolist())[0]
