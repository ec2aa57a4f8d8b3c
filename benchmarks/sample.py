"""Guided DDIM sampling with frisket's sampler against diffusers' model and scheduler, in one run.

    python -m benchmarks.sample --compile --out benchmarks/results/sample.json

Both start from the same noise with the same weights, visit the same times (diffusers' "trailing" spacing, which is
frisket's uniform grid) and run one forward of twice the batch a step for classifier-free guidance, as diffusers'
`DiTPipeline` does; no autoencoder on either side. The states that come out are compared before anything is timed.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from benchmarks.common import PEAK, interleaved, machine, matrix_product, parser, peak, ratio, report, rows_of, table
from benchmarks.peers import CASES, Case, fairness, ours, theirs
from frisket.core.condition import Condition
from frisket.core.step import Step
from frisket.processes.gaussian import Gaussian
from frisket.processes.model_times import Thousand
from frisket.processes.paths import VPLinear
from frisket.processes.predictions import Eps
from frisket.processes.variances import LearnedRange
from frisket.sampling.base import process_noise
from frisket.sampling.guidance import cfg
from frisket.sampling.sampler import Sampler
from frisket.sampling.solvers.ddim import DDIM
from frisket.training.parallel import blocks

SCALE = 1.5
STEPS = 10


def process_of(case: Case) -> Gaussian:
    """DiT's: 1,000 steps of linear betas, noise predicted, with a learned variance where the head has room for it."""
    plain = Gaussian(path=VPLinear(), prediction=Eps(), time=Thousand())
    twice = case.ends[1].channels == 2 * case.ends[0].channels
    return Gaussian(**{**vars(plain), "variance": LearnedRange()}) if twice else plain


def sampled_ours(model: nn.Module, case: Case, batch: int, steps: int) -> Callable[[], Tensor]:
    sampler = Sampler(steps=steps, update=DDIM(), guidance=cfg(SCALE))
    process, label = process_of(case), torch.arange(batch) % case.classes
    step = Step(seed=0, sample=torch.arange(batch))
    model.eval()
    return lambda: sampler.sample(model, process, shape=case.shape, step=step, cond=Condition.of(label=label))


def sampled_theirs(model: nn.Module, case: Case, batch: int, steps: int) -> Callable[[], Tensor]:
    from diffusers import DDIMScheduler

    scheduler: Any = DDIMScheduler(clip_sample=False, timestep_spacing="trailing")
    label = torch.arange(batch) % case.classes
    both, step = torch.cat([label, torch.full_like(label, case.classes)]), Step(seed=0, sample=torch.arange(batch))
    channels = case.shape[0]
    model.eval()

    @torch.no_grad()
    def run() -> Tensor:
        x = process_noise(process_of(case), case.shape, step, "prior")
        scheduler.set_timesteps(steps)
        for t in scheduler.timesteps:
            out = model(torch.cat([x, x]), t.expand(2 * batch), both, return_dict=False)[0][:, :channels]
            given, null = out.chunk(2)
            x = scheduler.step(null + SCALE * (given - null), t, x, return_dict=False)[0]
        return x

    return run


def measure(case: Case, batch: int, steps: int, compiled: bool, rounds: int) -> dict[str, Any]:
    """Everything of one case; prints its table."""
    a = ours(case)
    b = theirs(case, a)
    fair = fairness(case, a, b)
    arms = {"diffusers": sampled_theirs(b, case, batch, steps), "frisket": sampled_ours(a, case, batch, steps)}
    if compiled:
        whole, split = copy.deepcopy(b), copy.deepcopy(a)
        whole.compile()
        for block in blocks(split, {"model": split}):
            block.compile()
        arms["diffusers, compiled"] = sampled_theirs(whole, case, batch, steps)
        arms["frisket, blocks compiled"] = sampled_ours(split, case, batch, steps)
    made = {name: run() for name, run in arms.items()}
    largest = made["diffusers"].abs().max()
    apart = {name: float((x - made["diffusers"]).abs().max() / largest) for name, x in made.items()}
    if max(apart.values()) > 1e-2:
        raise RuntimeError(f"samples differ from diffusers' by {apart} of their largest value")
    times = interleaved({PEAK: matrix_product(), **arms}, rounds)
    rows = rows_of(times, 2.0 * fair["macs_a_sample"] * 2 * batch * steps, "diffusers")
    title = f"\n{case.name}, {batch} samples, {steps} DDIM steps, guidance {SCALE}; base: diffusers eager"
    print(table(title, rows), f"\n  largest relative difference of the samples: {apart}")
    out = {"case": case.name, "batch": batch, "steps": steps, "fairness": fair, "differences": apart,
           "peak_flops": peak(times[PEAK]), "rows": rows}  # fmt: skip
    if compiled:
        out["compiled_over_compiled"] = ratio(times["diffusers, compiled"], times["frisket, blocks compiled"])
    return out


def main(argv: Sequence[str] | None = None) -> dict[str, Any]:
    options = parser(__doc__, rounds=10)
    options.add_argument("--case", choices=sorted(CASES), action="append", help="default: both")
    options.add_argument("--compile", action="store_true", help="also measure the models compiled")
    options.add_argument("--steps", type=int, default=STEPS)
    args = options.parse_args(argv)
    torch.set_num_threads(args.threads)
    rounds, steps = (2, 2) if args.quick else (args.rounds, args.steps)
    result: dict[str, Any] = {
        "what": "seconds of guided DDIM sampling, median of interleaved rounds", "preliminary": args.quick,
        "rounds": rounds, "machine": machine(), "cases": [],
    }  # fmt: skip
    for name in args.case or CASES:
        case = CASES[name]
        batch = min(case.batch, 2) if args.quick else case.batch
        result["cases"].append(measure(case, batch, steps, args.compile, rounds))
    report(result, args.out)
    return result


if __name__ == "__main__":
    main()
