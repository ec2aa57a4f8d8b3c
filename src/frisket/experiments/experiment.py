"""`Experiment`: one system wired from parts, as a value. A recipe returns one for each size.

It grows phases and stages with the first system that trains more than one thing; today each trains one.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Literal

from frisket.codecs.base import CodecConfig
from frisket.codecs.pixels import Pixels
from frisket.codecs.readers import BuiltReader, Reader
from frisket.core.errors import FrisketError
from frisket.core.registry import register
from frisket.data.base import Data, Info
from frisket.evaluation.compare import Expectation
from frisket.models.base import BackboneConfig
from frisket.processes.base import Process
from frisket.sampling.guidance import Guidance
from frisket.sampling.sampler import Sampler
from frisket.tasks.diffusion import Diffusion
from frisket.training.trainer import Trainer

Size = Literal["tiny", "small", "paper"]


@register("study")
@dataclass(frozen=True, kw_only=True)
class Study:
    """Arms (name -> changes of the experiment, dotted name -> value; the first is the baseline of tables), changes that
    all arms share (bench), what is held equal, what is measured ("loss", "bits" or a metric of samples), what is
    expected. budget: "steps" (samples follow, FLOPs are stated) or "flops" (steps are scaled to the dearest arm's).
    proxy: the measure is not the paper's own. note: what a reader must know to weigh the result."""

    arms: dict[str, dict[str, Any]]
    bench: dict[str, Any] = field(default_factory=dict)
    measures: tuple[str, ...]
    expect: tuple[Expectation, ...]
    budget: Literal["steps", "flops"] = "steps"
    seeds: int = 3
    proxy: bool = True
    note: str = ""


@register("experiment")
@dataclass(frozen=True, kw_only=True)
class Experiment:
    """Everything a run needs. n_samples: how many samples the evaluation scores. reads: conditions that are not raw in
    the data (captions), by the names of the model's doors: what they are called there and the codec that encodes them.
    A set's classes get a door by themselves only where nothing is read."""

    name: str
    data: Data
    codec: CodecConfig = field(default_factory=Pixels)
    process: Process
    model: BackboneConfig
    task: Diffusion = field(default_factory=Diffusion)
    training: Trainer
    sampler: Sampler
    reads: dict[str, Reader] = field(default_factory=dict)
    n_samples: int = 500
    study: Study | None = None

    def fit(self) -> Experiment:
        """A copy whose codec has the training set's statistics and whose model has the state's shape and the set's
        classes; without any condition, guidance by its absence is left out. Opening the data is the only work done.
        Raises `FrisketError` on data the model cannot take."""
        source = self.data.open("train")
        codec = self.codec.fit(source)
        spec = codec.build().spec(source.info)
        fits = getattr(self.process, "fit", None)
        process = self.process if fits is None else fits(spec.vocabulary)
        channels = spec.vocabulary if spec.vocabulary is not None else spec.shape[0]
        reads = {name: reader.fit(source) for name, reader in self.reads.items()}
        model = self.model.fit(spec, process.outputs(channels), classes_of(source.info) if self._counts() else {})
        model = fit_doors(model, {name: reader.build(source.info) for name, reader in reads.items()})
        sampler = self.sampler
        if not getattr(model, "doors", ()) and any(branch.absent for branch in sampler.guidance.others):
            sampler = replace(sampler, guidance=Guidance())  # nothing to leave out
        return replace(self, codec=codec, model=model, process=process, sampler=sampler, reads=reads)

    def _counts(self) -> bool:
        """Whether the model is to be told the set's classes."""
        return not self.reads or any(door.name == "label" for door in getattr(self.model, "doors", ()))


def fit_doors(model: Any, readers: Mapping[str, BuiltReader]) -> Any:
    """A copy of the model's config whose doors know the vocabulary and length of what their readers give. Raises
    `FrisketError` on a reader without a door."""
    doors = {door.name: door for door in getattr(model, "doors", ())}
    for name, reader in readers.items():
        if name not in doors:
            raise FrisketError(
                f"reads names {name!r}, but the model has no such door (it has: {', '.join(doors) or 'none'})"
            )
        fits = getattr(doors[name].embedder, "fit", None)
        if fits is not None:
            doors[name] = replace(doors[name], embedder=fits(reader.spec, reader.pad))
    return replace(model, doors=tuple(doors.values())) if readers else model


def classes_of(info: Info) -> dict[str, int]:
    """How many classes each class condition of a set has."""
    return {"label": len(info.classes)} if info.classes else {}


def check_size(size: str) -> None:
    if size not in ("tiny", "small", "paper"):
        raise FrisketError(f"size = {size!r} is not accepted; it must be 'tiny', 'small' or 'paper'")


def forward_macs(experiment: Experiment) -> int:
    """Multiply-accumulates of one forward pass for one state of a fitted experiment."""
    from frisket.models.count import macs_of_size

    spec = experiment.codec.build().spec(experiment.data.open("train").info)
    return macs_of_size(experiment.model, spec.shape)
