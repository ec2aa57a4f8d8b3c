"""Caches against each other and against fewer dense steps: error, quality, compute and time, in one run.

    python -m benchmarks.caching --base runs/dit --out benchmarks/results/caching.json

One trained DiT (recipe `dit`, small, by default trained first), its weights also in diffusers' `DiTTransformer2DModel`.
All arms stand on that host and are driven by one sampler (Euler, guided in one forward of twice the batch) from the
same noise; frisket's are also timed on frisket's own model. Error is the relative distance of final states to those of
the dense run, quality the Frechet distance to the test split, compute the counted multiply-adds of everything that
ran. Times are medians of interleaved rounds, relative to the dense run round by round.
"""

from __future__ import annotations

import logging
import warnings
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from benchmarks.cache_peers import Arm, Host, cache_dit_arms, diffusers_arms, give_mixin, nothing
from benchmarks.common import interleaved, machine, parser, ratio, report
from benchmarks.peers import Case, theirs
from frisket.caching.base import Cache
from frisket.caching.first_block import FirstBlock
from frisket.caching.forecasts import Polynomial, Taylor
from frisket.caching.intervals import Interval
from frisket.caching.macs import MacCounter
from frisket.core.step import Step
from frisket.evaluation.evaluate import items
from frisket.evaluation.features.base import extract
from frisket.evaluation.features.classifier import Classifier
from frisket.evaluation.metrics.frechet import frechet
from frisket.evaluation.scores.dense import relative_distance
from frisket.experiments.system import load, train
from frisket.recipes import dit
from frisket.sampling.guidance import cfg
from frisket.sampling.pipeline import Pipeline
from frisket.sampling.sampler import Sampler

SCALE, BATCH = 1.5, 64
SPEEDS = (1.5, 2.0, 2.5, 3.0, 3.5, 4.0)
OURS = ("frisket",)


def own_arms(steps: int) -> list[Arm]:
    """frisket's caches on diffusers' host."""

    def put(cache: Cache) -> Callable[[Host], AbstractContextManager]:
        return lambda host: cache.install(host.transformer)

    out = [Arm("frisket", "interval (FORA)", f"N = {n}", steps, put(Interval(every=n))) for n in (2, 3, 4, 5)]
    for word, forecast, most in (("Taylor 1", Taylor(order=1), 7), ("polynomial 2", Polynomial(order=2), 6)):
        for n in range(2, most):
            cache = Interval(every=n, forecast=forecast, first=forecast.nodes)
            out.append(Arm("frisket", f"interval, {word}", f"N = {n}", steps, put(cache)))
            cache = replace(cache, sites=("model",))
            out.append(Arm("frisket", f"interval on outputs, {word}", f"N = {n}", steps, put(cache)))
    for threshold in (0.05, 0.1, 0.2, 0.3):
        out.append(Arm("frisket", "first block", f"threshold {threshold}", steps, put(FirstBlock(threshold=threshold))))
        cache = FirstBlock(threshold=threshold, forecast=Taylor(order=1), first=2)
        out.append(Arm("frisket", "first block, Taylor 1", f"threshold {threshold}", steps, put(cache)))
    return out


def dense_arms(steps: int) -> list[Arm]:
    """The dense run, and runs of fewer steps."""
    fewer = sorted({round(steps / speed) for speed in (*SPEEDS, 5.0)}, reverse=True)
    return [Arm("dense", "all steps", f"{steps} steps", steps)] + [
        Arm("dense", "fewer steps", f"{n} steps", n) for n in fewer
    ]


class Bench:
    """The trained pipeline, diffusers' host with its weights, and how a run of an arm is made."""

    def __init__(self, pipeline: Pipeline, steps: int):
        self.pipeline, self.steps = pipeline, steps
        config: Any = pipeline.model.config
        self.case = Case(name="dit small", config=config, batch=BATCH)
        self.plain = Host(theirs(self.case, pipeline.model).eval(), self.case.classes)
        for block in self.plain.transformer.transformer_blocks:  # type: ignore[union-attr]
            block.norm1.emb.time_proj.downscale_freq_shift = 0  # frisket's spacing of the frequencies
        give_mixin(self.plain.transformer)

    def states(self, model: nn.Module, arm: Arm, n: int) -> Tensor:
        """The final states of samples 0 .. n-1, in batches."""
        out = []
        for first in range(0, n, BATCH):
            ids = torch.arange(first, min(first + BATCH, n))
            out.append(self.run(model, arm, ids))
        return torch.cat(out)

    def run(self, model: nn.Module, arm: Arm, ids: Tensor) -> Tensor:
        from frisket.core.condition import Condition

        sampler = Sampler(steps=arm.steps, guidance=cfg(SCALE))
        cond = Condition.of(label=ids % self.case.classes)
        with arm.put(model) if isinstance(model, Host) else nothing(self.plain):
            return sampler.sample(
                model, self.pipeline.process, shape=self.pipeline.spec.shape, step=Step(seed=0, sample=ids), cond=cond
            )

    def agreement(self) -> float:
        """The largest relative difference of the two hosts' samples. Raises `RuntimeError` if they are not the same."""
        arm, ids = Arm("dense", "all steps", "", self.steps), torch.arange(8)
        a, b = self.run(self.plain, arm, ids), self.run(self.pipeline.model.eval(), arm, ids)
        apart = float((a - b).abs().max() / b.abs().max())
        if apart > 1e-3:
            raise RuntimeError(f"the two hosts' samples differ by {apart:.1e} of their largest value")
        return apart

    def ratios(self) -> list[float]:
        """MagCache's magnitude ratios of this model: mean norm of the residual of all blocks over that of the step before."""
        residuals: list[Tensor] = []
        blocks = self.plain.transformer.transformer_blocks
        seen: dict[str, Tensor] = {}
        first = blocks[0].register_forward_pre_hook(lambda m, a: seen.update(x=a[0]))  # type: ignore[index, union-attr]
        last = blocks[-1].register_forward_hook(lambda m, a, out: residuals.append((out - seen["x"]).norm(dim=-1)))  # type: ignore[index, union-attr]
        self.run(self.plain, Arm("dense", "all steps", "", self.steps), torch.arange(BATCH))
        first.remove()
        last.remove()
        return [1.0, *(float((b / a).mean()) for a, b in pairwise(residuals))]


def measure(bench: Bench, arms: Sequence[Arm], n: int, data: Any) -> tuple[list[dict[str, Any]], list[dict[str, str]]]:
    """A row for each arm that ran, and what was refused, with the reason."""
    rows, refused = [], []
    reference, dense = None, 1.0
    extractor, test = Classifier().build(data), data.open("test")
    real = extract(extractor, items(test, test.info.size or n)["x"]).features
    for arm in arms:
        try:
            host = arm.host(bench.plain)
            with MacCounter() as counter:
                states = bench.states(host, arm, n)
        except Exception as error:
            refused.append({"arm": arm.name, "reason": f"{type(error).__name__}: {error}"[:300]})
            continue
        if reference is None:
            reference, dense = states, counter.total
        images = bench.pipeline.decode(states)
        rows.append({
            "family": arm.family, "method": arm.method, "setting": arm.setting, "steps": arm.steps,
            "compute": counter.total / dense, "distance": float(relative_distance(states, reference).mean()),
            "frechet": frechet(extract(extractor, images).features, real),
        })  # fmt: skip
        print(f"{arm.name:75s} compute {rows[-1]['compute']:.3f}  distance {rows[-1]['distance']:.4f}  "
              f"frechet {rows[-1]['frechet']:.2f}", flush=True)  # fmt: skip
    ran = {(r["family"], r["method"], r["setting"]) for r in rows if r["compute"] >= 0.999 and r["distance"] == 0}
    idle = [r for r in rows if (r["family"], r["method"], r["setting"]) in ran and r["family"] != "dense"]
    refused += [{"arm": f"{r['family']}: {r['method']}, {r['setting']}", "reason": "skipped nothing"} for r in idle]
    return [r for r in rows if r not in idle], refused


def time_arms(bench: Bench, arms: Sequence[Arm], rows: list[dict[str, Any]], batch: int, rounds: int) -> None:
    """Adds `times_as_fast` to each row, and to frisket's those on frisket's own model."""
    by_name = {(r["family"], r["method"], r["setting"]): r for r in rows}
    ids = torch.arange(batch)
    calls: dict[str, Callable[[], Any]] = {}
    chosen = [arm for arm in arms if (arm.family, arm.method, arm.setting) in by_name]
    for arm in chosen:
        host = arm.host(bench.plain)
        calls[arm.name] = lambda h=host, a=arm: bench.run(h, a, ids)
    times = interleaved(calls, rounds, warm=0)  # they have run already
    base = times[chosen[0].name]
    for arm in chosen:
        row = by_name[arm.family, arm.method, arm.setting]
        row["seconds"], row["times_as_fast"] = times[arm.name].median, ratio(base, times[arm.name])


def time_own(bench: Bench, batch: int, rounds: int) -> list[dict[str, Any]]:
    """frisket's caches on frisket's model, against its dense run and that of diffusers' host."""
    ids, pipeline = torch.arange(batch), bench.pipeline
    cond = {"label": ids % bench.case.classes}
    from frisket.core.condition import Condition

    def call(caches: tuple[Cache, ...]) -> Callable[[], Any]:
        sampler = Sampler(steps=bench.steps, guidance=cfg(SCALE), caches=caches)
        return lambda: sampler.sample(
            pipeline.model, pipeline.process, shape=pipeline.spec.shape, step=Step(seed=0, sample=ids),
            cond=Condition(cond),
        )  # fmt: skip

    arms: dict[str, Callable[[], Any]] = {"dense, diffusers' model": lambda: bench.run(
        bench.plain, Arm("dense", "all steps", "", bench.steps), ids)}  # fmt: skip
    arms["dense"] = call(())
    for n in (2, 3, 4, 5):
        arms[f"interval (FORA), N = {n}"] = call((Interval(every=n),))
        arms[f"interval, Taylor 1, N = {n}"] = call((Interval(every=n, forecast=Taylor(order=1), first=2),))
    times = interleaved(arms, rounds)
    return [
        {"arm": name, "seconds": own.median, "times_as_fast": ratio(times["dense"], own)} for name, own in times.items()
    ]


def frontier(
    rows: Sequence[dict[str, Any]], error: str, speed: Callable[[dict[str, Any]], float]
) -> list[dict[str, Any]]:
    """For each speed: the smallest error at that speed or above, ours and that of every other method, and whether ours
    is behind. Rows that are not finite are left out."""
    out = []
    for least in SPEEDS:
        fast = [r for r in rows if speed(r) >= least]
        best: dict[str, dict[str, Any]] = {}
        for r in fast:
            whose = "frisket" if r["family"] in OURS else f"{r['family']}: {r['method']}"
            if whose not in best or r[error] < best[whose][error]:
                best[whose] = r
        others = {k: v[error] for k, v in best.items() if k != "frisket"}
        ours = best.get("frisket")
        out.append({
            "speed": least, "ours": None if ours is None else ours[error],
            "arm": None if ours is None else f"{ours['method']}, {ours['setting']}", "others": others,
            "behind": sorted(k for k, v in others.items() if ours is None or v < ours[error]),
        })  # fmt: skip
    return out


def frontiers(
    rows: Sequence[dict[str, Any]], speeds: dict[str, Callable[[dict[str, Any]], float]]
) -> dict[str, list[dict[str, Any]]]:
    """`frontier` for both errors and every kind of speed."""
    return {
        f"{error} by {name}": frontier(rows, error, speed)
        for error in ("distance", "frechet") for name, speed in speeds.items()
    }  # fmt: skip


def base_of(folder: Path) -> Pipeline:
    """The trained pipeline in `folder`; recipe `dit`, small, is trained there if it holds none."""
    if not (folder / "model" / "config.json").is_file():
        train(replace(dit.experiment("small"), study=None), folder)
    return load(str(folder))


def main(argv: Sequence[str] | None = None) -> dict[str, Any]:
    options = parser(__doc__, rounds=3)
    options.add_argument("--base", type=Path, default=Path("runs/bench-dit"), help="run folder of the trained model")
    options.add_argument("--steps", type=int, default=50)
    options.add_argument("--samples", type=int, default=128)
    options.add_argument("--batch", type=int, default=32, help="samples of a timed run")
    args = options.parse_args(argv)
    warnings.filterwarnings("ignore")
    logging.disable(logging.WARNING)
    torch.set_num_threads(args.threads)
    steps, n, rounds, timed = (10, 32, 1, 8) if args.quick else (args.steps, args.samples, args.rounds, args.batch)
    data = dit.experiment("small").data
    with torch.no_grad():
        bench = Bench(base_of(args.base), steps)
        apart, ratios = bench.agreement(), bench.ratios()
        arms = [*dense_arms(steps), *own_arms(steps), *diffusers_arms(steps, ratios), *cache_dit_arms(steps)]
        rows, refused = measure(bench, arms, n, data)
        result: dict[str, Any] = {
            "what": "caches on one trained DiT: error against compute and time", "preliminary": args.quick,
            "model": "recipe dit, small (digits)", "steps": steps, "samples": n, "guidance": SCALE,
            "batch_timed": timed, "rounds": rounds, "hosts_differ_by": apart, "machine": machine(), "points": rows,
            "refused": refused, "own_model": [], "frontiers": frontiers(rows, {"compute": lambda r: 1 / r["compute"]}),
        }  # fmt: skip
        report(result, args.out)  # the timing may be cut off; what is measured is kept
        time_arms(bench, arms, rows, timed, rounds)
        result["own_model"] = time_own(bench, timed, rounds)
    speeds = {"compute": lambda r: 1 / r["compute"], "processor time": lambda r: r["times_as_fast"]["processor"]}
    result["frontiers"] = frontiers(rows, speeds)
    report(result, args.out)
    return result


if __name__ == "__main__":
    main()
