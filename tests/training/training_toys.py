"""A task and a set small enough to train hundreds of times, and the ways the tests run them."""

from __future__ import annotations

import json
import multiprocessing
import os
import signal
import socket
import sys
from functools import partial
from pathlib import Path

import torch
from torch import Tensor, nn

from frisket.core.errors import FrisketError
from frisket.core.step import Step
from frisket.data.base import Batch, Info
from frisket.training.ema import Fixed, Power
from frisket.training.optimisers import AdamW
from frisket.training.trainer import Saving, Trainer, Watching

WIDTH = 6


class Points:
    """37 fixed points, so that epochs do not divide into batches."""

    info = Info(kind="series", shape=(WIDTH,), size=37, digest="points")

    def __init__(self):
        self.x = torch.randn(37, WIDTH, generator=torch.Generator().manual_seed(1))

    def batch(self, ids: Tensor) -> Batch:
        return {"x": self.x[ids], "id": ids}


class Counting:
    """An endless stream of numbered points with a state."""

    info = Info(kind="series", shape=(WIDTH,), digest="counting")

    def __init__(self):
        self.at = 0

    def read(self, n: int) -> Batch:
        ids = torch.arange(self.at, self.at + n)
        self.at += n
        return {"x": torch.sin(ids[:, None] * torch.arange(1.0, WIDTH + 1)), "id": ids}

    def state(self) -> dict:
        return {"at": self.at}

    def restore(self, state: dict) -> None:
        self.at = state["at"]


class Denoise(nn.Module):
    """Undo added noise with a small network whose middle is a module list, with layer dropout and a buffer."""

    def __init__(self, depth: int = 2, dropout: float = 0.0, poison: int | None = None):
        super().__init__()
        self.blocks = nn.ModuleList(nn.Linear(WIDTH, WIDTH) for _ in range(depth))
        self.dropout = nn.Dropout(dropout)
        self.model = nn.Module()
        self.model.blocks = self.blocks
        self.model.scale = nn.Parameter(torch.ones(WIDTH))
        self.model.register_buffer("offset", torch.full((WIDTH,), 0.1))
        del self.blocks
        self.poison, self.seen, self.noted = poison, [], []
        generator = torch.Generator().manual_seed(0)
        for p in self.model.blocks.parameters():
            p.data = torch.randn(p.shape, generator=generator) * 0.4

    def trains(self) -> dict[str, nn.Module]:
        return {"model": self.model}

    def forward(self, batch: Batch, step: Step) -> dict[str, Tensor]:
        return self.loss(batch, step)

    def loss(self, batch: Batch, step: Step) -> dict[str, Tensor]:
        self.seen += batch["id"].tolist()
        x = batch["x"]
        noise = step.draw("noise", (WIDTH,)).float()
        self.noted += zip(step.sample.tolist(), batch["id"].tolist(), noise[:, 0].tolist(), strict=True)
        h = x + noise
        for block in self.model.blocks:
            h = h + torch.tanh(block(self.dropout(h)))
        error = (h * self.model.scale + self.model.offset - x).square()
        if self.poison == step.index:
            error = error / 0.0
        return {"error": error.mean(), "size": 0.01 * h.square().mean()}

    def preview(self, step: Step, n: int) -> Tensor:
        noise = step.draw("preview", (WIDTH,)).float()
        return (noise * self.model.scale).reshape(n, 1, 2, 3)


def trainer(steps: int = 12, **changes) -> Trainer:
    """A trainer that records every step and saves every fifth."""
    base = {
        "batch": 8, "emas": (Power(width=0.15), Fixed(rate=0.9)), "saving": Saving(every=5),
        "watching": Watching(every=1), "optimiser": AdamW(lr=0.02),
    }  # fmt: skip
    return Trainer(**{**base, "steps": steps, **changes})


def files(folder: Path) -> dict[str, bytes]:
    """The bytes that a run determines, of one checkpoint and of the record of all steps."""
    names = ("model.safetensors", "training.safetensors", "state.json")
    return {**{n: (folder / n).read_bytes() for n in names}, "metrics": (folder.parent / "metrics.jsonl").read_bytes()}


def act(action: str, at: int, task: Denoise, notes: str, step: Step) -> None:
    """What befalls a child process after a step."""
    rank = int(os.environ.get("RANK", "0"))
    Path(f"{notes}-{os.getpid()}").write_text(json.dumps(task.noted))
    if step.index != at:
        return
    if action == "kill" or (action == "lose" and rank == 1):
        os.kill(os.getpid(), signal.SIGKILL)
    if action == "term" and rank == 0:
        os.kill(os.getpid(), signal.SIGTERM)


def child(variables: dict[str, str], said: str, config: Trainer, run: str, action: str, at: int) -> None:
    """The main function of a child process: train in `run`, with what it says in the file `said`."""
    torch.set_num_threads(1)
    os.environ.update(variables)
    handle = os.open(said, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    os.dup2(handle, 2)
    task = Denoise()
    task.after_step = partial(act, action, at, task, f"{run}.noted")  # type: ignore[assignment]
    try:
        config.fit(task, Points(), run)
    except FrisketError as error:
        print(f"FrisketError: {error}", file=sys.stderr, flush=True)
        os._exit(2)


def launch(config: Trainer, run: Path, action: str = "", at: int = 0, processes: int = 1) -> tuple[list[int], str]:
    """Train in fresh processes as torchrun would start them; their exit codes and all that they said."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["torch", "frisket.training", "torch.distributed.fsdp", "torch.distributed.tensor"])
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    said = run.with_name(f"{run.name}.said")
    said.touch()
    shared = {"WORLD_SIZE": str(processes), "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port)}
    ranks = [
        context.Process(
            target=child,
            args=({**shared, "RANK": str(r), "LOCAL_RANK": str(r)}, str(said), config, str(run), action, at),
        )
        for r in range(processes)
    ]
    for process in ranks:
        process.start()
    for process in ranks:
        process.join(timeout=60)
    codes = [process.exitcode if process.exitcode is not None else 99 for process in ranks]
    for process in ranks:
        process.kill()
    return codes, said.read_text()
