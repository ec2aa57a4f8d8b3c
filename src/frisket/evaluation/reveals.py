"""How a sample came about, to look at: boards that fill in step by step, text coloured by when it was revealed.

Shapes: s symbols of a board, n = s * s cells row by row; n characters.
"""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

from frisket.core.errors import check
from frisket.data.sudoku_solver import BOXES, EMPTY
from frisket.evaluation.plots import Figure

CELL = 17
GAP = 22
LABEL = 110


def boards(
    rows: Sequence[tuple[str, Sequence[Sequence[int]]]], known: Sequence[bool], solution: Sequence[int],
    heads: Sequence[str] = (), caption: str = "",
) -> Figure:  # fmt: skip
    """Boards in rows, each row named; a cell is a symbol 0..s-1 (shown from 1 on) or EMPTY. Given cells are plain, found
    ones coloured, wrong ones struck through. heads: what stands over each column."""
    size = round(len(solution) ** 0.5)
    check(size in BOXES, "size of the board", size, "4, 6 or 9")
    check(len(rows) > 0, "rows", (), "at least one")
    side, columns = CELL * size, max(len(states) for _, states in rows)
    width = LABEL + columns * (side + GAP)
    height = 24 + len(rows) * (side + GAP)
    parts = [f'<svg class="chart" viewBox="0 0 {width} {height}" role="img" font-size="11">']
    for k, head in enumerate(heads):
        parts.append(_text(LABEL + k * (side + GAP) + side / 2, 14, escape(head), "var(--soft)"))
    for i, (name, states) in enumerate(rows):
        top = 24 + i * (side + GAP)
        parts.append(f'<text x="0" y="{top + side / 2}" fill="var(--ink)">{escape(name)}</text>')
        for k, cells in enumerate(states):
            parts += _board(LABEL + k * (side + GAP), top, size, cells, known, solution)
    return Figure(markup="".join([*parts, "</svg>"]), caption=caption)


def _board(
    left: float, top: float, size: int, cells: Sequence[int], known: Sequence[bool], solution: Sequence[int]
) -> list[str]:
    tall, wide = BOXES[size]
    side = CELL * size
    parts = []
    for k in range(size + 1):
        for thick, line in ((k % wide == 0, (left + k * CELL, top, left + k * CELL, top + side)),
                            (k % tall == 0, (left, top + k * CELL, left + side, top + k * CELL))):  # fmt: skip
            x1, y1, x2, y2 = line
            stroke = 'stroke="var(--soft)" stroke-width="1.2"' if thick else 'stroke="var(--rule)" stroke-width="0.6"'
            parts.append(f'<line x1="{x1}" y1="{y1}" x2="{x2}" y2="{y2}" {stroke}/>')
    for i, symbol in enumerate(cells):
        if symbol == EMPTY:
            continue
        x, y = left + (i % size + 0.5) * CELL, top + (i // size + 0.5) * CELL + 4
        wrong = symbol != solution[i]
        colour = "var(--ink)" if known[i] else "var(--c1)" if wrong else "var(--c2)"
        parts.append(_text(x, y, str(symbol + 1), colour, ' text-decoration="line-through"' if wrong else ""))
    return parts


def _text(x: float, y: float, text: str, colour: str, more: str = "") -> str:
    return f'<text x="{x}" y="{y}" text-anchor="middle" fill="{colour}"{more}>{text}</text>'


def revealed_text(texts: Sequence[tuple[str, str, Sequence[int]]], moves: int, caption: str = "") -> Figure:
    """Named texts whose characters are tinted by the move that revealed them: the later, the stronger. Each is (name,
    text, the move 0..moves-1 of every character; below 0 for given ones, which stay untinted)."""
    check(moves >= 1, "moves", moves, "at least 1")
    lines = []
    for name, text, when in texts:
        check(len(text) == len(when), "moves of a text", len(when), f"{len(text)}, one a character")
        spans = "".join(
            f'<span style="background:{_tint(move, moves)}" title="move {move + 1}">{escape(c)}</span>'
            for c, move in zip(text, when, strict=True)
        )
        lines.append(f"<div><b>{escape(name)}</b><br><code>{spans}</code></div>")
    return Figure(markup="".join(lines), caption=caption)


def _tint(move: int, moves: int) -> str:
    if move < 0:
        return "none"
    return f"color-mix(in srgb, var(--c2) {round(8 + 62 * move / max(1, moves - 1))}%, transparent)"
