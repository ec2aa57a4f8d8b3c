"""What a token plan saves in a training step, beside what its FLOPs say, at the size of DiT-S/2.

    python -m benchmarks.token_plans --out benchmarks/results/token_plans.json

Arms: a dense step, and one for each plan, forward and backward of a mean squared error (no optimiser, which no plan
shortens); plans draw anew in every step, and drawing is timed with it. The FLOP ratio is that of `count_macs_chosen`.
`kept of the saving` is measured over theoretical speed-up: 1 means that all FLOPs saved are time saved.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import torch
from torch import nn

from benchmarks.common import interleaved, machine, parser, ratio, report
from frisket.core.condition import Condition
from frisket.core.step import Step
from frisket.interop.mdt import mdt_block, mdt_v1, mdt_v2
from frisket.models.backbones.sizes import DIT, dit
from frisket.models.backbones.transformer import Transformer
from frisket.models.block import repeat
from frisket.models.count import count_macs, count_macs_chosen
from frisket.models.plans.fusion import Fused
from frisket.models.plans.routing import Routing
from frisket.tasks.diffusion import chooses_of

GOAL = 0.85  # of the theoretical speed-up
Arm = tuple[Transformer, Transformer]  # with its plan, and the same network without one


def arms() -> dict[str, Arm]:
    """The plans at DiT-S/2, each beside the dense network of its own kind."""
    plain = dit("S", 2)
    biased = replace(plain, blocks=repeat(mdt_block(), DIT["S"][0]))
    folded = replace(mdt_v2(*DIT["S"]), plan=None)
    return {
        "routing, half (TREAD)": (replace(plain, plan=Routing()), plain),
        "fusion, a quarter (SPRINT)": (replace(plain, plan=Fused()), plain),
        "side block, 30 % out (MDT)": (mdt_v1(*DIT["S"]), biased),
        "side block, skips (MDTv2)": (mdt_v2(*DIT["S"]), folded),
    }


def step_of(model: Any, batch: int) -> Callable[[], Any]:
    """Forward and backward of one drawn pass; another draw each time."""
    x = torch.randn(batch, 4, 32, 32, generator=torch.Generator().manual_seed(0))
    t, label = torch.linspace(0.0, 999.0, batch), torch.arange(batch)
    chooses, count = chooses_of(model.config, {}), [0]

    def run() -> None:
        count[0] += 1
        step = Step(seed=0, sample=torch.arange(batch), index=count[0])
        keep = model.config.plan.draw(model.tags(x), step) if chooses else None
        out = model(x, t, Condition.of(label=label), keep).pred
        nn.functional.mse_loss(out[:, :4], x).backward()
        model.zero_grad(set_to_none=True)

    return run


def measure(name: str, arm: Arm, batch: int, rounds: int) -> dict[str, Any]:
    planned, dense = (config.build() for config in arm)
    shape = (4, 32, 32)
    theory = count_macs(dense, shape) / count_macs_chosen(planned, shape, chooses_of(planned.config, {}))
    times = interleaved({"dense": step_of(dense, batch), "planned": step_of(planned, batch)}, rounds)
    found = ratio(times["dense"], times["planned"])
    kept = {k: found[k] / theory for k in ("median", "processor")}
    return {
        "plan": name, "theoretical": theory, "measured": found, "kept_of_the_saving": kept,
        "seconds": {arm: held.median for arm, held in times.items()}, "reached": max(kept.values()) >= GOAL,
    }  # fmt: skip


def main(argv: Sequence[str] | None = None) -> None:
    options = parser(__doc__, rounds=5).parse_args(argv)
    torch.set_num_threads(options.threads)
    batch, rounds = (2, 1) if options.quick else (8, options.rounds)
    rows = [measure(name, arm, batch, rounds) for name, arm in arms().items()]
    print(f"{'':30} {'FLOPs':>7} {'measured':>9} {'by cpu':>7} {'kept':>6}")
    for row in rows:
        m, kept = row["measured"], row["kept_of_the_saving"]
        print(
            f"{row['plan']:30} {row['theoretical']:7.2f} {m['median']:9.2f} {m['processor']:7.2f} "
            f"{kept['processor']:6.2f}"
        )
    report({"machine": machine(), "batch": batch, "rounds": rounds, "goal": GOAL, "plans": rows}, options.out)


if __name__ == "__main__":
    main()
