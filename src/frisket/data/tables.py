"""Numeric columns of a CSV file. Lines that start with # are left out; a first row that is not all numbers is the
header."""

from __future__ import annotations

import csv
import math
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from frisket.core.errors import FrisketError, unknown
from frisket.data.files import Skips


def read_columns(path: Path, columns: Sequence[str], skips: Skips) -> tuple[tuple[str, ...], np.ndarray]:
    """The chosen columns' names and their values, float64 (rows, columns), in file order.

    columns: names (numbers as strings when the file has no header); empty takes every column whose first value is a
    number. A row that is blank in all chosen columns is no observation and is left out; one with a missing,
    non-numeric or non-finite value is broken: noted in `skips` and left out. Raises `FrisketError` on an unknown
    column, too many broken rows, or no good row.
    """
    names, rows = _rows(path)
    first = next(rows, None)
    if first is None:
        raise FrisketError(f"csv: {str(path)!r} holds no rows")
    if columns:
        for name in columns:
            if name not in names:
                raise unknown(f"column of {str(path)!r}", name, names)
        chosen = [names.index(name) for name in columns]
    else:
        chosen = [k for k, cell in enumerate(first[1]) if k < len(names) and _is_number(cell)]
    if not chosen:
        raise FrisketError(f"csv: {str(path)!r} has no numeric column (columns: {', '.join(names)})")
    values = []
    for line, cells in _chain(first, rows):
        if all(k >= len(cells) or not cells[k].strip() for k in chosen):
            continue
        try:
            row = [float(cells[k]) for k in chosen]
            if not all(map(math.isfinite, row)):
                raise ValueError("a value is not finite")
            values.append(row)
        except (ValueError, IndexError) as error:
            skips.add(f"{path}:{line}", error)
    if not values:
        raise FrisketError(
            f"csv: {str(path)!r} holds no row with numbers in all of {', '.join(names[k] for k in chosen)}"
        )
    return tuple(names[k] for k in chosen), np.asarray(values, dtype=np.float64)


def _rows(path: Path) -> tuple[list[str], Iterator[tuple[int, list[str]]]]:
    """The column names, and (line number, cells) of every row below them."""
    rows = _lines(path)
    first = next(rows, None)
    if first is None:
        raise FrisketError(f"csv: {str(path)!r} is empty")
    if all(_is_number(cell) for cell in first[1]):
        return [str(k) for k in range(len(first[1]))], _chain(first, rows)
    return [cell.strip() for cell in first[1]], rows


def _lines(path: Path) -> Iterator[tuple[int, list[str]]]:
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            reader = csv.reader(file)
            for cells in reader:
                if cells and not cells[0].startswith("#"):
                    yield reader.line_num, cells
    except (UnicodeDecodeError, csv.Error, OSError) as error:
        raise FrisketError(f"csv: {str(path)!r} cannot be read: {error}") from error


def _chain(first: tuple[int, list[str]], rest: Iterator[tuple[int, list[str]]]) -> Iterator[tuple[int, list[str]]]:
    yield first
    yield from rest


def _is_number(cell: str) -> bool:
    try:
        float(cell)
    except ValueError:
        return False
    return True
