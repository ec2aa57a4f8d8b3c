"""Equality with official code, measured on stored arrays: weights under official names, inputs, and the official output.

The arrays lie in `tests/golden` (see its README for the file and class that made each); they are numbers, not code.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from frisket.core.condition import Condition
from frisket.core.errors import FrisketError
from frisket.interop.official import load_official

GOLDEN = Path(__file__).resolve().parents[3] / "tests" / "golden"  # of the source tree, wherever it is called from


def stored(name: str, folder: Path = GOLDEN) -> dict[str, Tensor]:
    """All arrays of `NAME_forward.npz`. Raises `FrisketError` where they are not at hand (they belong to the source tree,
    not to the installed package)."""
    path = folder / f"{name}_forward.npz"
    if not path.is_file():
        raise FrisketError(f"{path} does not exist; parity is measured in the source tree, which holds the arrays")
    with np.load(path, allow_pickle=False) as held:
        return {key: torch.from_numpy(held[key]) for key in held.files}


def golden(name: str, folder: Path = GOLDEN) -> tuple[dict[str, Tensor], dict[str, Tensor], Tensor]:
    """Weights, inputs and output of `NAME_forward.npz`. Raises `FrisketError` as `stored`."""
    arrays = stored(name, folder)
    weights = {k.removeprefix("w/"): v for k, v in arrays.items() if k.startswith("w/")}
    inputs = {k.removeprefix("in/"): v for k, v in arrays.items() if k.startswith("in/")}
    return weights, inputs, arrays["out"]


def forward_difference(name: str, folder: Path = GOLDEN, **facts: Any) -> float:
    """The largest absolute difference between our output and the official one for the stored weights and inputs.

    facts: what `load_official` needs beside shapes. Inputs are `x`, `t` if any, `y`, the class ids, if any, and
    `keep/SPAN`, who passes through a span.
    """
    weights, inputs, out = golden(name, folder)
    model = load_official(name, weights, **facts)
    cond = Condition.of(label=inputs["y"]) if "y" in inputs else None
    with torch.no_grad():
        keep = {k.removeprefix("keep/"): ids for k, ids in inputs.items() if k.startswith("keep/")}
        pred = model(inputs["x"], inputs.get("t"), cond, keep or None).pred
    return float((pred - out).abs().max())
