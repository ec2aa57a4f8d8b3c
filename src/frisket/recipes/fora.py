"""FORA: every N-th step runs the whole network, the steps between reuse each branch's stored output. No training.

Ungated outputs of attention and MLP are stored and the current step's gates applied to them; embedders, modulation and
head run at every step. Official code differs from the paper's text and from its own defaults: its script samples with
the ancestral loop and not DDIM, its caches are built for 28 layers exactly, and its default arguments
(`--save-cache boost_infer`, threshold 98) match no branch, so they run densely. Used here is `boost_infer_static`.
`paper` is DiT-XL/2 with N = 3; its weights are DiT's own.
"""

from dataclasses import replace

import torch

from frisket.caching.intervals import Interval
from frisket.core.condition import Condition
from frisket.core.step import Step, use_step
from frisket.evaluation.compare import less
from frisket.experiments.experiment import Experiment, Study
from frisket.experiments.paper import Count, Paper, Parity
from frisket.interop.golden import golden
from frisket.interop.official import load_official
from frisket.recipes import dit
from frisket.sampling.guidance import cfg
from frisket.sampling.sampler import Sampler
from frisket.sampling.solvers.ddim import DDIM

PAPER = Paper(
    card=116, arxiv="2407.01425", year=2024,
    title="FORA: Fast-Forward Caching in Diffusion Transformer Acceleration",
    authors="Pratheba Selvaraju, Tianyu Ding, Tianyi Chen, Ilya Zharkov and Luming Liang",
    does="branch outputs of a diffusion transformer are reused between every N-th step; needs no training",
    claim="sampling takes a fraction of the compute with almost the quality of the full run",
)  # fmt: skip

FULL_STEPS = {(250, 3): 84, (250, 5): 51, (50, 3): 18, (50, 6): 10}
COUNTS = tuple(
    Count(name=f"full steps of {total} at N = {n}", published=count,
          compute=lambda n=n, total=total: Interval(every=n).full_steps(total))
    for (total, n), count in FULL_STEPS.items()
)  # fmt: skip
VARIANTS = {
    "forecast": "TaylorSeer: Interval(every=N, forecast=Taylor(order=1)) continues the stored outputs instead",
    "attention only": 'Interval(every=N, branches=("attn",))',
}

STEPS = 50


def cached(every: int) -> dict:
    return {"sampler.caches": (Interval(every=every),)}


def fewer(every: int) -> dict:
    """As many steps as the cached run has full ones; the cached run spends a little more."""
    return {"sampler.steps": Interval(every=every).full_steps(STEPS), "sampler.caches": ()}


STUDY = Study(
    bench={"n_samples": 359},
    arms={
        "dense": {"sampler.caches": ()},
        **{f"N = {n}": cached(n) for n in (2, 3, 5)},
        **{f"as many steps as N = {n} has full ones": fewer(n) for n in (2, 3, 5)},
    },
    budget="compute",
    measures=("dense_distance", "compute", "full_forwards", "frechet"),
    expect=tuple(
        less(measure, f"N = {n}", f"as many steps as N = {n} has full ones")
        for measure in ("dense_distance", "frechet") for n in (2, 3, 5)
    ),
    note="Whether a cached run is better than the dense run that takes as many steps as the cached one has full ones: "
    "by distance to the 50-step dense sample of the same noise and by Frechet distance, in place of FID. At this scale "
    "a few dense steps of DDIM are a strong rival. compute is measured: multiply-adds, as a share of the dense run's.",
)  # fmt: skip


def difference() -> float:
    """The largest difference to the official network over the stored run of 8 steps at N = 3, full steps and cached."""
    weights, inputs, out = golden("fora")
    model = load_official("dit", weights, num_heads=4)
    states, times, label = inputs["x"], inputs["t"], Condition.of(label=inputs["y"])
    worst, total = 0.0, len(states)
    with torch.no_grad(), Interval(every=3).install(model) as report:
        for index in range(total):
            with use_step(Step(seed=0, sample=torch.arange(states.shape[1]), index=index, total=total)):
                pred = model(states[index], times[index], label).pred
            worst = max(worst, float((pred - out[index]).abs().max()))
    same = [forward.full for forward in report.forwards] == inputs["full"].tolist()
    return worst if same else float("inf")


PARITY = Parity(kind="module", difference=difference)


def experiment(size: str) -> Experiment:
    start = dit.experiment(size)
    sampler = Sampler(steps=STEPS, update=DDIM(), guidance=cfg(1.5), caches=(Interval(every=3),))
    if size == "paper":
        assert start.sampler is not None
        sampler = replace(start.sampler, caches=(Interval(every=3),))
    return Experiment(
        name="fora",
        data=start.data,
        start=replace(start, study=None),
        sampler=sampler,
        n_samples=start.n_samples,
        study=STUDY if size != "paper" else replace(STUDY, bench={}),
    )
