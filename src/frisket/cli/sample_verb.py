"""`frisket sample CKPT`: samples of a trained model, as a picture, as text, or as the array a published suite reads."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Literal

import tyro

from frisket.cli.options import parse
from frisket.core.errors import FrisketError
from frisket.evaluation.pictures import save_sheet

ABOUT = "Make samples with a trained model. Sample i depends on (seed, i) only, whatever the batch or process count."


@dataclass
class Sample:
    checkpoint: Annotated[str, tyro.conf.Positional]
    """run folder, model folder or hub id"""
    n: int = 16
    """how many"""
    label: Annotated[int | None, tyro.conf.arg(aliases=["--class"])] = None
    """class to sample; default: the classes in turn"""
    steps: int | None = None
    """sampler steps; default: the model's own"""
    guidance: float | None = None
    """classifier-free guidance scale, 1 = none; default: the model's own"""
    seed: int = 0
    """seed of the run"""
    batch: int = 64
    """samples computed at once; changes memory, not the result"""
    out: str = "samples.png"
    """.png for a picture, .npz for the array layout of the ADM evaluation suite, .txt for text"""
    procs: int = 1
    """processes that share the work (for .npz)"""
    device: Literal["auto", "cpu", "cuda"] = "auto"
    """where to compute"""


def main(argv: list[str]) -> int:
    from frisket.experiments.system import load

    options, _ = parse(Sample, argv, "sample", ABOUT)
    pipeline = load(options.checkpoint).to(options.device)
    text = pipeline.info.kind == "text"
    wanted = (".txt",) if text else (".png", ".npz")
    if text and options.out == "samples.png":
        options.out = "samples.txt"
    if not options.out.endswith(wanted):
        raise FrisketError(f"--out {options.out!r} is not accepted; this model's samples go to {' or '.join(wanted)}")
    chosen = {"seed": options.seed, "steps": options.steps, "guidance": options.guidance, "batch": options.batch}
    if options.out.endswith(".npz"):
        from frisket.sampling.shards import sample_to_npz

        sample_to_npz(
            pipeline, options.out, n=options.n, procs=options.procs, label=options.label, **chosen,
        )  # fmt: skip
    else:
        labels = pipeline.in_turn(options.n) if options.label is None else {"label": options.label}
        samples = pipeline.sample(options.n, **labels, **chosen)
        if text:
            with open(options.out, "w") as file:
                file.write("\n".join(samples) + "\n")
        else:
            save_sheet(options.out, samples)
    print(f"wrote {options.out}: {options.n} samples")
    return 0
