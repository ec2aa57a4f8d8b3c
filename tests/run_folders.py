"""Tiny runs and what tests do with them: the command line called in process."""

from __future__ import annotations

from pathlib import Path

from frisket.cli import main

DIT = ["--size", "tiny", "--model.width", "16", "--training.steps", "3", "--training.batch", "8",
       "--sampler.steps", "2", "--n_samples", "8"]  # fmt: skip
MDLM = ["--size", "tiny", "--model.width", "16", "--training.steps", "3", "--training.batch", "4",
        "--sampler.steps", "3", "--n_samples", "8", "--data.length", "16"]  # fmt: skip


def frisket(*words: object) -> int:
    """`frisket WORDS` in this process; its exit code."""
    return main([str(word) for word in words])


def refused(capsys, *words: object) -> str:
    """The one line that a refused command says; asserts that it is one, with exit code 2 and no traceback."""
    capsys.readouterr()
    assert frisket(*words) == 2
    said = capsys.readouterr().err
    assert said.count("\n") == 1
    assert said.startswith(f"frisket {words[0]}: ")
    assert "Traceback" not in said
    return said


def pictures(
    folder: Path, classes: int = 2, each: int = 10, size: tuple[int, int] = (16, 16), flat: bool = False
) -> Path:
    """A folder of RGB pictures, in class folders unless `flat`."""
    import numpy as np
    from PIL import Image

    draw = np.random.default_rng(0)
    for c in range(classes):
        place = folder if flat else folder / f"class-{c}"
        place.mkdir(parents=True, exist_ok=True)
        for i in range(each):
            values = draw.integers(0, 256, (*size, 3), dtype=np.uint8)
            Image.fromarray(values).save(place / f"{c}-{i}.png")
    return folder
