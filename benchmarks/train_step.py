"""A forward pass and a training step (forward, backward, AdamW) of frisket's DiT against diffusers', in one run.

    python -m benchmarks.train_step --compile --out benchmarks/results/train_step.json

Both models have the same weights and are first shown to give the same output. Arms: each model as it is, each compiled
with --compile (frisket block by block, as `Layout(compile=True)` does; diffusers as a whole). The steps use the same
torch AdamW in all arms; the arm "frisket's own AdamW" has the one that frisket's `AdamW` part builds.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from benchmarks.common import PEAK, interleaved, machine, matrix_product, parser, peak, ratio, report, rows_of, table
from benchmarks.peers import CASES, Case, Inputs, call_ours, call_theirs, fairness, inputs, ours, theirs
from frisket.training.optimisers import AdamW, groups, tags
from frisket.training.parallel import blocks

Call = Callable[[nn.Module, Inputs], Tensor]
RATE = 1e-4


def models(case: Case, compiled: bool) -> dict[str, tuple[nn.Module, Call]]:
    """The arms' models, with equal weights."""
    base = ours(case)
    out: dict[str, tuple[nn.Module, Call]] = {
        "diffusers": (theirs(case, base), call_theirs),
        "frisket": (base, call_ours),
    }
    if compiled:
        whole, split = copy.deepcopy(out["diffusers"][0]), copy.deepcopy(base)
        whole.compile()
        for block in blocks(split, {"model": split}):
            block.compile()
        out |= {"diffusers, compiled": (whole, call_theirs), "frisket, blocks compiled": (split, call_ours)}
    return out


def differences(arms: dict[str, tuple[nn.Module, Call]], given: Inputs) -> dict[str, float]:
    """Largest difference of each arm's output and of its gradients from uncompiled frisket's, relative to the largest
    value; gradients only between frisket's own arms, since diffusers cuts its weights differently."""
    seen: dict[str, tuple[Tensor, list[Tensor]]] = {}
    for name, (model, call) in arms.items():
        out = call(model.eval(), given)
        learn = [p for p in model.parameters() if p.requires_grad]
        grads = torch.autograd.grad(nn.functional.mse_loss(out, given.target), learn, allow_unused=True)
        seen[name] = out.detach(), [g for g in grads if g is not None]
    plain, plain_grads = seen["frisket"]
    found = {f"{n}: output": float((o - plain).abs().max() / plain.abs().max()) for n, (o, _) in seen.items()}
    for name, (_, grads) in seen.items():
        if name.startswith("frisket"):
            pairs = zip(grads, plain_grads, strict=True)
            found[f"{name}: gradients"] = max(
                float((g - p).abs().max() / p.abs().max().clamp(min=1e-9)) for g, p in pairs
            )
    return found


def forward_of(model: nn.Module, call: Call, given: Inputs) -> Callable[[], Any]:
    def run() -> Tensor:
        model.eval()
        with torch.no_grad():
            return call(model, given)

    return run


def step_of(model: nn.Module, call: Call, given: Inputs, optimiser: torch.optim.Optimizer) -> Callable[[], Any]:
    def run() -> None:
        model.train()
        nn.functional.mse_loss(call(model, given), given.target).backward()
        optimiser.step()
        optimiser.zero_grad(set_to_none=True)

    return run


def plain_adamw(model: nn.Module) -> torch.optim.Optimizer:
    return torch.optim.AdamW([p for p in model.parameters() if p.requires_grad], lr=RATE)


def own_adamw(model: nn.Module) -> torch.optim.Optimizer:
    return AdamW(lr=RATE).build(groups(model, tags(model, {"model": model})))[0]


def measure(case: Case, batch: int, compiled: bool, rounds: int) -> dict[str, Any]:
    """Everything of one case; prints its tables."""
    arms = models(case, compiled)
    given = inputs(case, batch)
    fair = fairness(case, arms["frisket"][0], arms["diffusers"][0])
    apart = differences(arms, given)
    print(f"\n{case.name}, batch {batch}\n  {fair}\n  differences from frisket: {apart}")
    forwards = {name: forward_of(model, call, given) for name, (model, call) in arms.items()}
    forward = interleaved({PEAK: matrix_product(), **forwards}, rounds, warm=2)
    steps = {name: step_of(model, call, given, plain_adamw(model)) for name, (model, call) in arms.items()}
    for name in [n for n in arms if n.startswith("frisket")]:
        model = copy.deepcopy(arms["frisket"][0])
        if name != "frisket":
            for block in blocks(model, {"model": model}):
                block.compile()
        steps[f"{name}, own AdamW"] = step_of(model, call_ours, given, own_adamw(model))
    step = interleaved({PEAK: matrix_product(), **steps}, rounds, warm=2)
    operations = 2.0 * fair["macs_a_sample"] * batch
    out: dict[str, Any] = {"case": case.name, "batch": batch, "fairness": fair, "differences": apart}
    for kind, times, work in (("forward", forward, operations), ("step", step, 3 * operations)):
        rows = rows_of(times, work, "diffusers")
        print(table(f" {kind}, base: diffusers eager ({peak(times[PEAK]) / 1e9:.0f} Gflop/s peak)", rows))
        out[kind] = {"peak_flops": peak(times[PEAK]), "rows": rows}
        if compiled:
            out[kind]["compiled_over_compiled"] = ratio(times["diffusers, compiled"], times["frisket, blocks compiled"])
            print(f"  frisket compiled over diffusers compiled: {out[kind]['compiled_over_compiled']['median']:.2f}")
    return out


def main(argv: Sequence[str] | None = None) -> dict[str, Any]:
    options = parser(__doc__, rounds=20)
    options.add_argument("--case", choices=sorted(CASES), action="append", help="default: both")
    options.add_argument("--compile", action="store_true", help="also measure the models compiled")
    args = options.parse_args(argv)
    torch.set_num_threads(args.threads)
    torch.manual_seed(0)
    rounds = 2 if args.quick else args.rounds
    result: dict[str, Any] = {
        "what": "seconds of a forward pass and of a training step, median of interleaved rounds",
        "preliminary": args.quick, "rounds": rounds, "machine": machine(), "cases": [],
    }  # fmt: skip
    for name in args.case or CASES:
        case = CASES[name]
        batch = min(case.batch, 2) if args.quick else case.batch
        result["cases"].append(measure(case, batch, args.compile, rounds))
    report(result, args.out)
    return result


if __name__ == "__main__":
    main()
