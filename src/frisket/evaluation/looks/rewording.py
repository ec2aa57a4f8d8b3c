"""Edits by words to look at: the inversion's error by solver and steps, and what each control keeps and changes."""

from __future__ import annotations

import time
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch

from frisket.caching.merging import TokenMerging
from frisket.core.files import save_tensors
from frisket.core.registry import register
from frisket.data.base import Data
from frisket.data.scenes.vocabulary import CLASSES
from frisket.evaluation.plots import image_table
from frisket.evaluation.report import Section, Table
from frisket.evaluation.scores.rewording import Task, edited, graded, inversion_error, task_of
from frisket.sampling.base import Aid
from frisket.sampling.control.cross import CrossControl
from frisket.sampling.control.selves import SelfControl
from frisket.sampling.pipeline import Pipeline
from frisket.sampling.rewording import reword
from frisket.sampling.solvers.ddim import DDIM
from frisket.sampling.solvers.dpm_solver import DPMSolver2M

SOLVERS = {"DDIM": DDIM(), "DPM-Solver++ 2M": DPMSolver2M()}
GRADES = ("edit_accuracy", "other_accuracy", "ground_psnr", "other_psnr")


@register("look/rewording")
@dataclass(frozen=True, kw_only=True)
class EditTable:
    """steps: of the inversion table, one way. shown: images of the edits. merging: shares of merged tokens."""

    steps: tuple[int, ...] = (5, 10, 20, 50)
    shown: int = 6
    merging: tuple[float, ...] = (0.25, 0.5, 0.75)

    def sections(self, pipeline: Pipeline, data: Data, n: int, folder: Path) -> tuple[list[Section], dict[str, Any]]:
        task = task_of(data, n, 0)
        inverted, errors = self._inversion(pipeline, task)
        edits, grades = self._edits(pipeline, task, folder)
        return [inverted, *edits], {"inversion_mse": errors, "edits": grades}

    def _inversion(self, pipeline: Pipeline, task: Task) -> tuple[Section, dict[str, Any]]:
        errors = {
            name: [
                inversion_error(pipeline, task, replace(pipeline.sampler, update=solver, steps=steps), 0)
                for steps in self.steps
            ]
            for name, solver in SOLVERS.items()
        }  # fmt: skip
        rows = [(name, *(f"{e:.2e}" for e in row)) for name, row in errors.items()]
        columns = ("solver", *(f"{steps} steps" for steps in self.steps))
        table = Table(columns=columns, rows=tuple(rows), right=tuple(range(1, len(columns))))
        text = (
            "Mean squared error of held-out images inverted under their captions and sampled back, without guidance; a "
            "step is one forward each way."
        )
        return Section(title="Inversion", text=text, table=table), {"steps": list(self.steps), **errors}

    def _edits(self, pipeline: Pipeline, task: Task, folder: Path) -> tuple[list[Section], dict[str, Any]]:
        cross = next((c for c in pipeline.sampler.caches if isinstance(c, CrossControl)), CrossControl())
        selves = next((c for c in pipeline.sampler.caches if isinstance(c, SelfControl)), SelfControl())
        arms: dict[str, tuple[Aid, ...]] = {
            "no control": (), "cross": (cross,), "self": (selves,), "both": (cross, selves),
            **{f"both, {share:.0%} merged": (TokenMerging(share=share), cross, selves) for share in self.merging},
        }  # fmt: skip
        found: dict[str, dict[str, float]] = {"unedited": graded(task, task.x)}
        images = {"image": task.x}
        for name, caches in arms.items():
            began = time.monotonic()
            images[name] = edited(pipeline, task, 0, caches=caches).images
            found[name] = graded(task, images[name]) | {"seconds": time.monotonic() - began}
        (caption,) = pipeline.reads
        same = {caption: task.before}
        again = reword(pipeline, task.x, same, same, sampler=replace(pipeline.sampler, caches=arms["both"]), seed=0)
        images["same words"] = again.images
        found["same words (old class wanted)"] = graded(_kept(task), again.images)
        return self._shown(task, images, found, folder), found

    def _shown(
        self, task: Task, images: dict[str, torch.Tensor], found: dict[str, dict[str, float]], folder: Path
    ) -> list[Section]:
        rows = [
            (name, *(f"{grade[g]:.2f}" for g in GRADES), f"{grade['seconds']:.1f}" if "seconds" in grade else "")
            for name, grade in found.items()
        ]
        columns = ("edit", "new digit read", "other digit read", "ground PSNR", "other digit PSNR", "seconds")
        note = "PSNR in dB to the image itself (99: equal). Chance of a digit is 0.10."
        table = Table(columns=columns, rows=tuple(rows), right=(1, 2, 3, 4, 5), note=note)
        words = "; ".join(f"{a} → {b}" for a, b in zip(task.before, task.after, strict=True) if a != b)
        save_tensors(folder / "edits.safetensors", {name.replace(" ", "_"): x for name, x in images.items()})
        grid = image_table([(name, list(x[: self.shown])) for name, x in images.items()])
        return [
            Section(title="Edits", text="The word of the left digit is exchanged; all else should stay.", table=table),
            Section(title="Edited images", figures=(grid,), text=f"Captions: {words[:400]}"),
        ]


def _kept(task: Task) -> Task:
    """The task of changing nothing."""
    label = task.wanted.objects["label"].clone()
    names = [caption.split(",")[0].split()[-1] for caption in task.before]
    label[:, 0] = torch.tensor([CLASSES.index(name) for name in names])
    wanted = replace(task.wanted, objects=task.wanted.objects | {"label": label})
    return replace(task, wanted=wanted, after=task.before)
