"""What a step of a mixture of experts costs, beside what its FLOPs say: time must fall with the experts that are active.

    python -m benchmarks.experts --out benchmarks/results/experts.json

Arms: DiT-S/2 with eight experts of which 1, 2, 4 or all 8 are active, and the dense network with the multiply-accumulates
of two; forward and backward of a mean squared error and the balance loss, no optimiser (which pays for all parameters
whoever is active). All arms have the same parameters but the dense one. `of_theory` is measured over counted speed-up
against all eight: 1 means that all FLOPs saved are time saved.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from itertools import pairwise
from typing import Any

import torch
from torch import nn

from benchmarks.common import interleaved, machine, parser, ratio, report
from frisket.core.condition import Condition
from frisket.interop.dit_moe import dit_moe, moe_block
from frisket.models.backbones.transformer import Transformer
from frisket.models.block import repeat
from frisket.models.count import count_macs, count_parameters
from frisket.models.layers.ffn import SwiGLU
from frisket.recipes.dit_moe import mixed

EXPERTS, ACTIVE, SHAPE = 8, (1, 2, 4, 8), (4, 32, 32)
BASE = f"{EXPERTS} of {EXPERTS}"


def arms(depth: int = 12, width: int = 384, patch: int = 2) -> dict[str, Transformer]:
    """Networks alike but for how many experts a token passes, and the dense one."""
    plain = replace(dit_moe("S", EXPERTS, patch=patch), width=width)
    out = {f"{k} of {EXPERTS}": replace(plain, blocks=repeat(moe_block(EXPERTS, k), depth)) for k in ACTIVE}
    return out | {"dense, as 2": replace(plain, blocks=repeat(mixed(SwiGLU(ratio=10.0)), depth))}


def step_of(model: Any, batch: int) -> Callable[[], Any]:
    """Forward and backward of one pass."""
    x = torch.randn(batch, *SHAPE, generator=torch.Generator().manual_seed(0))
    t, label = torch.linspace(0.0, 999.0, batch), torch.arange(batch)

    def run() -> None:
        out = model(x, t, Condition.of(label=label))
        loss = nn.functional.mse_loss(out.pred[:, : SHAPE[0]], x) + sum(out.losses.values())
        loss.backward()
        model.zero_grad(set_to_none=True)

    return run


def measure(configs: dict[str, Transformer], batch: int, rounds: int) -> list[dict[str, Any]]:
    """A row an arm, timed in turn within each round."""
    models = {name: config.build() for name, config in configs.items()}
    times = interleaved({name: step_of(model, batch) for name, model in models.items()}, rounds)
    macs = {name: count_macs(model, SHAPE) for name, model in models.items()}
    rows = []
    for name, model in models.items():
        faster, theory = ratio(times[BASE], times[name]), macs[BASE] / macs[name]
        rows.append({
            "arm": name, "parameters": count_parameters(model), "macs": macs[name], "seconds": times[name].median,
            "theoretical": theory, "measured": faster, "of_theory": faster["processor"] / theory,
        })  # fmt: skip
    return rows


def falls(rows: Sequence[dict[str, Any]]) -> bool:
    """Whether each arm with fewer active experts takes less time than the next."""
    by_name = {row["arm"]: row["measured"]["median"] for row in rows}
    speeds = [by_name[f"{k} of {EXPERTS}"] for k in ACTIVE]
    return all(a > b for a, b in pairwise(speeds))


def main(argv: Sequence[str] | None = None) -> None:
    options = parser(__doc__, rounds=5).parse_args(argv)
    torch.set_num_threads(options.threads)
    batch, rounds = (1, 1) if options.quick else (4, options.rounds)
    rows = measure(arms(2, 96, 4) if options.quick else arms(), batch, rounds)
    print(f"{'':14} {'parameters':>12} {'ms':>9} {'FLOPs':>7} {'measured':>9} {'by cpu':>7} {'of theory':>10}")
    for row in rows:
        m = row["measured"]
        print(
            f"{row['arm']:14} {row['parameters']:12,} {row['seconds'] * 1e3:9.1f} {row['theoretical']:7.2f} "
            f"{m['median']:9.2f} {m['processor']:7.2f} {row['of_theory']:10.2f}"
        )
    result = {"machine": machine(), "batch": batch, "rounds": rounds, "time_falls": falls(rows), "arms": rows}
    report(result, options.out)


if __name__ == "__main__":
    main()
