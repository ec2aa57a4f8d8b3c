"""Pictures of references put on: what is given, what is made, what is true; and what it cost."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from frisket.core.files import save_tensors
from frisket.core.registry import register
from frisket.data.base import Batch, Data
from frisket.evaluation.plots import image_table
from frisket.evaluation.report import Section, Table
from frisket.evaluation.scores.swaps import FLOORS, Swaps
from frisket.evaluation.swaps import filled, swapping
from frisket.models.count import count_parameters
from frisket.sampling.pipeline import Pipeline


@register("look/swaps")
@dataclass(frozen=True, kw_only=True)
class SwapPictures:
    """count: items a row."""

    count: int = 8

    def sections(self, pipeline: Pipeline, data: Data, n: int, folder: Path) -> tuple[list[Section], dict[str, Any]]:
        source, ids = swapping(data), torch.arange(self.count)
        worn, other = source.batch(ids), source.swap(ids)
        made = {"worn": filled(pipeline, worn, seed=1), "other": filled(pipeline, other, seed=1)}
        save_tensors(folder / "shown.safetensors", made)
        scores = Swaps().take(pipeline, data, n, 0)
        floors = {name: floor(source, source.swap(torch.arange(n))) for name, floor in FLOORS.items()}
        rows = [(name, f"{value:.4g}") for name, value in scores.items()]
        rows += [(f"swap_psnr of {name}", f"{value:.4g}") for name, value in floors.items()]
        learnt = count_parameters(pipeline.model, trained_only=True)
        share = f"{learnt:,} ({100 * learnt / count_parameters(pipeline.model):.2f} %)"
        rows.append(("parameters that learnt last", share))
        sections = [
            _pictures("The garment that was worn", worn, made["worn"]),
            _pictures("Another garment", other, made["other"]),
            Section(title="Swaps", table=Table(columns=("measure", "value"), rows=tuple(rows), right=(1,)),
                    text=f"{n} held-out people in held-out garments. Outside the region nothing may change."),
        ]  # fmt: skip
        return sections, {"swaps": scores, "floors": floors}


def _pictures(title: str, batch: Batch, made: torch.Tensor) -> Section:
    rows = [("given", batch["person"]), ("garment", batch["garment"]), ("result", made), ("truth", batch["x"])]
    return Section(title=title, figures=(image_table([(name, list(images)) for name, images in rows]),))
