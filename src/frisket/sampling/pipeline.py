"""`Pipeline`: a trained model with all that sampling from it takes: process, codec, sampler, facts of its data.

Sample number i of a seed is always the same, whatever the batch it is made in. Shapes: n samples, b batch, data (b,
...) in the data's own range, state (b, *s) what the process moves.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from frisket.codecs.base import CodecConfig, Spec
from frisket.core.condition import Condition
from frisket.core.errors import FrisketError, check
from frisket.core.step import Step
from frisket.data.base import Info
from frisket.processes.base import Process
from frisket.processes.known import Known
from frisket.sampling.base import Snapshot
from frisket.sampling.conditions import class_counts, read_conditions
from frisket.sampling.corrections import ImposeKnown
from frisket.sampling.encoded import encoded
from frisket.sampling.guidance import Guidance, cfg
from frisket.sampling.regions import known_state
from frisket.sampling.sampler import Sampler
from frisket.sampling.scales import Constant


class Pipeline:
    """model: a built backbone (an nn.Module with `config`). codec: its config; built here. others: further models that
    the sampler's guidance names; they are not saved."""

    def __init__(
        self, model: nn.Module, process: Process, codec: CodecConfig, sampler: Sampler, info: Info,
        others: Mapping[str, nn.Module] | None = None,
    ):  # fmt: skip
        self.model, self.process, self.codec, self.sampler, self.info = model, process, codec, sampler, info
        self.coder = codec.build()
        self.others = dict(others or {})

    @property
    def device(self) -> torch.device:
        return next((p.device for p in self.model.parameters()), torch.device("cpu"))

    @property
    def spec(self) -> Spec:
        """Facts of one state."""
        return self.coder.spec(self.info)

    def to(self, device: torch.device | str) -> Pipeline:
        """Move the models, in place."""
        for module in (self.model, self.coder, *self.others.values()):
            if isinstance(module, nn.Module):
                module.to(device)
        return self

    def sample(
        self, n: int, *, seed: int = 0, steps: int | None = None, guidance: float | Guidance | None = None,
        batch: int = 64, first: int = 0, **conditions: Any,
    ) -> Any:  # fmt: skip
        """n new items in the data's range: a tensor (n, ...) on the CPU, or whatever the codec decodes to, as a list.

        steps, guidance: in place of the sampler's own; a number is the scale. batch: how many at a time; it changes no
        sample. first: the number of the first sample (the samples of first=0, n=8 are those of n=4 and first=4, n=4).
        conditions: by name, a class number or name for all, a list or tensor for each, None for the model's null.
        Raises `FrisketError` before any work on a condition that does not fit.
        """
        check(n >= 1, "n", n, "at least 1")
        check(batch >= 1, "batch", batch, "at least 1")
        sampler = self._sampler(steps, guidance)
        cond = self._conditions(conditions, n)
        parts = [
            self._decode(self._last(sampler, Step(seed=seed, sample=ids), _rows(cond, rows)))
            for ids, rows in self._batches(n, batch, first)
        ]
        return _joined(parts)

    def in_turn(self, n: int, first: int = 0) -> dict[str, Any]:
        """Conditions for n samples of a class-conditional model: the classes in turn, from sample number `first`."""
        counts = class_counts(self.model, self.info)
        return {name: torch.arange(first, first + n) % count for name, count in counts.items()}

    def snapshots(
        self, n: int, *, seed: int = 0, steps: int | None = None, guidance: float | Guidance | None = None,
        first: int = 0, **conditions: Any,
    ) -> Iterator[Snapshot]:  # fmt: skip
        """The run of `sample` for one batch of n, move by move; states are decoded with `decode`."""
        check(n >= 1, "n", n, "at least 1")
        sampler, cond = self._sampler(steps, guidance), self._conditions(conditions, n)
        ids = torch.arange(first, first + n, device=self.device)
        return self._run(sampler, Step(seed=seed, sample=ids), cond, None)

    def edit(
        self, x: Tensor, mask: Tensor, *, seed: int = 0, steps: int | None = None,
        guidance: float | Guidance | None = None, batch: int = 64, **conditions: Any,
    ) -> Tensor:  # fmt: skip
        """Repaint x (b, c, *grid), in the data's range, where `mask` is True; elsewhere x comes back bit for bit.

        mask: broadcastable to x with its batch. Where the state is coarser than the data, a cell is known if no part of
        it is repainted. If the sampler has no correction for it, the known is imposed with fresh noise at each move
        (continuous states) or clean (ids). Raises `FrisketError` if x or mask does not fit.
        """
        where = _mask_of(mask, x)
        sampler = self._imposing(self._sampler(steps, guidance))
        cond = self._conditions(conditions, len(x))
        out = []
        for ids, rows in self._batches(len(x), batch, 0):
            given = x[rows].to(self.device)
            known = known_state(self.coder.encode(given), where[rows].to(self.device))
            state = self._last(sampler, Step(seed=seed, sample=ids), _rows(cond, rows), known)
            made = self._decode(state)
            check(isinstance(made, Tensor), "edit", type(made).__name__, "a codec that decodes to tensors")
            out.append(torch.where(where[rows].cpu(), made.to(x.dtype), x[rows].cpu()))
        return torch.cat(out)

    def complete(
        self, known: Known, *, seed: int = 0, steps: int | None = None, guidance: float | Guidance | None = None,
        batch: int = 64, **conditions: Any,
    ) -> Any:  # fmt: skip
        """The data of states whose `known` elements are given: prompts, clues, any part of an id grid. Known elements
        of the state are kept exactly; `edit` is the same for images, in the data's own range."""
        sampler, n = self._imposing(self._sampler(steps, guidance)), len(known.values)
        cond, known = self._conditions(conditions, n), known.to(self.device)
        parts = [
            self._decode(self._last(sampler, Step(seed=seed, sample=ids), _rows(cond, rows), known.rows(rows)))
            for ids, rows in self._batches(n, batch, 0)
        ]
        return _joined(parts)

    def decode(self, state: Tensor) -> Any:
        """State to data, on the CPU."""
        with torch.no_grad():
            return self._decode(state)

    def save_pretrained(self, folder: str | Path, weights: Mapping[str, Tensor] | None = None) -> Path:
        """Write config.json, model.safetensors and a README.md, atomically. weights: in place of the model's own (an
        average, for example), by the same names."""
        from frisket.sampling.folder import save

        return save(self, Path(folder), weights)

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

    def _sampler(self, steps: int | None, guidance: float | Guidance | None) -> Sampler:
        sampler = self.sampler if steps is None else replace(self.sampler, steps=steps)
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
        own = ImposeKnown(how="renoise" if self.spec.kind == "continuous" else "clean")
        return replace(sampler, corrections=(*sampler.corrections, own))

    def _conditions(self, values: Mapping[str, Any], n: int) -> Condition | None:
        read = read_conditions(values, n, class_counts(self.model, self.info), self.info, self.device)
        return encoded(read, self.model, self.coder)

    def _batches(self, n: int, batch: int, first: int) -> Iterator[tuple[Tensor, slice]]:
        for low in range(0, n, batch):
            high = min(low + batch, n)
            yield torch.arange(first + low, first + high, device=self.device), slice(low, high)

    def _run(self, sampler: Sampler, step: Step, cond: Condition | None, known: Known | None) -> Iterator[Snapshot]:
        run = sampler.run(
            self.model, self.process, shape=self.spec.shape, step=step, cond=cond, known=known, others=self.others
        )
        return _evaluating((self.model, *self.others.values()), run)

    def _last(self, sampler: Sampler, step: Step, cond: Condition | None, known: Known | None = None) -> Tensor:
        last = None
        for snapshot in self._run(sampler, step, cond, known):
            last = snapshot
        assert last is not None
        return last.x

    @torch.no_grad()
    def _decode(self, state: Tensor) -> Any:
        data = self.coder.decode(state)
        return data.cpu() if isinstance(data, Tensor) else data


def _evaluating(models: tuple[nn.Module, ...], run: Iterator[Snapshot]) -> Iterator[Snapshot]:
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
