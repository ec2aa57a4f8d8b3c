"""Tensors in this process and tensors in full: the only file that knows both.

Under FSDP2 a parameter is a `DTensor` of which each process holds a piece. Averages and optimisers work on the piece
(`local`); checkpoints hold the full tensor (`full`), cut again for whatever layout loads them (`cut`).
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor


def is_sharded(tensor: Tensor) -> bool:
    """True for a DTensor. Asked by name, since `torch.distributed.tensor` is slow to import and often not there."""
    return type(tensor).__name__ == "DTensor"


def local(tensor: Tensor) -> Tensor:
    """This process's piece, sharing memory with `tensor`; a plain tensor is its own piece."""
    out: Any = tensor.detach()
    return out.to_local() if is_sharded(tensor) else out


def full(tensor: Tensor, like: Tensor | None = None) -> Tensor:
    """The whole tensor. A collective call when it is sharded, or is a piece of something laid out as `like`."""
    sharded: Any = tensor.detach()
    if is_sharded(tensor):
        return sharded.full_tensor()
    if like is None or not is_sharded(like) or sharded.shape != local(like).shape:
        return sharded
    from torch.distributed.tensor import DTensor

    laid: Any = like
    return DTensor.from_local(
        sharded, laid.device_mesh, laid.placements, run_check=False, shape=laid.shape, stride=laid.stride()
    ).full_tensor()


def cut(whole: Tensor, like: Tensor) -> Tensor:
    """`whole` (equal in every process) laid out as `like`, on its device; the dtype stays that of `whole`."""
    whole = whole.to(like.device)
    if not is_sharded(like):
        return whole
    from torch.distributed.tensor import distribute_tensor

    laid: Any = like
    return distribute_tensor(whole, laid.device_mesh, laid.placements, src_data_rank=None)


def put(target: Tensor, whole: Tensor) -> None:
    """Copy `whole` into `target` in place, whatever its layout."""
    with torch.no_grad():
        local(target).copy_(local(cut(whole, target)))
