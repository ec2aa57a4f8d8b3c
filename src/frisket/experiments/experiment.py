"""`Experiment`: one system wired from parts, as a value. A recipe returns one for each size.

An experiment is one phase: it trains, fits or changes one thing. What it begins from (`start`) and what else it reads
(`needs`) are experiments themselves, so a method of several phases is a value too; see `phases`.
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
from frisket.evaluation.looks.base import Look
from frisket.experiments.preparation import Preparation
from frisket.models.base import BackboneConfig
from frisket.processes.base import Process, ProcessConfig
from frisket.sampling.guidance import Guidance
from frisket.sampling.sampler import Sampler
from frisket.tasks.base import TaskConfig
from frisket.tasks.diffusion import Diffusion
from frisket.training.trainer import Trainer

Size = Literal["tiny", "small", "paper"]
Budget = Literal["steps", "flops", "forwards", "compute", "parameters"]


@register("study")
@dataclass(frozen=True, kw_only=True)
class Study:
    """Arms (name -> changes of the experiment, dotted name -> value; the first is the baseline of tables), changes that
    all arms share (bench), what is held equal, what is measured ("loss", "bits", a metric of samples or what a score
    gives), what is expected. budget: what the arms are meant to hold equal; "flops" scales their steps to the dearest
    arm's, with any other the arms see to it themselves and the result states what each spent. proxy: the measure is not
    the paper's own. note: what a reader must know to weigh the result."""

    arms: dict[str, dict[str, Any]]
    bench: dict[str, Any] = field(default_factory=dict)
    measures: tuple[str, ...]
    expect: tuple[Expectation, ...]
    budget: Budget = "steps"
    seeds: int = 3
    proxy: bool = True
    note: str = ""


@register("experiment")
@dataclass(frozen=True, kw_only=True)
class Experiment:
    """Everything a run needs. n_samples: how many samples the evaluation scores.

    start: whose trained pipeline this begins from, made once for equal contents; then `model`, `process`, `codec` and
    `sampler` are the start's where None here (a model given takes the start's weights by name). needs: further
    pipelines that the task and the preparations read, by name; "codec" supplies the trained codec. prepare: what is
    done to the pipeline before training. training: None trains nothing. looks: what the report shows; () is what fits
    the kind of data. Without a start, a process or sampler that is None is absent (a task that is no diffusion).
    reads: conditions that are not raw in the data (captions), by the names of the model's doors: what the data call
    them and the codec that encodes them; the start's where it is empty. A set's classes get a door by themselves only
    where nothing is read."""

    name: str
    data: Data
    codec: CodecConfig | None = None
    process: Process | ProcessConfig | None = None
    model: BackboneConfig | None = None
    task: TaskConfig = field(default_factory=Diffusion)
    training: Trainer | None = None
    sampler: Sampler | None = None
    reads: dict[str, Reader] = field(default_factory=dict)
    start: Experiment | None = None
    needs: dict[str, Experiment] = field(default_factory=dict)
    prepare: tuple[Preparation, ...] = ()
    looks: tuple[Look, ...] = ()
    n_samples: int = 500
    study: Study | None = None

    def __post_init__(self):
        if self.start is None and self.model is None and self.codec is None:
            raise FrisketError("an experiment needs a model, a codec to train, or a start to take them from")

    def fit(self) -> Experiment:
        """A copy whose codec has the training set's statistics and whose model has the state's shape and the set's
        classes; without any condition, guidance by its absence is left out. Opening the data is the only work done.
        Raises `FrisketError` on data the model cannot take."""
        source = self.data.open("train")
        first = None if self.start is None else self.start.fit()
        codec = self._codec(first, source)
        process = self.process or (first.process if first else None)
        sampler = self.sampler or (first.sampler if first else None)
        held = self.reads or (first.reads if first else {})
        reads = {name: reader.fit(source) for name, reader in held.items()}
        if self.model is None:
            model = first.model if first else None
            return replace(self, codec=codec, process=process, sampler=sampler, model=model, reads=reads)
        spec = codec.build().spec(source.info)
        fits = getattr(process, "fit", None)
        spelled = () if spec.symbols is None else (spec.symbols,)
        process = process if fits is None else fits(spec.vocabulary, *spelled)
        channels = spec.vocabulary if spec.vocabulary is not None else spec.shape[0]
        out = channels if process is None else process.outputs(channels)
        model = self.model.fit(spec, out, classes_of(source.info) if self._counts(reads) else {})
        model = fit_doors(model, {name: reader.build(source.info) for name, reader in reads.items()})
        if sampler is not None and not getattr(model, "doors", ()):
            nothing = any(branch.absent for branch in sampler.guidance.others)
            sampler = replace(sampler, guidance=Guidance()) if nothing else sampler  # nothing to leave out
        return replace(self, codec=codec, model=model, process=process, sampler=sampler, reads=reads)

    def _counts(self, reads: Mapping[str, Reader]) -> bool:
        """Whether the model is to be told the set's classes."""
        return not reads or any(door.name == "label" for door in getattr(self.model, "doors", ()))

    def _codec(self, first: Experiment | None, source: Any) -> CodecConfig:
        if self.codec is not None:
            return self.codec.fit(source)
        given = self.needs["codec"].fit() if "codec" in self.needs else first
        return given.codec if given is not None and given.codec is not None else Pixels().fit(source)


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


def seeded(experiment: Experiment, seed: int) -> Experiment:
    """A copy in which this seed is the training's, also of everything the experiment starts from or needs."""
    return replace(
        experiment,
        training=None if experiment.training is None else replace(experiment.training, seed=seed),
        start=None if experiment.start is None else seeded(experiment.start, seed),
        needs={name: seeded(inner, seed) for name, inner in experiment.needs.items()},
    )


def seed_of(experiment: Experiment) -> int:
    """The seed of an experiment's training, else that of what it starts from, else 0."""
    if experiment.training is not None:
        return experiment.training.seed
    return 0 if experiment.start is None else seed_of(experiment.start)


def classes_of(info: Info) -> dict[str, int]:
    """How many classes each class condition of a set has."""
    return {"label": len(info.classes)} if info.classes else {}


def check_size(size: str) -> None:
    if size not in ("tiny", "small", "paper"):
        raise FrisketError(f"size = {size!r} is not accepted; it must be 'tiny', 'small' or 'paper'")


def forward_macs(experiment: Experiment) -> int:
    """Multiply-accumulates of one forward pass for one state of a fitted experiment's model, before any preparation; 0
    without a model."""
    from frisket.models.count import macs_of_size

    if experiment.model is None or experiment.codec is None:
        return 0
    spec = experiment.codec.build().spec(experiment.data.open("train").info)
    return macs_of_size(experiment.model, spec.shapes)


def step_flops(experiment: Experiment) -> float:
    """Floating-point operations of one training step of a fitted experiment: 2 a MAC, times the batch, times what the
    task says it computes for a sample (`step_macs`; else forward and backward of the model, 3 forwards)."""
    if experiment.training is None:
        return 0.0
    forward = forward_macs(experiment)
    stated = getattr(experiment.task, "step_macs", None)
    return 2.0 * (3 * forward if stated is None else stated(experiment, forward)) * experiment.training.batch


def train_flops(experiment: Experiment) -> float:
    """Floating-point operations of a fitted experiment's own training, phases before it left out."""
    return 0.0 if experiment.training is None else step_flops(experiment) * experiment.training.steps
