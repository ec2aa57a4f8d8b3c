"""How well a reference is put on: against the exact truth, on the reference that was worn and on another one."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch import Tensor

from frisket.core.registry import register
from frisket.data.base import Batch, Data
from frisket.evaluation.swaps import average, filled, forwards, pasted, psnr, region_error, swapping
from frisket.sampling.pipeline import Pipeline


@register("score/swaps")
@dataclass(frozen=True, kw_only=True)
class Swaps:
    """paired_psnr, swap_psnr: inside the region, decibels, in what was worn and in another garment. swap_gain: swap_psnr
    over the better of two floors (the flat garment pasted in, the mean picture). retrieval: how often the nearest of
    `candidates` garments on the same person is the one asked for. outside: largest change outside the region.
    forwards: of the network, an item."""

    gives: ClassVar[tuple[str, ...]] = ("paired_psnr", "swap_psnr", "swap_gain", "retrieval", "outside", "forwards")
    candidates: int = 20

    def take(self, pipeline: Pipeline, data: Data, n: int, seed: int) -> dict[str, float]:
        source, ids = swapping(data), torch.arange(n)
        worn, other = source.batch(ids), source.swap(ids)
        paired, swapped = (filled(pipeline, batch, seed) for batch in (worn, other))
        reached = psnr(region_error(swapped, other["x"], other["region"]))
        floors = [floor(source, other) for floor in FLOORS.values()]
        outside = (swapped - other["person"]).abs().masked_fill(other["region"], 0)
        return {
            "paired_psnr": psnr(region_error(paired, worn["x"], worn["region"])),
            "swap_psnr": reached,
            "swap_gain": reached - max(floors),
            "retrieval": float(self.found(source, ids, swapped, other["region"]).float().mean()),
            "outside": float(outside.max()),
            "forwards": float(forwards(pipeline, other)),
        }

    def found(self, source: Any, ids: Tensor, made: Tensor, region: Tensor) -> Tensor:
        """bool (b,): whether the item's own garment (that of the next item) is the nearest of the candidates."""
        errors = [region_error(made, source.swap(ids, ids + 1 + k)["x"], region) for k in range(self.candidates)]
        return torch.stack(errors).argmin(0) == 0


def _pasted(source: Any, batch: Batch) -> float:
    return psnr(region_error(pasted(batch), batch["x"], batch["region"]))


def _average(source: Any, batch: Batch) -> float:
    return psnr(region_error(average(source, batch), batch["x"], batch["region"]))


FLOORS = {"the flat garment pasted in": _pasted, "the mean picture": _average}
