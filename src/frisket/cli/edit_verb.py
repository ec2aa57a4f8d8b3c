"""`frisket edit CKPT --image a.png --mask m.png --out b.png`: repaint what the mask marks, keep the rest exactly."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Any, Literal

import tyro

from frisket.cli.options import parse
from frisket.cli.targets import load_on, read_exact, read_mask, said
from frisket.core.errors import FrisketError, check
from frisket.evaluation.pictures import save_picture

ABOUT = "Repaint the masked part of an image. White in the mask = repaint; everything else stays exactly as it was."


@dataclass
class Edit:
    checkpoint: Annotated[str, tyro.conf.Positional, tyro.conf.arg(metavar="CHECKPOINT")]
    """run folder, model folder or hub id"""
    image: str = ""
    """image to edit, of the model's size (required)"""
    mask: str = ""
    """mask of the same size, white (> 1/2) = repaint (required)"""
    out: str = "edited.png"
    """where to write the result"""
    label: Annotated[str | None, tyro.conf.arg(aliases=["--class"])] = None
    """class of the repainted image, by number or name; default: none (its null)"""
    caption: str | None = None
    """what the repainted image shows, in the words the model learnt; default: none (its null)"""
    steps: int | None = None
    """sampler steps; default: the model's own"""
    guidance: float | None = None
    """classifier-free guidance scale, 1 = none; default: the model's own"""
    seed: int = 0
    """seed of the run"""
    device: Literal["auto", "cpu", "cuda"] = "auto"
    """where to compute"""


def main(argv: list[str]) -> int:
    options, _ = parse(Edit, argv, "edit", ABOUT)
    if not options.image or not options.mask:
        raise FrisketError("give both --image and --mask")
    check(options.out.endswith(".png"), "--out", options.out, "a .png file: other formats change what is kept")
    pipeline = load_on(options.checkpoint, options.device)
    if pipeline.info.kind != "image":
        raise FrisketError(f"{options.checkpoint} makes {pipeline.info.kind}, not images")
    c, h, w = pipeline.info.shape
    image = read_exact(options.image, c, (h, w))
    mask = read_mask(options.mask, (h, w))
    asked: dict[str, Any] = {**dict.fromkeys(pipeline.in_turn(1)), **said(options.label, options.caption)}
    edited = pipeline.edit(image, mask, seed=options.seed, steps=options.steps, guidance=options.guidance, **asked)
    save_picture(options.out, edited[0])
    print(f"wrote {options.out}: {int(mask.sum())} of {h * w} pixels repainted")
    return 0
