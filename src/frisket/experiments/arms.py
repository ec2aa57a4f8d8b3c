"""Arms: the same experiment, changed; each trained for several seeds in processes of its own, stored by content.

An arm's result lies under the digest of its config, so recipes and studies that share an arm train it once per seed.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from frisket.core.config import digest, from_config, override, to_config
from frisket.core.errors import FrisketError
from frisket.core.files import read_json, write_json
from frisket.core.registry import lookup
from frisket.experiments.children import Children, children
from frisket.experiments.experiment import Experiment, Study, seeded, step_flops, train_flops
from frisket.experiments.paper import parts_in
from frisket.experiments.phases import levels
from frisket.experiments.recipes import run_file
from frisket.sampling.pipeline import Pipeline
from frisket.training.trainer import Trainer


@dataclass(frozen=True, kw_only=True)
class ArmResult:
    """One arm with one seed. measures: name -> value; cost: steps, samples, train_flops, parameters, macs, seconds."""

    arm: str
    seed: int
    measures: dict[str, float]
    cost: dict[str, float]


def arms_of(experiment: Experiment, study: Study) -> dict[str, Experiment]:
    """The experiment once for each arm, with the bench's and the arm's changes applied, fitted to its data."""
    arms = {}
    for name, change in study.arms.items():
        arm = experiment
        for field, value in {**study.bench, **change}.items():
            arm = override(arm, field, value)
        arms[name] = replace(arm, study=None).fit()
    return arms


def equal_flops(arms: Mapping[str, Experiment]) -> dict[str, Experiment]:
    """The arms with steps scaled so that each spends the training FLOPs of the dearest one (to the nearest step)."""
    costs = {name: step_flops(arm) for name, arm in arms.items()}
    most = max(train_flops(arm) for arm in arms.values())
    scaled = {}
    for name, arm in arms.items():
        if arm.training is None:
            raise FrisketError(f"arm {name} trains nothing, so no FLOPs can be held equal; choose another budget")
        scaled[name] = replace(arm, training=replace(arm.training, steps=round(most / costs[name])))
    return scaled


def run_arms(
    arms: Mapping[str, Experiment], measures: Sequence[str], *, seeds: int, folder: Path, procs: int,
    say: Callable[[str], None] = print,
) -> list[ArmResult]:  # fmt: skip
    """Train and measure every arm with seeds 0..seeds-1, `procs` at a time, one thread each. Stored results are reused;
    phases that arms share are made first, once, in the folder "made" beside `folder`.

    SIGTERM ends all of them; the same call goes on where they were.

    Raises `FrisketError` naming the arm, the seed and the log of a process that failed; what others finished is kept.
    """
    keys = {name: _key(arm, measures) for name, arm in arms.items()}
    places = {(name, seed): folder / f"{keys[name]}-{seed}" for seed in range(seeds) for name in arms}
    firsts = {place: job for job, place in reversed(places.items())}  # arms that are equal are trained once

    def work(job: tuple[str, int], own: Children) -> dict[str, Any]:
        name, seed = job
        result = _run_one(name, arms[name], measures, seed, places[job], own)
        say(f"{name} seed {seed}: " + ", ".join(f"{k} {v:.4g}" for k, v in result["measures"].items()))
        return result

    made = folder.parent / "made"
    with children() as own:
        pool = ThreadPoolExecutor(max_workers=max(1, procs))
        try:
            jobs = [job for job, place in places.items() if firsts[place] == job]
            todo = [seeded(arms[n], seed) for n, seed in jobs if not (places[n, seed] / "result.json").is_file()]
            for level in levels(todo, made):
                list(pool.map(lambda item: _make(item[0], item[1], say, own), level.items()))
            found = dict(zip((places[job] for job in jobs), pool.map(lambda job: work(job, own), jobs), strict=True))
        except SystemExit:
            say("stopped; the same command goes on from here")
            raise
        finally:
            pool.shutdown(cancel_futures=True)  # after a failure, what has begun ends and the rest does not begin
    return [ArmResult(arm=name, seed=seed, **found[place]) for (name, seed), place in places.items()]


def _key(arm: Experiment, measures: Sequence[str]) -> str:
    """What an arm's results are stored under: its config but for its name, the data's content, the measures."""
    content = [arm.data.open(split).info.digest for split in ("train", "test")]
    return f"{digest(replace(arm, name=''))}-{digest([*content, *measures], 6)}"


def _sources(config: Any) -> list[str]:
    """The files, outside frisket, that define parts of a plain config."""
    modules = {lookup(name).__module__ for name in parts_in(config)}
    files = (getattr(sys.modules[m], "__file__", None) for m in modules if not m.startswith("frisket."))
    return sorted(str(Path(file).resolve()) for file in files if file)


def _make(place: Path, phase: Experiment, say: Callable[[str], None], own: Children) -> None:
    """One phase, in a process of its own."""
    if (place / "model" / "config.json").is_file():
        return
    say(f"phase {phase.name}: {place}")
    job = place.parent / f"{place.name}.job"
    write_json(
        job / "job.json", {"phase": to_config(phase), "made": str(place.parent), "sources": _sources(to_config(phase))}
    )
    if in_process_of_its_own(job, own):
        raise FrisketError(f"phase {phase.name!r} failed; see {job / 'log.txt'}")


def _run_one(
    name: str, arm: Experiment, measures: Sequence[str], seed: int, place: Path, own: Children
) -> dict[str, Any]:
    result, config = place / "result.json", to_config(arm)
    if not result.is_file():
        place.mkdir(parents=True, exist_ok=True)
        job = {"experiment": config, "measures": list(measures), "seed": seed, "sources": _sources(config)}
        write_json(place / "job.json", job)
        code = in_process_of_its_own(place, own)
        if code or not result.is_file():
            raise FrisketError(f"arm {name!r} with seed {seed} failed (exit code {code}); see {place / 'log.txt'}")
    return read_json(result)


def in_process_of_its_own(place: Path, own: Children) -> int:
    """Start `work_on` with one thread, its output in `place`/log.txt; the exit code."""
    environment = os.environ | {"OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"}
    command = [sys.executable, "-m", "frisket.experiments.arms", str(place)]
    return own.run(command, place / "log.txt", environment)


def work_on(place: Path) -> None:
    """Do the job stored in `place`: train, measure, write result.json; or make a phase. Runs in a process of its own."""
    import time

    from frisket.experiments.measures import take
    from frisket.experiments.phases import flops_before, given, make
    from frisket.experiments.system import train
    from frisket.models.count import count_parameters

    job = read_json(place / "job.json")
    for source in job["sources"]:
        run_file(Path(source))
    if "phase" in job:
        made = Path(job["made"])
        make(from_config(job["phase"]), made, lambda phase, at: train(phase, at, quiet=True, made=made))
        return
    arm: Experiment = seeded(from_config(job["experiment"]), job["seed"])
    made, start = place.parent.parent / "made", time.monotonic()
    pipeline = train(arm, place / "run", quiet=True, made=made)
    trained = time.monotonic() - start
    begun = given(replace(arm, needs={}).fit(), made, lambda phase, at: train(phase, at, quiet=True, made=made)).start
    measures = take(pipeline, arm.data, job["measures"], n=arm.n_samples, start=begun)
    cost = {
        **({} if arm.training is None else _training_cost(arm, arm.training)),
        "train_flops": train_flops(arm),
        "flops_before": flops_before(arm, made),
        "parameters": count_parameters(pipeline.model),
        "macs": macs_of(pipeline),
        "train_seconds": trained,
    }
    write_json(place / "result.json", {"measures": measures, "cost": cost})


def _training_cost(arm: Experiment, training: Trainer) -> dict[str, float]:
    return {"steps": training.steps, "samples": training.steps * training.batch}


def macs_of(pipeline: Pipeline) -> int:
    """Multiply-accumulates of one forward of a pipeline's model, edits and all, for one state; 0 without a model."""
    from frisket.models.count import count_macs

    return count_macs(pipeline.model, pipeline.spec.shapes) if hasattr(pipeline.model, "config") else 0


if __name__ == "__main__":
    work_on(Path(sys.argv[1]))
    print(json.dumps({"done": sys.argv[1]}))
