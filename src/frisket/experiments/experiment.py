"""`Experiment`: one system wired from parts, as a value. A recipe returns one for each size.

It grows phases and stages with the first system that trains more than one thing; today each trains one.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any, Literal

from frisket.codecs.base import CodecConfig
from frisket.codecs.pixels import Pixels
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
    """Everything a run needs. n_samples: how many samples the evaluation scores."""

    name: str
    data: Data
    codec: CodecConfig = field(default_factory=Pixels)
    process: Process
    model: BackboneConfig
    task: Diffusion = field(default_factory=Diffusion)
    training: Trainer
    sampler: Sampler
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
        model = self.model.fit(spec, process.outputs(channels), classes_of(source.info))
        sampler = self.sampler
        if not getattr(model, "doors", ()) and any(branch.absent for branch in sampler.guidance.others):
            sampler = replace(sampler, guidance=Guidance())  # nothing to leave out
        return replace(self, codec=codec, model=model, process=process, sampler=sampler)


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
