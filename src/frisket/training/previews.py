"""Previews on disk: images as one PNG sheet, text as lines, any other tensor as safetensors."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from torch import Tensor

from frisket.core.errors import FrisketError
from frisket.core.files import atomic_file, save_tensors
from frisket.evaluation.pictures import save_sheet


def write_preview(stem: Path, shown: Any) -> Path:
    """Write `shown` beside `stem` with the suffix of its kind; returns the file. Images are (b, 1 or 3, h, w)."""
    stem.parent.mkdir(parents=True, exist_ok=True)
    if isinstance(shown, (list, tuple)) and all(isinstance(s, str) for s in shown):
        with atomic_file(stem.with_suffix(".txt")) as aside:
            aside.write_text("\n".join(shown) + "\n")
        return stem.with_suffix(".txt")
    if not isinstance(shown, Tensor):
        raise FrisketError(f"a preview is a tensor or a list of texts, not {type(shown).__name__}")
    if shown.ndim != 4 or shown.shape[1] not in (1, 3) or not shown.is_floating_point():
        save_tensors(stem.with_suffix(".safetensors"), {"preview": shown})
        return stem.with_suffix(".safetensors")
    save_sheet(stem.with_suffix(".png"), shown)
    return stem.with_suffix(".png")
