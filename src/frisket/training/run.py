"""One run in motion: the task laid out, its optimisers, averages, loader, records; the steps the loop is made of."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from frisket.core.config import to_config
from frisket.core.errors import FrisketError, check
from frisket.core.files import save_tensors, write_json
from frisket.core.random import hash_text
from frisket.core.step import Step, use_step
from frisket.data.base import Batch, Source, Stream
from frisket.data.loader import Loader
from frisket.training import checkpoint
from frisket.training.ema import Averages
from frisket.training.guard import Guard, stop
from frisket.training.layout import put
from frisket.training.meters import Meters
from frisket.training.optimisers import groups, set_rate, tags
from frisket.training.parallel import World, autocast, clip, distribute, gathered, last_only, release
from frisket.training.previews import write_preview
from frisket.training.tracking import Jsonl, Tracker, open_trackers

if TYPE_CHECKING:
    from frisket.training.trainer import Trainer

FIXED = ("batch", "seed", "emas")  # and the kind of optimiser; what else changes on resuming is the user's choice


class Run:
    """Everything of one `Trainer.fit` that changes. step: updates made; samples: samples seen, over all processes."""

    def __init__(self, config: Trainer, task: nn.Module, source: Source | Stream, run_dir: Path, here: World):
        world = here.size
        check(config.batch % world == 0, "trainer.batch", config.batch, f"a multiple of the {world} processes")
        rows = config.batch // world
        check(
            config.accumulate <= rows, "trainer.accumulate", config.accumulate, f"at most the {rows} rows a process has"
        )
        self.config, self.task, self.source, self.dir, self.here = config, task, source, run_dir, here
        learning = task.trains()  # type: ignore[operator]
        tagged = tags(task, learning)
        self.call = distribute(task.train(), learning, config.layout, here)
        found = groups(task, tagged)
        self.parameters = {n: p for g in found for n, p in g.parameters.items()}
        self.names = {id(p): n for n, p in self.parameters.items()}
        self.optimisers = config.optimiser.build(found)
        self.averages = Averages(config.emas, self.parameters)
        self.led = followed(task, self.parameters)
        led = bool(config.emas) or not self.led
        check(led, "trainer.emas", config.emas, "one average or more: the task has a teacher that follows the first")
        self.scaler = torch.amp.GradScaler(here.device.type, enabled=config.layout.precision == "fp16")
        self.loader = Loader(
            source, batch=config.batch, seed=config.seed, rank=here.rank, world=world, workers=config.workers
        )
        self.guard, self.meters = Guard(here.device), Meters()
        self.step = self.samples = 0
        self.folder: Path | None = None
        self.record: dict[str, Any] = {}
        self.files: list[Tracker] = []
        self.speed: Tracker | None = None
        self.batches: Iterator[Batch] = iter(())

    def start(self, folder: Path | None) -> None:
        """Take up the checkpoint `folder`, if any, and open the files."""
        if folder:
            self._load(folder)
        self._lead()
        self.batches = iter(self.loader)
        self.since = (time.monotonic(), self.step)
        if self.here.first:
            self.dir.mkdir(parents=True, exist_ok=True)
            checkpoint.sweep(self.dir)
            saved = to_config(self.config)
            write_json(self.dir / "trainer.json", saved)
            self.speed = Jsonl(self.dir / "speed.jsonl", self.step)
            others = open_trackers(self.config.watching.trackers, self.dir, saved, self.step)
            self.files = [Jsonl(self.dir / "metrics.jsonl", self.step), *others]
        self.here.wait()

    def update(self) -> None:
        """One optimiser step on the next global batch."""
        batch = next(self.batches)
        position = batch["position"]
        cuts = torch.arange(len(position)).tensor_split(self.config.accumulate)
        losses = []
        for number, rows in enumerate(cuts):
            part = on_device(rows_of(batch, int(rows[0]), int(rows[-1]) + 1), self.here.device)
            at = Step(
                seed=self.config.seed,
                sample=part["position"],
                index=self.step,
                total=self.config.steps,
                run=self.dir.name,
            )
            torch.manual_seed(hash_text(f"{self.config.seed}/{self.step}/{self.here.rank}/{number}"))  # layer dropout
            with last_only(self.call, number == len(cuts) - 1), use_step(at):
                losses.append(self._backward(part, at, len(rows) / self.config.batch))
        self._move(torch.stack(losses).sum())
        self.step += 1
        self.samples += self.config.batch
        self.averages.update(self.samples, self.config.batch)
        self._lead()
        self.meters.step()
        if hasattr(self.task, "after_step"):
            self.task.after_step(at)  # type: ignore[operator]

    def _backward(self, part: Batch, at: Step, share: float) -> Tensor:
        """Loss and gradient of one micro-batch that is `share` of the global batch. Gradients are averaged over
        processes afterwards, hence the factor; the returned loss is this process's part of the sum."""
        with autocast(self.config.layout, self.here.device):
            terms = self.call(part, at)
            total = torch.stack([t.float() for t in terms.values()]).sum()
        self.scaler.scale(total * (share * self.here.size)).backward()
        for name, term in terms.items():
            self.meters.add(name, term * share)
        self.meters.add("loss", total * share)
        return total.detach()

    def _move(self, loss: Tensor) -> None:
        for optimiser in self.optimisers:
            self.scaler.unscale_(optimiser)
        norm = clip(list(self.parameters.values()), self.config.clip)
        self.guard.watch(self.step, loss) if self.scaler.is_enabled() else self.guard.watch(self.step, loss, norm)
        self.meters.add("grad_norm", norm / self.here.size)
        self.rate = set_rate(self.optimisers, self.config.schedule.factor(self.step, self.config.steps))
        for optimiser in self.optimisers:
            self.scaler.step(optimiser)
            optimiser.zero_grad(set_to_none=True)
        self.scaler.update()

    def _lead(self) -> None:
        """Give the first average to what follows it (a collective call when sharded)."""
        if self.led:
            average = self.averages.full(self.config.emas[0].label)
            for parameter, name in self.led:
                put(parameter, average[name])

    def healthy(self) -> None:
        """Raises `Diverged` in every process if any step since the last call was not finite."""
        first = self.here.max(self.guard.first)
        if first >= 0:
            begin = self.samples - (self.step - first) * self.config.batch
            positions = torch.arange(begin, begin + self.config.batch)
            raise stop(first + 1, (begin, begin + self.config.batch), self.loader.items(positions), self.folder)

    def log(self) -> dict[str, Any]:
        """Write the means since the last record; returns them."""
        self.healthy()
        means = self.meters.means(self.here)
        self.record = {"samples": self.samples, "loss": means.pop("loss"), **means, "lr": self.rate}
        now = time.monotonic()
        rate = (self.step - self.since[1]) / max(now - self.since[0], 1e-9)
        self.since = (now, self.step)
        for file in self.files:
            file.write(self.step, self.record)
        if self.speed:
            self.speed.write(self.step, {"steps_per_second": rate, "samples_per_second": rate * self.config.batch})
        return self.record

    def save(self) -> None:
        """Write a checkpoint (a collective call) and remove those that are no longer wanted."""
        self.healthy()
        state = {
            "step": self.step, "samples": self.samples, "loader": self.loader.state(),
            "meters": self.meters.state(self.here), "scaler": self.scaler.state_dict(),
            "trainer": to_config(self.config), "data": self.source.info.digest, "processes": self.here.size,
        }  # fmt: skip
        moments, state["optimiser"] = checkpoint.optimiser_state(self.optimisers, self.names)
        tensors = {**checkpoint.weights(self.task), **moments, **self.averages.state()}
        if self.here.first:
            for file in self.files:
                file.sync()
            self.folder = checkpoint.write(self.dir, state, tensors, lambda folder: self._save_model(folder, tensors))
            checkpoint.rotate(self.dir, self.config.saving.keep, self.config.saving.mark)
        self.folder = checkpoint.folder_of(self.dir, self.step)
        self.here.wait()

    def _save_model(self, folder: Path, tensors: Mapping[str, Tensor]) -> None:
        """The model to use: raw weights, those that learn replaced by the first average."""
        weights = {n.removeprefix("weights/"): v for n, v in tensors.items() if n.startswith("weights/")}
        if self.config.emas:
            label = self.config.emas[0].label
            weights |= {n: tensors[f"ema/{label}/{n}"].to(weights[n].dtype) for n in self.parameters}
        if hasattr(self.task, "save_model"):
            self.task.save_model(folder, weights)  # type: ignore[operator]
        else:
            save_tensors(folder / "model.safetensors", weights)

    def _load(self, folder: Path) -> None:
        state, tensors = checkpoint.read(folder)
        now = to_config(self.config)
        then, now = ({**{f: c[f] for f in FIXED}, "optimiser": c["optimiser"]["part"]} for c in (state["trainer"], now))
        for field, value in then.items():
            if value != now[field]:
                raise FrisketError(
                    f"trainer.{field} was {value!r} in {folder} and is {now[field]!r} now; a run continues as it began"
                )
        if state["data"] != self.source.info.digest:
            raise FrisketError(f"{folder} was trained on other data ({state['data']}, now {self.source.info.digest})")
        checkpoint.load_weights(self.task, tensors)
        checkpoint.load_optimiser_state(self.optimisers, self.names, tensors, state["optimiser"])
        self.averages.load(tensors)
        self.loader.restore(state["loader"])
        self.meters.load(state["meters"], self.here)
        if self.scaler.is_enabled() and state["scaler"]:
            self.scaler.load_state_dict(state["scaler"])
        self.step, self.samples, self.folder = state["step"], state["samples"], folder

    def preview(self) -> None:
        """Samples of the task with the first average in place (all processes sample, the first writes)."""
        if not hasattr(self.task, "preview"):
            return
        count = self.config.watching.count
        at = Step(seed=self.config.seed, sample=torch.arange(count, device=self.here.device), total=1, run="preview")
        label = self.config.emas[0].label if self.config.emas else None
        self.task.eval()
        with self.averages.swapped(label), gathered(self.task), torch.no_grad(), use_step(at):
            shown = self.task.preview(at, count)  # type: ignore[operator]
        self.task.train()
        if self.here.first and shown is not None:
            write_preview(self.dir / "previews" / f"step-{self.step:08d}", shown)

    def close(self) -> None:
        """End the loader's workers, close the files, let go of the process group."""
        self.batches = iter(())
        release(self.call)
        for file in [*self.files, *([self.speed] if self.speed else [])]:
            file.close()


def followed(task: nn.Module, learning: Mapping[str, Tensor]) -> list[tuple[Tensor, str]]:
    """Every parameter of what follows a learning module of the task, with the name of the one it follows."""
    modules = task.followers() if hasattr(task, "followers") else {}  # type: ignore[operator]
    return [
        (parameter, f"{name}.{own}")
        for name, group in modules.items()
        for module in group
        for own, parameter in module.named_parameters()
        if f"{name}.{own}" in learning
    ]


def rows_of(value: Any, start: int, end: int) -> Any:
    """Rows [start, end) of everything in a batch: tensors, lists, and dicts of them."""
    if isinstance(value, Mapping):
        return {k: rows_of(v, start, end) for k, v in value.items()}
    return value[start:end]


def on_device(value: Any, device: torch.device) -> Any:
    """Every tensor of a batch on `device`."""
    if isinstance(value, Mapping):
        return {k: on_device(v, device) for k, v in value.items()}
    return value.to(device, non_blocking=True) if isinstance(value, Tensor) else value
