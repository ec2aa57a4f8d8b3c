"""What a run would cost: everything is built, one update is made and taken back, nothing is written.

Multiply-accumulates are counted by torch's `FlopCounterMode` (two operations each) in one forward of the loss, with
attention as plain matrix products so that every backend counts alike.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode

from frisket.core.step import Step, use_step
from frisket.data.base import Source, Stream
from frisket.training.layout import local
from frisket.training.parallel import World, blocks, world
from frisket.training.run import Run, on_device

if TYPE_CHECKING:
    from frisket.training.trainer import Trainer


@dataclass(frozen=True)
class Cost:
    """parameters: all, and those that learn. macs: multiply-accumulates of one sample's forward. tokens: of one sample
    in the first block, None if it takes no (b, n, d). held: bytes of weights, gradients, moments and averages in this
    process. peak: bytes at the most (of the device, or of the whole process on the CPU). loss: of the first batch."""

    parameters: int
    learning: int
    macs: int
    tokens: int | None
    held: int
    peak: int
    loss: float

    def lines(self) -> str:
        """As text, one fact a line."""
        return "\n".join([
            f"parameters  {self.parameters:,} ({self.learning:,} learn)",
            f"MACs        {self.macs:,} a sample, forward",
            f"tokens      {'-' if self.tokens is None else format(self.tokens, ',')} a sample",
            f"memory      {self.held / 2**20:,.1f} MiB held, {self.peak / 2**20:,.1f} MiB at the peak",
            f"loss        {self.loss:.4g} on the first batch",
        ])  # fmt: skip


def dry_run(config: Trainer, task: nn.Module, source: Source | Stream) -> Cost:
    """Build what `config.fit` builds, make one update and take it back. Raises what the first step of `fit` raises."""
    with torch.random.fork_rng(), world(config.layout) as here:
        parameters = sum(p.numel() for p in task.parameters())
        run = Run(config, task, source, Path("dry-run"), here)
        try:
            return _cost(run, parameters)
        finally:
            run.close()


def _cost(run: Run, parameters: int) -> Cost:
    config, task, here = run.config, run.task, run.here
    first = next(iter(run.loader))
    batch = on_device(first, here.device)
    at = Step(seed=config.seed, sample=batch["position"], total=config.steps, run="dry-run")
    macs, tokens = _forward(run, batch, at)
    if here.device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(here.device)
    before = {n: local(v).clone() for n, v in task.state_dict().items() if isinstance(v, Tensor)}
    run.batches = iter([first])
    run.update()
    run.healthy()
    with torch.no_grad():
        for name, value in task.state_dict().items():
            if name in before:
                local(value).copy_(before[name])
    learning = sum(p.numel() for p in run.parameters.values())
    return Cost(parameters, learning, macs, tokens, _held(run), _peak(here), run.meters.means(here)["loss"])


@torch.no_grad()
def _forward(run: Run, batch: dict[str, Any], at: Step) -> tuple[int, int | None]:
    seen: list[int] = []

    def note(module: nn.Module, args: tuple[Any, ...]) -> None:
        sizes = [h.shape[1] for h in (getattr(a, "h", a) for a in args) if isinstance(h, Tensor) and h.ndim == 3]
        seen.extend(sizes[:1])

    hook = blocks(run.task, run.task.trains())[0].register_forward_pre_hook(note)  # type: ignore[operator]
    counter = FlopCounterMode(display=False)
    try:
        with sdpa_kernel(SDPBackend.MATH), use_step(at), counter:
            run.call(batch, at)
    finally:
        hook.remove()
    return counter.get_total_flops() // (2 * len(batch["position"])), seen[0] if seen else None


def _held(run: Run) -> int:
    tensors: list[Tensor] = [local(p) for p in run.task.parameters()]
    tensors += [local(p) for p in run.parameters.values()]  # the gradients' room
    for optimiser in run.optimisers:
        tensors += [local(v) for state in optimiser.state.values() for v in state.values() if isinstance(v, Tensor)]
    tensors += [v for values in run.averages.values.values() for v in values]
    return sum(t.numel() * t.element_size() for t in tensors)


def _peak(here: World) -> int:
    if here.device.type == "cuda":
        return torch.cuda.max_memory_allocated(here.device)
    import resource

    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit
