"""`frisket sample CKPT`: samples of a trained model, as a picture, as text, or as the array a published suite reads."""

from __future__ import annotations

import os
import shutil
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated, Any, Literal

import tyro

from frisket.cli.options import option_names, parse
from frisket.cli.targets import load_on, said
from frisket.core.config import override
from frisket.core.errors import FrisketError, check, unknown
from frisket.core.files import atomic_file, save_tensors
from frisket.core.registry import lookup, names
from frisket.data.base import Info
from frisket.evaluation.pictures import save_sheet
from frisket.experiments.system import model_of
from frisket.sampling.pipeline import Pipeline

ABOUT = "Make samples with a trained model. Sample i depends on (seed, i) only, whatever the batch or process count."


@dataclass
class Sample:
    checkpoint: Annotated[str, tyro.conf.Positional, tyro.conf.arg(metavar="CHECKPOINT")]
    """run folder, model folder or hub id"""
    n: int = 16
    """how many"""
    label: Annotated[str | None, tyro.conf.arg(aliases=["--class"])] = None
    """class to sample, by number or name; default: the classes in turn"""
    caption: str | None = None
    """what to draw, in the words the model learnt; default: none (its null)"""
    steps: int | None = None
    """sampler steps; default: the model's own"""
    guidance: float | None = None
    """classifier-free guidance scale, 1 = none; default: the model's own"""
    seed: int = 0
    """seed of the run"""
    batch: int = 64
    """samples computed at once; changes memory, not the result"""
    out: str | None = None
    """.png for a picture, .npz for the array layout of the ADM evaluation suite, .txt for text, .safetensors for what
    is neither; default: samples.SUFFIX of the first that fits"""
    procs: int = 1
    """processes that share the work (for .npz)"""
    device: Literal["auto", "cpu", "cuda"] = "auto"
    """where to compute"""
    cache: str | None = None
    """what spares compute, by name (interval, first_block); its fields as --cache.every 3; none: the model's own caches
    are left out"""


def main(argv: list[str]) -> int:
    options, pairs = parse(Sample, argv, "sample", ABOUT, overridable=True)
    check(options.n >= 1, "--n", options.n, "at least 1")
    check(options.procs >= 1, "--procs", options.procs, "at least 1")
    caches = caches_of(options.cache, pairs)
    pipeline = load_on(options.checkpoint, options.device)
    if caches is not None:
        pipeline.sampler = replace(pipeline.sampler, caches=caches)
    wanted = suffixes(pipeline.info)
    out = options.out or f"samples{wanted[0]}"
    if not out.endswith(wanted):
        raise FrisketError(f"--out {out!r} is not accepted; this model's samples go to {' or '.join(wanted)}")
    if out.endswith(".npz"):
        check(
            caches is None, "--cache", options.cache, "left out for .npz: a job of many processes uses the model's own"
        )
        _to_npz(pipeline, options, Path(out))
    else:
        asked: dict[str, Any] = pipeline.in_turn(options.n) | said(options.label, options.caption)
        samples = pipeline.sample(
            options.n, seed=options.seed, steps=options.steps, guidance=options.guidance, batch=options.batch, **asked
        )
        _write(out, samples)
    print(f"wrote {out}: {options.n} samples")
    return 0


def caches_of(name: str | None, pairs: dict[str, str]) -> tuple[Any, ...] | None:
    """The caches that `--cache NAME --cache.FIELD VALUE` asks for: () for "none", None where nothing is asked. Raises
    `FrisketError` on another name or field, and on an option of no meaning here."""
    for given in pairs:
        if name in (None, "none") or not given.startswith("cache."):
            raise unknown("option", "--" + given.replace("_", "-"), ["--" + n for n in option_names(Sample)])
    if name is None:
        return None
    if name == "none":
        return ()
    if f"cache/{name}" not in names("cache"):
        raise unknown("--cache", name, ["none", *(n.removeprefix("cache/") for n in names("cache"))])
    cache = lookup(f"cache/{name}")()
    for given, value in pairs.items():
        cache = override(cache, given.removeprefix("cache."), value)
    return (cache,)


def suffixes(info: Info) -> tuple[str, ...]:
    """What samples of data like this can be written to; the first is the default."""
    if info.kind == "text":
        return (".txt",)
    return (".png", ".npz") if info.kind == "image" and info.shape[0] in (1, 3) else (".safetensors",)


def _write(out: str, samples: Any) -> None:
    if out.endswith(".png"):
        save_sheet(out, samples)
    elif out.endswith(".txt"):
        with atomic_file(out) as aside:
            aside.write_text("\n".join(samples) + "\n", encoding="utf-8")
    else:
        save_tensors(out, {"samples": samples})


def _to_npz(pipeline: Pipeline, options: Sample, out: Path) -> None:
    """Make the parts beside `out`, where a run that was cut off goes on, and put the whole at `out`."""
    from frisket.sampling.shards import Job, generate

    told = said(options.label, options.caption)
    turn: dict[str, Any] = pipeline.in_turn(1) | told
    pipeline.sample(1, seed=options.seed, steps=1, guidance=options.guidance, **turn)  # refuses before the work starts
    drawn = "label" in turn and "label" not in told
    job = Job(
        source=str(model_of(options.checkpoint)), n=options.n, seed=options.seed, batch=options.batch,
        labels="balanced" if drawn else "none", steps=options.steps, guidance=options.guidance,
        conditions={name: value for name, value in turn.items() if name in told or value is None},
    )  # fmt: skip
    parts = out.with_name(f"{out.name}.parts")
    done = generate(job, parts, procs=options.procs, device=pipeline.device.type)
    if os.environ.get("RANK", "0") == "0":
        done.replace(out)
        shutil.rmtree(parts)
