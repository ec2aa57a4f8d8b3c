"""Many samples to one file: made in parts by any number of processes, merged as a stream.

The file is the .npz that the ADM evaluation suite reads (arr_0 uint8 (n, h, w, 3), arr_1 labels int64 (n,)); the layout
was read from the openai/guided-diffusion and DiT releases for facts. A part is a fixed run of sample numbers, so its
content does not depend on who makes it: a run that was cut off goes on with the missing parts, at any process count.
Memory holds one part. Shapes: n samples, m of one part.
"""

from __future__ import annotations

import os
import subprocess
import sys
import time
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from frisket.core.config import from_config, to_config
from frisket.core.errors import FrisketError, check
from frisket.core.files import atomic_file, read_json, write_json
from frisket.core.registry import register
from frisket.core.step import Step

LABELS = ("none", "uniform", "balanced")


@register("job/samples")
@dataclass(frozen=True, kw_only=True)
class Job:
    """What to make. source: a saved pipeline. chunk: samples of one part file. labels: none, drawn uniformly for each
    sample, or balanced (sample number modulo classes). steps, guidance: in place of the sampler's own. conditions:
    further ones, equal for all samples."""

    source: str
    n: int = 50_000
    seed: int = 0
    batch: int = 64
    chunk: int = 512
    labels: str = "none"
    steps: int | None = None
    guidance: float | None = None
    conditions: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self):
        check(self.n >= 1, "job.n", self.n, "at least 1")
        check(self.chunk >= 1, "job.chunk", self.chunk, "at least 1")
        check(self.labels in LABELS, "job.labels", self.labels, "none, uniform or balanced")

    def parts(self) -> int:
        return -(-self.n // self.chunk)


def generate(job: Job, folder: Path | str, *, procs: int = 1, device: str = "cpu", patience: float = 3600.0) -> Path:
    """Make all samples of `job` into `folder`/samples.npz; returns its path. What stands there already is kept.

    procs: local processes. Under torchrun (RANK and WORLD_SIZE set) each process makes its share and the first one
    merges. patience: seconds that the first waits without a new part. Raises `FrisketError` if the folder belongs to
    another job, a process failed, or no part came in time.
    """
    folder = Path(folder)
    done = folder / "samples.npz"
    _claim(job, folder)
    if done.is_file():
        return done
    rank, world = int(os.environ.get("RANK", "0")), int(os.environ.get("WORLD_SIZE", "1"))
    if world > 1:
        make_parts(job, folder, rank, world, device)
        if rank == 0:
            _wait(job, folder, patience)
            _merge(job, folder, done)
        return done
    if procs > 1:
        _local(folder, procs, device)
    else:
        make_parts(job, folder, 0, 1, device)
    _merge(job, folder, done)
    return done


def make_parts(job: Job, folder: Path, rank: int, world: int, device: str = "cpu") -> None:
    """Make every `world`-th part that is still missing."""
    mine = [k for k in range(rank, job.parts(), world) if not _part(folder, k).is_file()]
    if not mine:
        return
    from frisket.sampling.pipeline import Pipeline

    pipeline = Pipeline.from_pretrained(job.source, device=device)
    for k in mine:
        first = k * job.chunk
        count = min(job.chunk, job.n - first)
        labels = labels_of(job, torch.arange(first, first + count), len(pipeline.info.classes))
        conditions: dict[str, Any] = job.conditions | ({} if labels is None else {"label": labels})
        x = pipeline.sample(
            count, seed=job.seed, steps=job.steps, guidance=job.guidance, batch=job.batch, first=first, **conditions
        )
        _write_part(_part(folder, k), to_uint8(x), np.zeros(count, np.int64) if labels is None else labels.numpy())


def labels_of(job: Job, ids: Tensor, classes: int) -> Tensor | None:
    """The class of each sample number, int64, or None."""
    if job.labels == "none":
        return None
    check(classes > 0, "job.labels", job.labels, "'none', because this pipeline's data has no classes")
    if job.labels == "balanced":
        return ids % classes
    return (Step(seed=job.seed, sample=ids).draw("label", (), "uniform") * classes).to(torch.int64)


def to_uint8(x: Float[Tensor, "m c h w"]) -> np.ndarray:
    """Images in [0, 1] to uint8 (m, h, w, 3), rounded half up; one channel is repeated."""
    check(x.ndim == 4 and x.shape[1] in (1, 3), "samples.shape", tuple(x.shape), "images (m, 1 or 3, h, w)")
    whole = torch.floor(x.clamp(0, 1) * 255 + 0.5).to(torch.uint8)
    return whole.permute(0, 2, 3, 1).expand(-1, -1, -1, 3).contiguous().numpy()


def _claim(job: Job, folder: Path) -> None:
    """Note the job in the folder, or check that it is the one noted there."""
    folder.mkdir(parents=True, exist_ok=True)
    note = folder / "job.json"
    if note.is_file():
        if read_json(note) != to_config(job):
            raise FrisketError(f"{folder} holds the samples of another job; choose another folder")
        return
    write_json(note, to_config(job))


def _part(folder: Path, k: int) -> Path:
    return folder / f"part-{k:06d}.npz"


def _write_part(path: Path, images: np.ndarray, labels: np.ndarray) -> None:
    with atomic_file(path) as aside, aside.open("wb") as file:
        np.savez(file, arr_0=images, arr_1=labels)


def _read_parts(job: Job, folder: Path, name: str) -> Iterator[np.ndarray]:
    for k in range(job.parts()):
        try:
            with np.load(_part(folder, k), allow_pickle=False) as file:
                yield file[name]
        except (OSError, ValueError, KeyError, zipfile.BadZipFile) as error:
            raise FrisketError(f"{_part(folder, k)} is broken ({error}); remove it and run again") from None


def _merge(job: Job, folder: Path, done: Path) -> None:
    """Stream the parts into one stored .npz, then remove them."""
    with atomic_file(done) as aside, zipfile.ZipFile(aside, "w", zipfile.ZIP_STORED, allowZip64=True) as file:
        for name in ("arr_0", "arr_1"):
            with file.open(f"{name}.npy", "w", force_zip64=True) as out:
                _stream(job, _read_parts(job, folder, name), out)
    for k in range(job.parts()):
        _part(folder, k).unlink(missing_ok=True)


def _stream(job: Job, parts: Iterator[np.ndarray], out: Any) -> None:
    """One .npy file of all parts: a header with the whole shape, then the numbers."""
    written = 0
    for part in parts:
        if not written:
            header = {"descr": part.dtype.str, "fortran_order": False, "shape": (job.n, *part.shape[1:])}
            np.lib.format.write_array_header_1_0(out, header)
        out.write(np.ascontiguousarray(part).tobytes())
        written += len(part)
    check(written == job.n, "samples in the parts", written, f"{job.n}; remove the parts and run again")


def _wait(job: Job, folder: Path, patience: float) -> None:
    """Until every part is there. Raises if none came for `patience` seconds."""
    left, since = job.parts() + 1, time.monotonic()
    while True:
        missing = sum(not _part(folder, k).is_file() for k in range(job.parts()))
        if not missing:
            return
        if missing < left:
            left, since = missing, time.monotonic()
        if time.monotonic() - since > patience:
            raise FrisketError(f"{missing} parts are missing in {folder} and none came for {patience:.0f} s")
        time.sleep(0.2)


def _local(folder: Path, procs: int, device: str) -> None:
    """Run `procs` processes of this module and wait for all."""
    code = "import sys; from frisket.sampling.shards import main; main(*sys.argv[1:])"
    command = [sys.executable, "-c", code, str(folder), device]
    running = []
    threads = str(max(1, (os.cpu_count() or 1) // procs))
    for rank in range(procs):
        with (folder / f"log-{rank}.txt").open("w") as log:
            environment = {"OMP_NUM_THREADS": threads} | os.environ | {"RANK": str(rank), "WORLD_SIZE": str(procs)}
            running.append(subprocess.Popen(command, stdout=log, stderr=log, env=environment))
    try:
        codes = [process.wait() for process in running]
    finally:
        for process in running:
            if process.poll() is None:
                process.terminate()
    for rank, code in enumerate(codes):
        if code:
            raise FrisketError(f"process {rank} failed (exit code {code}); see {folder / f'log-{rank}.txt'}")


def main(folder: str, device: str) -> None:
    """One process of a local run: the job is noted in the folder, rank and world stand in the environment."""
    job = from_config(read_json(Path(folder) / "job.json"))
    make_parts(job, Path(folder), int(os.environ["RANK"]), int(os.environ["WORLD_SIZE"]), device)
