"""Attention against the scan as mixers of tokens: time and memory in one run, and how both grow with the tokens.

    python -m benchmarks.mixers --out benchmarks/results/mixers.json

Each mixer is one layer between two norms (projections included), forward and forward with backward. The exponent is the
slope of log cost over log tokens, fitted to all sizes and to the three largest: 1 is linear, 2 quadratic. It is given
for seconds, for memory and for counted operations. Memory is what the pass allocates at most beyond its inputs and
weights, by torch's own profiler. Pure torch on a CPU: the fused kernels for which scans are known were not run.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from benchmarks.common import Times, interleaved, machine, parser, ratio, report
from frisket.core.sites import Dispatch
from frisket.core.step import Step
from frisket.models.grid import Grid
from frisket.models.init import build_real
from frisket.models.layers.attention import Attention
from frisket.models.layers.base import BranchCall, Mixer, Side, Sizes
from frisket.models.layers.proxies import Proxies
from frisket.models.layers.ssm import SSM
from frisket.models.layers.windows import Windows
from frisket.models.tokens import Tokens

SIDES = (16, 24, 32, 48, 64)  # of the grid: 256 to 4,096 tokens
WIDTH, HEADS = 64, 4
BASE = "attention"
ARMS: dict[str, Callable[[int], Mixer]] = {
    BASE: lambda side: Attention(),
    "two-way scan": lambda side: SSM(),
    "two-way scan, sequential": lambda side: SSM(kernel="sequential"),
    "one-way scan": lambda side: SSM(directions=("forward",)),
    "windows of 8": lambda side: Windows(size=8),
    "proxies, 64 of them": lambda side: Proxies(size=side // 8),
}


class Layer(nn.Module):
    """One mixer with a call ready for a grid of one size."""

    def __init__(self, mixer: Mixer, side: int, device: str = "cpu"):
        super().__init__()
        grid = Grid.of((side, side))
        sizes = Sizes(width=WIDTH, heads=HEADS, condition=WIDTH, grid=grid)
        self.mixer = build_real(lambda: mixer.build(sizes), device=device)
        step = Step(seed=0, sample=torch.zeros(1, dtype=torch.int64))
        self.x = step.draw("tokens", (grid.tokens, WIDTH)).float().to(device).requires_grad_()
        self.tags = Tokens.of(self.x, coords=grid.coords(device), extent=grid.axes).tags
        self.beside = BranchCall(Side(grid=grid, state=grid.tokens, raw=self.x), Dispatch(object()), "", None)

    def forward(self) -> Tensor:
        with torch.no_grad():
            return self.mixer(Tokens(self.x, self.tags), self.beside)

    def both(self) -> None:
        """Forward and backward."""
        self.mixer(Tokens(self.x, self.tags), self.beside).square().mean().backward()


def operations(name: str, side: int) -> int:
    """Multiply-accumulates of a forward, counted without computing it."""
    from torch.utils.flop_counter import FlopCounterMode

    layer = Layer(ARMS[name](side), side, "meta")
    with FlopCounterMode(display=False) as counter:
        layer()
    return counter.get_total_flops() // 2


def most_bytes(call: Callable[[], Any]) -> int:
    """The most that `call` has allocated at once, beyond what was there before."""
    with torch.profiler.profile(activities=[torch.profiler.ProfilerActivity.CPU], profile_memory=True) as profile:
        call()
    held = most = 0
    for event in profile.profiler.kineto_results.events():  # type: ignore[union-attr]
        if event.name() == "[memory]":
            held += event.nbytes()  # type: ignore[attr-defined]
            most = max(most, held)
    return most


def exponent(tokens: Sequence[int], costs: Sequence[float]) -> float:
    """Slope of log cost over log tokens, by least squares."""
    x, y = [math.log(n) for n in tokens], [math.log(c) for c in costs]
    mean_x, mean_y = sum(x) / len(x), sum(y) / len(y)
    return sum((a - mean_x) * (b - mean_y) for a, b in zip(x, y, strict=True)) / sum((a - mean_x) ** 2 for a in x)


def measure(side: int, rounds: int, arms: Sequence[str]) -> list[dict[str, Any]]:
    """All arms at one size; prints its rows."""
    layers = {name: Layer(ARMS[name](side), side) for name in arms}
    times: dict[str, dict[str, Times]] = {
        "forward": interleaved({name: layer.forward for name, layer in layers.items()}, rounds),
        "both": interleaved({name: layer.both for name, layer in layers.items()}, rounds),
    }
    rows = []
    print(f"\n{side * side} tokens")
    for name, layer in layers.items():
        row: dict[str, Any] = {"arm": name, "tokens": side * side, "macs": operations(name, side)}
        for kind, call in (("forward", layer.forward), ("both", layer.both)):
            row[kind] = {
                "seconds": times[kind][name].median, "times_as_fast": ratio(times[kind][BASE], times[kind][name]),
                "bytes": most_bytes(call),
            }  # fmt: skip
        rows.append(row)
        f, b = row["forward"], row["both"]
        print(f"  {name:26} forward {f['seconds'] * 1e3:9.2f} ms x{f['times_as_fast']['median']:5.2f} "
              f"{f['bytes'] / 2**20:8.1f} MiB   with backward {b['seconds'] * 1e3:9.2f} ms "
              f"{b['bytes'] / 2**20:8.1f} MiB   {row['macs'] / 1e6:9.1f} M")  # fmt: skip
    return rows


def exponents(rows: Sequence[dict[str, Any]], arms: Sequence[str]) -> list[dict[str, Any]]:
    """How each arm's costs grow; prints them."""
    read = {
        "macs": lambda row: row["macs"],
        "forward seconds": lambda row: row["forward"]["seconds"], "forward bytes": lambda row: row["forward"]["bytes"],
        "both seconds": lambda row: row["both"]["seconds"], "both bytes": lambda row: row["both"]["bytes"],
    }  # fmt: skip
    out = []
    for name in arms:
        own = sorted((row for row in rows if row["arm"] == name), key=lambda row: row["tokens"])
        for cost, of in read.items():
            tokens, costs = [row["tokens"] for row in own], [max(of(row), 1e-12) for row in own]
            out.append({"arm": name, "cost": cost, "all": exponent(tokens, costs),
                        "largest": exponent(tokens[-3:], costs[-3:])})  # fmt: skip
        print(
            f"  {name:26} " + "  ".join(f"{e['cost']} {e['all']:.2f} ({e['largest']:.2f})" for e in out[-len(read) :])
        )
    return out


def agreement(side: int) -> float:
    """The largest difference between the two forms of the scan at equal weights, over the largest output."""
    chunked, sequential = (Layer(SSM(kernel=kernel), side) for kernel in ("chunked", "sequential"))
    sequential.mixer.load_state_dict(chunked.mixer.state_dict())
    wanted = sequential()
    return float((chunked() - wanted).abs().max() / wanted.abs().max())


def main(argv: Sequence[str] | None = None) -> dict[str, Any]:
    options = parser(__doc__, rounds=5)
    options.add_argument("--side", type=int, choices=SIDES, action="append", help="of the grid; default: all")
    args = options.parse_args(argv)
    torch.set_num_threads(args.threads)
    rounds, sides = (1, (8, 16)) if args.quick else (args.rounds, tuple(args.side or SIDES))
    rows = [row for side in sides for row in measure(side, rounds, tuple(ARMS))]
    print("\nexponents over all sizes (over the three largest)")
    result: dict[str, Any] = {
        "what": "one mixer layer: median seconds of interleaved rounds, most bytes at once, counted operations",
        "preliminary": args.quick, "rounds": rounds, "machine": machine(), "width": WIDTH, "heads": HEADS, "rows": rows,
        "exponents": exponents(rows, tuple(ARMS)), "difference_of_the_scans": agreement(min(sides)),
    }  # fmt: skip
    report(result, args.out)
    return result


if __name__ == "__main__":
    main()
