"""`Pipeline`: a trained model with all that sampling from it takes: process, codec, sampler, readers, facts of its data.

Sample number i of a seed is always the same, whatever the batch it is made in. Shapes: n samples, b batch, data (b,
...) in the data's own range, state (b, *s) what the process moves.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from frisket.codecs.base import CodecConfig, Spec
from frisket.codecs.readers import Reader
from frisket.core.condition import Condition
from frisket.core.errors import FrisketError, check, unknown
from frisket.core.state import State, main, shape_of
from frisket.core.step import Step
from frisket.data.base import Info
from frisket.processes.base import Process, ProcessConfig, built
from frisket.processes.known import Known
from frisket.sampling.base import Aid, Snapshot, Start, Update, process_noise
from frisket.sampling.conditions import class_counts, read_conditions
from frisket.sampling.corrections import ImposeKnown
from frisket.sampling.encoded import encoded
from frisket.sampling.grids import Rounds
from frisket.sampling.guidance import Guidance, cfg
from frisket.sampling.regions import known_state
from frisket.sampling.sampler import Sampler
from frisket.sampling.scales import Constant


class Pipeline:
    """model: a built backbone (an nn.Module with `config`). codec: its config; built here, and so is a process that has
    weights. process, sampler: None for a model that makes no samples (see `Segmenter`). others: further models that the
    sampler's guidance names; they are not saved. reads: how conditions that are not raw in the data are encoded
    (captions), by the names that the model reads them under; saved with the pipeline. stages: pipelines that make a
    condition which is not given (the low-resolution image of a super-resolution model), by its name; saved too."""

    process: Process
    sampler: Sampler

    def __init__(
        self, model: nn.Module, process: Process | ProcessConfig | None, codec: CodecConfig, sampler: Sampler | None,
        info: Info,
        others: Mapping[str, nn.Module] | None = None, reads: Mapping[str, Reader] | None = None,
        stages: Mapping[str, Pipeline] | None = None,
    ):  # fmt: skip
        self.model, self.codec, self.info = model, codec, info
        self.process, self.sampler = built(process), sampler  # type: ignore[assignment]
        self.coder = codec.build()
        self.others = dict(others or {})
        self.reads = dict(reads or {})
        self.stages = dict(stages or {})
        self.readers = {name: reader.build(info) for name, reader in self.reads.items()}

    @property
    def device(self) -> torch.device:
        return next((p.device for p in self.model.parameters()), torch.device("cpu"))

    @property
    def spec(self) -> Spec:
        """Facts of one state."""
        return self.coder.spec(self.info)

    def to(self, device: torch.device | str) -> Pipeline:
        """Move the models, in place."""
        for module in (self.model, self.process, self.coder, *self.others.values(), *self.readers.values()):
            if isinstance(module, nn.Module):
                module.to(device)
        for stage in self.stages.values():
            stage.to(device)
        return self

    def sample(
        self, n: int, *, seed: int = 0, steps: int | None = None, guidance: float | Guidance | None = None,
        caches: Sequence[Aid] | None = None, batch: int = 64, first: int = 0,
        negative: Mapping[str, Any] | None = None, **conditions: Any,
    ) -> Any:  # fmt: skip
        """n new items in the data's range: a tensor (n, ...) on the CPU, or whatever the codec decodes to, as a list.

        steps, guidance, caches: in place of the sampler's own; a number of guidance is the scale. batch: how many at a
        time; it changes no sample. first: the number of the first sample (the samples of first=0, n=8 are those of n=4
        and first=4, n=4).
        conditions: by name, a class number, class name or text for all, a list or tensor for each, None for the model's
        null. negative: values that guidance steers away from, in place of the null, by the condition's name. A condition
        that a stage makes and that is not given is made first, with the same seed and the same conditions.
        Raises `FrisketError` before any work on a condition that does not fit.
        """
        check(n >= 1, "n", n, "at least 1")
        check(batch >= 1, "batch", batch, "at least 1")
        sampler = self._sampler(steps, guidance, caches)
        conditions = self._staged(conditions, lambda stage, own: stage.sample(
            n, seed=seed, batch=batch, first=first, negative=_among(negative, own), **own
        ))  # fmt: skip
        cond = self._conditions(conditions, n, negative)
        parts = [
            self._decode(self._last(sampler, Step(seed=seed, sample=ids), _rows(cond, rows)))
            for ids, rows in self._batches(n, batch, first)
        ]
        return _joined(parts)

    def in_turn(self, n: int, first: int = 0) -> dict[str, Any]:
        """Conditions for n samples when none is asked for: the classes in turn, from sample number `first`, and the null
        of what is read as text or the like."""
        counts = class_counts(self.model, self.info)
        turns = {name: torch.arange(first, first + n) % count for name, count in counts.items()}
        return turns | dict.fromkeys(name for name in self.reads if name not in self.stages)

    def snapshots(
        self, n: int, *, seed: int = 0, steps: int | None = None, guidance: float | Guidance | None = None,
        caches: Sequence[Aid] | None = None, first: int = 0, known: Known | None = None,
        negative: Mapping[str, Any] | None = None, **conditions: Any,
    ) -> Iterator[Snapshot]:  # fmt: skip
        """The run of `sample`, or with `known` of `complete`, for one batch of n, move by move; states are decoded with
        `decode`. Earlier stages are run to their end first."""
        check(n >= 1, "n", n, "at least 1")
        sampler = self._sampler(steps, guidance, caches)
        sampler = sampler if known is None else self._imposing(sampler)
        conditions = self._staged(conditions, lambda stage, own: stage.sample(
            n, seed=seed, batch=n, first=first, negative=_among(negative, own), **own
        ))  # fmt: skip
        cond = self._conditions(conditions, n, negative)
        ids = torch.arange(first, first + n, device=self.device)
        return self._run(sampler, Step(seed=seed, sample=ids), cond, None if known is None else known.to(self.device))

    def edit(
        self, x: Tensor, mask: Tensor, *, seed: int = 0, steps: int | None = None,
        guidance: float | Guidance | None = None, batch: int = 64, negative: Mapping[str, Any] | None = None,
        **conditions: Any,
    ) -> Tensor:  # fmt: skip
        """Repaint x (b, c, *grid), in the data's range, where `mask` is True; elsewhere x comes back bit for bit.

        mask: broadcastable to x with its batch. Where the state is coarser than the data, a cell is known if no part of
        it is repainted. Earlier stages edit with the same mask. If the sampler has no correction for it, the known is
        imposed with fresh noise at each move (continuous states) or clean (ids). Raises `FrisketError` if x or mask
        does not fit.
        """
        where = _mask_of(mask, x)
        sampler = self._imposing(self._sampler(steps, guidance))
        conditions = self._staged(conditions, lambda stage, own: stage.edit(
            x, mask, seed=seed, batch=batch, negative=_among(negative, own), **own
        ))  # fmt: skip
        cond = self._conditions(conditions, len(x), negative)
        out = []
        for ids, rows in self._batches(len(x), batch, 0):
            given = x[rows].to(self.device)
            known = known_state(self.coder, self.coder.encode(given), where[rows].to(self.device))
            state = self._last(sampler, Step(seed=seed, sample=ids), _rows(cond, rows), known)
            out.append(torch.where(where[rows].cpu(), self._decoded(state).to(x.dtype), x[rows].cpu()))
        return torch.cat(out)

    def redraw(
        self, x: Tensor, *, strength: float = 0.5, rounds: int = 1, seed: int = 0, steps: int | None = None,
        guidance: float | Guidance | None = None, batch: int = 64, negative: Mapping[str, Any] | None = None,
        **conditions: Any,
    ) -> Tensor:  # fmt: skip
        """Change x (b, c, *grid) without a mask: noise its state to the time `strength` and sample down from there,
        `rounds` times over (see `grid/rounds`). Earlier stages redraw first, with the same strength and rounds."""
        sampler = self._sampler(steps, guidance)
        sampler = replace(sampler, grid=Rounds(level=strength, rounds=rounds, base=sampler.grid))
        conditions = self._staged(conditions, lambda stage, own: stage.redraw(
            x, strength=strength, rounds=rounds, seed=seed, batch=batch, negative=_among(negative, own), **own
        ))  # fmt: skip
        cond = self._conditions(conditions, len(x), negative)
        out = []
        for ids, rows in self._batches(len(x), batch, 0):
            state, step = self.coder.encode(x[rows].to(self.device)), Step(seed=seed, sample=ids)
            noise = process_noise(self.process, shape_of(state), step, "redraw")
            t = torch.full((len(main(state)),), strength, dtype=torch.float64, device=self.device)
            start = Start(x=self.process.corrupt(state, t, noise).x_t, t=strength)
            out.append(self._decoded(self._last(sampler, step, _rows(cond, rows), start=start)).to(x.dtype))
        return torch.cat(out)

    def reword(
        self, x: Tensor, before: Mapping[str, Any], after: Mapping[str, Any], *, mask: Tensor | None = None,
        caches: Sequence[Aid] | None = None, seed: int = 0, steps: int | None = None,
        guidance: float | Guidance | None = None, update: Update | None = None, batch: int = 64, **how: Any,
    ) -> Tensor:  # fmt: skip
        """Change x (b, c, *grid) so that it fits the conditions `after` where it fitted `before`, and keep the rest:
        `reword(x, {"caption": "a cat"}, {"caption": "a dog"})`. Needs no training.

        mask: bool, broadcastable to x, True where x may change; elsewhere it comes back bit for bit. caches: what the
        edit borrows from the image ("control/..." parts) and other aids; the sampler's own if it has any, else cross- and
        self-attention control. update: a reversible solver in place of the sampler's own. how: see
        `sampling.rewording.reword`. Raises `FrisketError` on conditions that do not fit, and on a sampler that cannot be
        inverted.
        """
        from frisket.sampling.rewording import CONTROLS, reword

        sampler = self._sampler(steps, guidance, caches)
        if caches is None and not sampler.caches:
            sampler = replace(sampler, caches=CONTROLS)
        sampler = sampler if update is None else replace(sampler, update=update)
        where = None if mask is None else _mask_of(mask, x)
        return reword(self, x, before, after, sampler=sampler, mask=where, seed=seed, batch=batch, **how).images

    def complete(
        self, known: Known, *, seed: int = 0, steps: int | None = None, guidance: float | Guidance | None = None,
        batch: int = 64, negative: Mapping[str, Any] | None = None, **conditions: Any,
    ) -> Any:  # fmt: skip
        """The data of states whose `known` elements are given: prompts, clues, any part of an id grid. Known elements
        of the state are kept exactly; `edit` is the same for images, in the data's own range."""
        sampler, n = self._imposing(self._sampler(steps, guidance)), len(main(known.values))
        cond, known = self._conditions(conditions, n, negative), known.to(self.device)
        parts = [
            self._decode(self._last(sampler, Step(seed=seed, sample=ids), _rows(cond, rows), known.rows(rows)))
            for ids, rows in self._batches(n, batch, 0)
        ]
        return _joined(parts)

    def decode(self, state: State) -> Any:
        """State to data, on the CPU."""
        with torch.no_grad():
            return self._decode(state)

    def save_pretrained(
        self, folder: str | Path, weights: Mapping[str, Tensor] | None = None,
        process: Mapping[str, Tensor] | None = None,
    ) -> Path:  # fmt: skip
        """Write config.json, model.safetensors and a README.md, atomically. weights, process: in place of the model's
        and the process's own (an average, for example), by the same names."""
        from frisket.sampling.folder import save

        return save(self, Path(folder), weights, process)

    @classmethod
    def from_pretrained(cls, source: str | Path, *, device: torch.device | str = "cpu") -> Pipeline:
        """From a folder, or a repository "owner/name" of the Hugging Face hub. Raises `FrisketError` on anything else,
        on parts that this version does not have, and on weights that do not fit."""
        from frisket.sampling.folder import load

        return load(cls, source).to(device)

    def push_to_hub(self, repo: str, *, private: bool = False, message: str = "Upload with frisket") -> str:
        """Upload what `save_pretrained` writes to the repository `repo` ("owner/name"); returns its address."""
        from frisket.sampling.folder import push

        return push(self, repo, private, message)

    def _sampler(
        self, steps: int | None, guidance: float | Guidance | None, caches: Sequence[Aid] | None = None
    ) -> Sampler:
        if self.process is None or self.sampler is None:
            raise FrisketError("this pipeline makes no samples: it has no process, or no sampler")
        sampler = self.sampler if steps is None else replace(self.sampler, steps=steps)
        sampler = sampler if caches is None else replace(sampler, caches=tuple(caches))
        if guidance is None:
            return sampler
        if isinstance(guidance, Guidance):
            return replace(sampler, guidance=guidance)
        own = sampler.guidance
        if len(own.others) == 1:
            return replace(sampler, guidance=replace(own, scales=(Constant(value=float(guidance)),)))
        check(not own.others, "guidance", guidance, "a Guidance, because this sampler combines several branches")
        return replace(sampler, guidance=cfg(float(guidance), channels=own.channels))

    def _imposing(self, sampler: Sampler) -> Sampler:
        if any(c.takes_known for c in sampler.corrections):
            return sampler
        hides = getattr(self.process, "hides", self.spec.kind == "ids")
        own = ImposeKnown(how="clean" if hides else "renoise")
        return replace(sampler, corrections=(*sampler.corrections, own))

    def _conditions(
        self, values: Mapping[str, Any], n: int, negative: Mapping[str, Any] | None = None
    ) -> Condition | None:
        def read(given: Mapping[str, Any]) -> Condition | None:
            counts = class_counts(self.model, self.info)
            found = read_conditions(given, n, counts, self.info, self.device, self.readers)
            return encoded(found, self.model, self.coder)

        cond = read(values)
        for name in negative or ():
            if name not in values:
                raise unknown("negative condition", name, values)
        return replace(cond, negative=read(negative)) if cond is not None and negative else cond

    def _staged(self, conditions: Mapping[str, Any], make: Callable[[Pipeline, dict[str, Any]], Any]) -> dict[str, Any]:
        """The conditions, and those that earlier stages make of them. Each stage is given what it reads itself."""
        made = {}
        for name, stage in self.stages.items():
            if name not in conditions:
                reads = {*stage.reads, *class_counts(stage.model, stage.info)}
                made[name] = make(stage, {k: v for k, v in conditions.items() if k in reads})
        return {**conditions, **made}

    def _batches(self, n: int, batch: int, first: int) -> Iterator[tuple[Tensor, slice]]:
        for low in range(0, n, batch):
            high = min(low + batch, n)
            yield torch.arange(first + low, first + high, device=self.device), slice(low, high)

    def _run(
        self, sampler: Sampler, step: Step, cond: Condition | None, known: Known | None, start: Start | None = None
    ) -> Iterator[Snapshot]:
        run = sampler.run(
            self.model, self.process, shape=self.spec.shapes, step=step, cond=cond, known=known, start=start,
            others=self.others,
        )  # fmt: skip
        return evaluating((self.model, *self.others.values()), run)

    def _last(
        self, sampler: Sampler, step: Step, cond: Condition | None, known: Known | None = None,
        start: Start | None = None,
    ) -> State:  # fmt: skip
        last = None
        for snapshot in self._run(sampler, step, cond, known, start):
            last = snapshot
        assert last is not None
        return last.x

    def _decoded(self, state: State) -> Tensor:
        made = self._decode(state)
        check(isinstance(made, Tensor), "edit", type(made).__name__, "a codec that decodes to tensors")
        return made

    @torch.no_grad()
    def _decode(self, state: State) -> Any:
        data = self.coder.decode(state)
        return data.cpu() if isinstance(data, Tensor) else data


def evaluating(models: tuple[nn.Module, ...], run: Iterator[Snapshot]) -> Iterator[Snapshot]:
    """The run with the models in evaluation mode during each move; between moves they are as they were."""
    while True:
        before = [m.training for m in models]
        for m in models:
            m.eval()
        try:
            snapshot = next(run, None)
        finally:
            for m, training in zip(models, before, strict=True):
                m.train(training)
        if snapshot is None:
            return
        yield snapshot


def _rows(cond: Condition | None, rows: slice) -> Condition | None:
    return None if cond is None else cond.rows(rows)


def _among(negative: Mapping[str, Any] | None, own: Mapping[str, Any]) -> dict[str, Any]:
    """The negative values of the conditions `own`."""
    return {name: value for name, value in (negative or {}).items() if name in own}


def _joined(parts: list[Any]) -> Any:
    if isinstance(parts[0], Tensor):
        return torch.cat(parts)
    return [item for part in parts for item in part]


def _mask_of(mask: Tensor, x: Tensor) -> Tensor:
    """The mask in the shape of x, True = repaint."""
    check(x.ndim >= 2, "x.shape", tuple(x.shape), "a batch: (b, c, *grid) or (b, n)")
    check(mask.dtype == torch.bool, "mask.dtype", mask.dtype, "torch.bool, True where to repaint")
    try:
        return mask.expand(x.shape)
    except RuntimeError:
        raise FrisketError(f"mask of shape {tuple(mask.shape)} does not broadcast to x of {tuple(x.shape)}") from None
