"""The loop: batches in order, one update a step, averages, records, checkpoints. It sees nothing of what a task does.

Progress is counted in samples. Step k uses the global positions [samples, samples + batch); micro-batches and processes
take disjoint rows of them and each micro-batch counts by its rows, so accumulation and process count change neither
the data, nor the noise, nor the mean that is minimised.
"""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import nn

from frisket.core.errors import FrisketError, check
from frisket.core.registry import register
from frisket.data.base import Source, Stream
from frisket.training import checkpoint
from frisket.training.dryrun import Cost, dry_run
from frisket.training.ema import Ema, Power
from frisket.training.optimisers import AdamW, Optimiser
from frisket.training.parallel import Layout, World, is_lost, world
from frisket.training.progress import Progress, progress
from frisket.training.run import Run
from frisket.training.schedules import Constant, Schedule
from frisket.training.signals import SIGINT, SIGTERM, Asked, asked_to_stop
from frisket.training.tracking import check_names


@register("saving/default")
@dataclass(frozen=True, kw_only=True)
class Saving:
    """A checkpoint every `every` steps and at the end. keep: how many of the last stay. mark: those at multiples of
    `mark` steps are never removed, 0 for none (post-hoc EMA is made from them)."""

    every: int = 500
    keep: int = 2
    mark: int = 0

    def __post_init__(self):
        check(self.every >= 1, "saving.every", self.every, "1 step or more")
        check(self.keep >= 1, "saving.keep", self.keep, "1 or more")
        check(self.mark >= 0, "saving.mark", self.mark, "0 or more")


@register("watching/default")
@dataclass(frozen=True, kw_only=True)
class Watching:
    """A record every `every` steps, to metrics.jsonl and to `trackers` ("tensorboard", "wandb", "trackio"); a preview
    of `count` samples every `previews` steps, 0 for none."""

    every: int = 10
    trackers: tuple[str, ...] = ()
    previews: int = 0
    count: int = 16

    def __post_init__(self):
        check(self.every >= 1, "watching.every", self.every, "1 step or more")
        check(self.previews >= 0, "watching.previews", self.previews, "0 or more")
        check(self.count >= 1, "watching.count", self.count, "1 or more")
        check_names(self.trackers)


@dataclass(frozen=True)
class Result:
    """How far a run came, why it stopped ("done", "max_time"), its last checkpoint and last record."""

    step: int
    samples: int
    reason: str
    folder: Path | None
    record: dict[str, Any]


@register("trainer/default")
@dataclass(frozen=True, kw_only=True)
class Trainer:
    """How to train. batch: samples an update, over all processes. accumulate: micro-batches an update is cut into in
    each process. clip: largest gradient norm, 0 for none. workers: processes that prepare batches. The first of `emas`
    is the one that saved models and previews use; () uses the weights themselves."""

    batch: int = 32
    steps: int = 1000
    seed: int = 0
    accumulate: int = 1
    clip: float = 1.0
    optimiser: Optimiser = field(default_factory=AdamW)
    schedule: Schedule = field(default_factory=Constant)
    emas: tuple[Ema, ...] = (Power(),)
    layout: Layout = field(default_factory=Layout)
    saving: Saving = field(default_factory=Saving)
    watching: Watching = field(default_factory=Watching)
    workers: int = 0

    def __post_init__(self):
        check(self.batch >= 1, "trainer.batch", self.batch, "1 or more")
        check(self.steps >= 1, "trainer.steps", self.steps, "1 or more")
        check(1 <= self.accumulate <= self.batch, "trainer.accumulate", self.accumulate, "between 1 and the batch")
        check(self.clip >= 0, "trainer.clip", self.clip, "0 or more")
        check(self.workers >= 0, "trainer.workers", self.workers, "0 or more")
        labels = [e.label for e in self.emas]
        check(len(set(labels)) == len(labels), "trainer.emas", labels, "of distinct labels")

    def fit(
        self, task: nn.Module, source: Source | Stream, run_dir: Path | str, *, resume: str = "auto",
        max_time: float | None = None,
    ) -> Result:  # fmt: skip
        """Train `task` on `source` and write everything under `run_dir`. A task is laid out in place: build a new one
        for every call.

        resume: "auto" continues from the newest checkpoint if there is one, "never" refuses a folder that has one, any
        other text is the checkpoint folder to continue from. max_time: seconds after which the run saves and stops.
        SIGTERM saves and leaves the program with exit code 0; Ctrl-C saves and raises KeyboardInterrupt.
        Raises `FrisketError` on a checkpoint that does not fit, a diverged run, a full disk or a lost process.
        """
        began = time.monotonic()
        run_dir = Path(run_dir)
        folder = starting_point(run_dir, resume)
        with asked_to_stop() as asked, torch.random.fork_rng(), world(self.layout) as here:
            run = Run(self, task, source, run_dir, here)
            try:
                run.start(folder)
                reason = self._loop(run, here, asked, None if max_time is None else began + max_time)
            except RuntimeError as error:
                if here.size > 1 and is_lost(error):
                    raise _lost(run, error) from error
                raise
            finally:
                run.close()
        if reason == "SIGTERM" or asked.is_set(SIGTERM):
            raise SystemExit(0)
        if reason == "SIGINT" or asked.is_set(SIGINT):
            raise KeyboardInterrupt
        return Result(run.step, run.samples, reason, run.folder, run.record)

    def dry_run(self, task: nn.Module, source: Source | Stream) -> Cost:
        """What a run would cost: builds everything, makes one update and takes it back, writes nothing."""
        return dry_run(self, task, source)

    def _loop(self, run: Run, here: World, asked: Asked, deadline: float | None) -> str:
        show = progress(self.steps, run.step, here.first)
        try:
            if run.folder:
                show.say(f"resumed from {run.folder} at step {run.step} ({run.samples} samples)")
            reason = "done"
            while run.step < self.steps and reason == "done":
                reason = self._step(run, here, show, asked, deadline)
            if reason != "done":
                show.say(f"stopped by {reason} at step {run.step}, saved in {run.folder}; the same command continues")
            return reason
        finally:
            show.close()

    def _step(self, run: Run, here: World, show: Progress, asked: Asked, deadline: float | None) -> str:
        """One update and what is due after it; returns why to stop, "done" to go on."""
        run.update()
        last = run.step == self.steps
        if last or run.step % self.watching.every == 0:
            show.show(run.step, run.log())
        reason = _agreed(here, asked, deadline)
        if last or reason != "done" or run.step % self.saving.every == 0:
            run.save()
        if self.watching.previews and run.step % self.watching.previews == 0:
            run.preview()
        return "done" if last and reason == "max_time" else reason


def starting_point(run_dir: Path, resume: str) -> Path | None:
    """The checkpoint to start from, None for a fresh run. Raises `FrisketError` as `Trainer.fit` says."""
    newest = checkpoint.latest(run_dir)
    if resume == "auto":
        return newest
    if resume == "never":
        if newest:
            raise FrisketError(f"{run_dir} holds {newest.name}; resume='auto' continues, or choose another folder")
        return None
    folder = Path(resume)
    if not (folder / "state.json").is_file():
        raise FrisketError(f"resume = {resume!r} is not accepted; it must be 'auto', 'never' or a checkpoint folder")
    return folder


def _agreed(here: World, asked: Asked, deadline: float | None) -> str:
    """Why to stop now, the same in every process; "done" to go on."""
    late = deadline is not None and time.monotonic() >= deadline
    flags = here.any([asked.is_set(SIGTERM), asked.is_set(SIGINT), late])
    return next((r for r, f in zip(("SIGTERM", "SIGINT", "max_time"), flags, strict=True) if f), "done")


def _lost(run: Run, error: RuntimeError) -> FrisketError:
    good = f"the last checkpoint is {run.folder}" if run.folder else "there is no checkpoint yet"
    cause = str(error).strip().splitlines()[0][:160] if str(error).strip() else type(error).__name__
    return FrisketError(
        f"rank {run.here.rank} of {run.here.size}: another process was lost after step {run.step} ({cause}); {good}. "
        "Start the same command again to continue"
    )
