"""Adapting a checkpoint: edits, then training, in one or more phases; what comes out is a plain model and small files.

A phase begins from the pipeline of the one before and finds it, unchanged, as its teacher. Each is a run folder and goes
on where it was interrupted. At the end low-rank adapters are saved alone and folded into the weights.
"""

from __future__ import annotations

import copy
from dataclasses import dataclass, field, replace
from pathlib import Path

from frisket.adapters.freeze import Freeze
from frisket.adapters.lora import Lora, edits_of, fold
from frisket.adapters.lora_files import save_lora
from frisket.core.config import to_config
from frisket.core.edits import Edit, apply_edits
from frisket.core.errors import FrisketError, check
from frisket.core.files import read_json, write_json
from frisket.core.registry import register
from frisket.data.base import Data, Info
from frisket.experiments.system import FIRST, differing, finish, load
from frisket.sampling.pipeline import Pipeline
from frisket.sampling.sampler import Sampler
from frisket.tasks.base import TaskConfig
from frisket.tasks.diffusion import Diffusion
from frisket.training.optimisers import AdamW
from frisket.training.schedules import Cosine
from frisket.training.trainer import Trainer


def short(steps: int = 400, lr: float = 1e-3) -> Trainer:
    """A training for adapters."""
    return Trainer(batch=16, steps=steps, optimiser=AdamW(lr=lr), schedule=Cosine(warmup=steps // 20))


@register("adaptation/phase")
@dataclass(frozen=True, kw_only=True)
class Phase:
    """edits: of the model, before training. sampler: the pipeline's from here on; None: as it was."""

    name: str = "lora"
    edits: tuple[Edit, ...] = (Lora(), Freeze())
    task: TaskConfig = field(default_factory=Diffusion)
    training: Trainer = field(default_factory=short)
    sampler: Sampler | None = None

    def __post_init__(self):
        check(self.name.replace("-", "_").isidentifier(), "phase.name", self.name, "letters, digits and dashes")


@register("adaptation/phases")
@dataclass(frozen=True, kw_only=True)
class Adaptation:
    """What is done to a checkpoint, in order. The default: low-rank adapters on all blocks."""

    phases: tuple[Phase, ...] = (Phase(),)

    def __post_init__(self):
        names = [phase.name for phase in self.phases]
        taken = {"model"} | {f"adapter-{name}" for name in names}
        good = bool(names) and len(set(names)) == len(names) and not taken & set(names)
        check(good, "adaptation.phases", names, "one or more, of different names")


def adapt(target: str | Path, adaptation: Adaptation, data: Data, folder: Path, *, seed: int = 0) -> Pipeline:
    """Adapt the pipeline that `target` names (see `system.load`) to `data`; all is written under `folder`.

    FOLDER/PHASE is a phase's run, FOLDER/adapter-NAME each adapter alone, FOLDER/model the pipeline with all adapters
    folded, which is returned. Raises `FrisketError`, before any training, on data that the model cannot take, and on a
    folder that holds another adaptation.
    """
    pipeline, teacher = load(target), None
    _check_fits(pipeline, data.open("train").info)
    for phase in adaptation.phases:
        _refuse_another(folder / phase.name, phase, target, data)
    for phase in adaptation.phases:
        apply_edits(pipeline.model, phase.edits)
        pipeline.sampler = phase.sampler or pipeline.sampler
        needs = {} if teacher is None else {"teacher": teacher}
        task, place = phase.task.build(pipeline, needs), folder / phase.name
        if FIRST:
            write_json(place / "config.json", _described(phase, target, data))
        training = replace(phase.training, seed=seed)
        pipeline = finish(pipeline, training.fit(task, data.open("train"), place), place)
        teacher = load(place)
    return _kept(pipeline, folder)


def _kept(pipeline: Pipeline, folder: Path) -> Pipeline:
    """Write the adapters alone, and the pipeline with them folded."""
    names = [edit.name for edit in edits_of(pipeline.model) if isinstance(edit, Lora)]
    for name in names:
        if FIRST:
            save_lora(pipeline.model, folder / f"adapter-{name}", name)
    pipeline.model = fold(copy.deepcopy(pipeline.model)) if names else pipeline.model
    if FIRST:
        pipeline.save_pretrained(folder / "model")
    return pipeline


def _check_fits(pipeline: Pipeline, info: Info) -> None:
    """Raise `FrisketError` unless the data has the kind, the shape and the number of classes that the model was made
    for."""
    own = pipeline.info
    same = (info.kind, info.shape) == (own.kind, own.shape)
    check(same, "data", f"{info.kind} of shape {info.shape}", f"{own.kind} of shape {own.shape}, what the model makes")
    ways = getattr(getattr(pipeline.model, "doors", None), "ways", {})
    if "label" in ways:
        check(
            len(info.classes) == len(own.classes), "classes", len(info.classes), f"{len(own.classes)}, as the model has"
        )


def _described(phase: Phase, target: str | Path, data: Data) -> dict:
    return {**to_config(phase), "target": str(target), "data": to_config(data)}


def _refuse_another(place: Path, phase: Phase, target: str | Path, data: Data) -> None:
    path = place / "config.json"
    changed = differing(read_json(path), _described(phase, target, data)) if path.is_file() else []
    if changed:
        raise FrisketError(f"{place} holds a run with another {', '.join(changed[:4])}; choose another --out")
