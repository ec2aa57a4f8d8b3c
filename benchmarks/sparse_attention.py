"""Attention over some tiles against torch's dense kernel: seconds in one run, and the output's error beside them.

    python -m benchmarks.sparse_attention --out benchmarks/results/sparse_attention.json

Queries and keys are random features of smooth places on a square (nearby tokens look at each other, as in images), and
the alive tiles are those with the largest scores against each query's own best, so the error is that of a good choice; `random tiles` is the error of a
blind one. Arms: dense SDPA, the tile kernel (which also finds the gaps) and the gathered kernel, each at several shares
of alive tiles. On a CPU; no GPU kernel was run.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import scaled_dot_product_attention

from benchmarks.common import interleaved, machine, parser, ratio, report
from frisket.caching.tile_choices import best
from frisket.caching.tile_kernels import KERNELS
from frisket.caching.tiles import Tile, tile_excess
from frisket.core.step import Step

DENSE = "dense SDPA"
SHARES = (1.0, 0.5, 0.25, 0.125)
SIZES = {1024: 64, 2048: 64, 4096: 64, 8192: 128, 16384: 128}  # tokens: side of a tile
HEADS, WIDTH = 2, 64
SHARPNESS = 12.0  # of attention: how narrow the places are that a token looks at


def inputs(n: int) -> tuple[Tensor, Tensor, Tensor]:
    """q, k (1, h, n, d): cosines of random directions over the square, so q.k falls off with distance; v normal."""
    side = math.isqrt(n)
    height, width = side, n // side
    step = Step(seed=0, sample=torch.zeros(1, dtype=torch.int64))
    y, x = torch.meshgrid(torch.arange(height) / height, torch.arange(width) / width, indexing="ij")
    place = torch.stack([y, x], -1).reshape(1, 1, n, 2).float()
    waves = SHARPNESS * step.draw("waves", (HEADS, 2, WIDTH)).float()
    shift = 2 * math.pi * step.draw("shift", (HEADS, 1, WIDTH), "uniform").float()
    features = torch.cos(place @ waves + shift) * math.sqrt(2.0)  # (1, h, n, d): q.k / d is a gaussian of distance
    return 2.0 * features, features, step.draw("values", (HEADS, n, WIDTH)).float()


def alive_tiles(q: Tensor, k: Tensor, tile: Tile, share: float) -> dict[str, Tensor]:
    """The best `share` of each query tile's key tiles by their scores, and as many drawn blindly."""
    shape = (1, HEADS, *tile.counts(q.shape[2], k.shape[2]))
    step = Step(seed=0, sample=torch.zeros(1, dtype=torch.int64))
    return {"best": best(tile_excess(q, k, tile), share), "random": best(step.draw("tiles", shape[1:], "uniform"), share)}


def error(out: Tensor, wanted: Tensor) -> float:
    return float((out - wanted).norm() / wanted.norm())


def measure(n: int, side: int, rounds: int) -> dict[str, Any]:
    """One size; prints its rows."""
    q, k, v = inputs(n)
    tile = Tile(queries=side, keys=side)
    arms: dict[str, Callable[[], Any]] = {DENSE: partial(scaled_dot_product_attention, q, k, v)}
    errors: dict[str, dict[str, float]] = {}
    wanted = arms[DENSE]()
    for share in SHARES:
        chosen = alive_tiles(q, k, tile, share)
        for name in ("tiles", "gathered"):
            arm = f"{name}, {share:g} alive"
            arms[arm] = partial(KERNELS[name], q, k, v, chosen["best"], tile, None)
            blind = KERNELS["gathered"](q, k, v, chosen["random"], tile, None)
            errors[arm] = {"error": error(arms[arm](), wanted), "error_random_tiles": error(blind, wanted)}
    times = interleaved(arms, rounds)
    rows = []
    print(f"\n{n} tokens, tiles of {side}, {HEADS} heads of {WIDTH}: dense {times[DENSE].median * 1e3:.1f} ms")
    for arm in arms:
        faster = ratio(times[DENSE], times[arm])
        rows.append({"arm": arm, "seconds": times[arm].median, "times_as_fast": faster, **errors.get(arm, {})})
        told = errors.get(arm, {"error": 0.0, "error_random_tiles": 0.0})
        print(f"  {arm:24} {times[arm].median * 1e3:9.1f} ms  x{faster['median']:.2f}  error {told['error']:.2e}"
              f"  (random tiles {told['error_random_tiles']:.2e})")  # fmt: skip
    return {"tokens": n, "tile": side, "heads": HEADS, "width": WIDTH, "rows": rows}


def main(argv: Sequence[str] | None = None) -> dict[str, Any]:
    options = parser(__doc__, rounds=5)
    options.add_argument("--tokens", type=int, choices=sorted(SIZES), action="append", help="default: all")
    args = options.parse_args(argv)
    torch.set_num_threads(args.threads)
    rounds = 1 if args.quick else args.rounds
    sizes = args.tokens or (min(SIZES),) if args.quick else args.tokens or tuple(SIZES)
    result: dict[str, Any] = {
        "what": "seconds of one attention call, median of interleaved rounds, and relative error to dense attention",
        "preliminary": args.quick, "rounds": rounds, "machine": machine(), "sizes": [],
    }  # fmt: skip
    with torch.no_grad():
        for n in sizes:
            result["sizes"].append(measure(n, SIZES[n], rounds))
    report(result, args.out)
    return result


if __name__ == "__main__":
    main()
