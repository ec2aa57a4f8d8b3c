"""Where and how a task is computed: device, process group, compilation, recomputation, DDP or FSDP2, precision.

One file applies it all, in this order: activation checkpointing, compilation, sharding or replication. Everything is
done in place, so parameter names are those of the plain task and a checkpoint fits any layout. Nothing else in the
library knows of it. Engine: torch's own (`DistributedDataParallel`, `fully_shard`), started by `torchrun`.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from datetime import timedelta
from functools import partial
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from frisket.core.errors import FrisketError, check
from frisket.core.registry import register
from frisket.core.step import current_step, use_step
from frisket.training.layout import is_sharded

PRECISION = {"fp32": None, "bf16": torch.bfloat16, "fp16": torch.float16}


@register("layout/torch")
@dataclass(frozen=True, kw_only=True)
class Layout:
    """parallel: "ddp", "fsdp", or "none", which refuses several processes; with one process nothing is wrapped.
    precision: "fp32", "bf16" or "fp16", of the forward pass (autocast; weights, averages and optimiser stay float32).
    device: "auto" takes the first GPU of this process, else the CPU. compile, recompute: block by block (members of
    module lists, else each learning module). timeout: seconds after which a silent process counts as lost."""

    parallel: str = "ddp"
    precision: str = "fp32"
    device: str = "auto"
    compile: bool = False
    recompute: bool = False
    timeout: int = 600

    def __post_init__(self):
        check(self.parallel in ("none", "ddp", "fsdp"), "parallel", self.parallel, "'none', 'ddp' or 'fsdp'")
        check(self.precision in PRECISION, "precision", self.precision, "'fp32', 'bf16' or 'fp16'")
        check(self.timeout >= 1, "timeout", self.timeout, "1 second or more")
        if (self.parallel, self.precision) == ("fsdp", "fp16"):
            raise FrisketError("fp16 loss scaling is not available with parallel = 'fsdp'; use precision = 'bf16'")


@dataclass(frozen=True)
class World:
    """This process among all: its rank of `size`, its device, and whether this run made the process group."""

    rank: int
    size: int
    device: torch.device
    owner: bool = False

    @property
    def first(self) -> bool:
        return self.rank == 0

    def sum(self, tensor: Tensor) -> Tensor:
        """The sum over all processes, in place."""
        if self.size > 1:
            dist.all_reduce(tensor)
        return tensor

    def any(self, flags: list[bool]) -> list[bool]:
        """Which flags are set in any process. Agreed on the CPU, so the accelerator is not waited for."""
        if self.size == 1:
            return flags
        agreed = torch.tensor(flags, dtype=torch.int32)
        dist.all_reduce(agreed, dist.ReduceOp.MAX)
        return [bool(f) for f in agreed.tolist()]

    def max(self, number: Tensor) -> int:
        """The largest of one integer over all processes."""
        if self.size > 1:
            dist.all_reduce(number, dist.ReduceOp.MAX)
        return int(number)

    def wait(self) -> None:
        if self.size > 1:
            self.sum(torch.zeros(1))


@contextmanager
def world(layout: Layout) -> Iterator[World]:
    """The process group that `torchrun` describes, made here unless the caller has made it."""
    size = int(os.environ.get("WORLD_SIZE", "1"))
    made = False
    if size > 1 and not dist.is_initialized():
        if layout.parallel == "none":
            raise FrisketError(f"{size} processes were started but parallel = 'none'; use 'ddp' or 'fsdp'")
        dist.init_process_group(_backend(layout), timeout=timedelta(seconds=layout.timeout))
        made = True
    joined = dist.is_initialized() and layout.parallel != "none"
    here = World(
        dist.get_rank() if joined else 0, dist.get_world_size() if joined else 1, device_of(layout.device), made
    )
    if here.device.type == "cuda":
        torch.cuda.set_device(here.device)
    try:
        yield here
    finally:
        if made:
            dist.destroy_process_group()


def _backend(layout: Layout) -> str:
    return "cpu:gloo,cuda:nccl" if device_of(layout.device).type == "cuda" else "gloo"


def device_of(name: str) -> torch.device:
    """The device called `name`; "auto" is this process's GPU, else the CPU. Raises if it is not there."""
    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "cpu"
    if name == "cuda":
        name = f"cuda:{int(os.environ.get('LOCAL_RANK', '0'))}"
    if name.startswith("cuda") and not torch.cuda.is_available():
        raise FrisketError(f"device = {name!r} is not available; use 'cpu'")
    return torch.device(name)


def blocks(task: nn.Module, learning: Mapping[str, nn.Module]) -> list[nn.Module]:
    """The repeated units of the learning modules: members of their outermost module lists, else the modules."""
    out: list[nn.Module] = []
    for module in learning.values():
        inside = list(_listed(module))
        out += inside or [module]
    return list(dict.fromkeys(out))


def _listed(module: nn.Module) -> Iterator[nn.Module]:
    for child in module.children():
        if isinstance(child, nn.ModuleList):
            yield from child
        else:
            yield from _listed(child)


def distribute(task: nn.Module, learning: Mapping[str, nn.Module], layout: Layout, here: World) -> nn.Module:
    """Move `task` to its device and apply `layout` in place. What is returned is called for the loss: `task` itself,
    or DDP around it."""
    task.to(here.device)
    units = blocks(task, learning)
    if layout.recompute:
        for unit in units:
            unit.forward = partial(_recomputed, unit.forward)  # type: ignore[method-assign]
    if layout.compile:
        for unit in units:
            unit.compile()
    if here.size == 1:
        return task
    if layout.parallel == "fsdp":
        return _shard(task, units, here)
    ids = [here.device.index] if here.device.type == "cuda" else None
    return nn.parallel.DistributedDataParallel(task, device_ids=ids, find_unused_parameters=True)


def _recomputed(forward: Callable[..., Any], *args: Any, **options: Any) -> Any:
    """`forward`, its activations computed again in the backward pass, under the same Step whichever thread does it."""
    step = current_step()

    def call(*args: Any, **options: Any) -> Any:
        with use_step(step):
            return forward(*args, **options)

    return checkpoint(call, *args, use_reentrant=False, **options)


def _shard(task: nn.Module, units: list[nn.Module], here: World) -> nn.Module:
    """FSDP2 on each unit; what lies between them belongs to the task itself."""
    from torch.distributed.device_mesh import init_device_mesh
    from torch.distributed.fsdp import fully_shard

    with torch.no_grad():
        for tensor in [*task.parameters(), *task.buffers()]:  # built by each process on its own: take rank 0's
            dist.broadcast(tensor, 0)
    mesh = init_device_mesh(here.device.type, (here.size,))
    for module in dict.fromkeys([*units, task]):
        fully_shard(module, mesh=mesh)
    return task


def release(wrapped: nn.Module) -> None:
    """Let go of what DDP holds of the process group, while the group still lives. Otherwise DDP's destructor may be
    the one that ends the group: it joins gloo's threads while it holds the interpreter lock that they wait for."""
    if isinstance(wrapped, nn.parallel.DistributedDataParallel):
        held = vars(wrapped)
        for name in ("logger", "reducer"):
            held.pop(name, None)


@contextmanager
def gathered(task: nn.Module) -> Iterator[None]:
    """Modules of a sharded task may be called one by one in here, as previews do (a collective call)."""
    sharded: list[Any] = [m for m in task.modules() if hasattr(m, "unshard")]
    for module in sharded:
        module.unshard()
    try:
        yield
    finally:
        for module in sharded:
            module.reshard()


@contextmanager
def last_only(wrapped: nn.Module, last: bool) -> Iterator[None]:
    """Gradients are exchanged between processes only in the last micro-batch of an update."""
    if isinstance(wrapped, nn.parallel.DistributedDataParallel):
        with nullcontext() if last else wrapped.no_sync():
            yield
        return
    if hasattr(wrapped, "set_requires_gradient_sync"):
        wrapped.set_requires_gradient_sync(last)  # type: ignore[operator]
    yield


def autocast(layout: Layout, device: torch.device) -> AbstractContextManager:
    dtype = PRECISION[layout.precision]
    return torch.autocast(device.type, dtype=dtype) if dtype else nullcontext()


def clip(parameters: list[Tensor], limit: float) -> Tensor:
    """Scale gradients to a global norm of at most `limit` (0: leave them); returns the norm before, as one number."""
    norm: Any = nn.utils.get_total_norm([p.grad for p in parameters if p.grad is not None])
    if limit > 0:
        nn.utils.clip_grads_with_norm_(parameters, limit, norm)
    return norm.full_tensor() if is_sharded(norm) else norm


def is_lost(error: BaseException) -> bool:
    """True for the errors by which torch's backends report that another process is gone or silent."""
    words = ("gloo", "nccl", "connection", "socket", "timed out", "timeout", "process group")
    return isinstance(error, dist.DistError) or (
        isinstance(error, RuntimeError) and any(w in str(error).lower() for w in words)
    )
