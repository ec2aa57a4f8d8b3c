"""Counts of foreign models, built without weights from their published configuration."""

from __future__ import annotations

from typing import Any

import torch

from frisket.core.errors import FrisketError, MissingExtra


def foreign_parameters(name: str, **config: Any) -> int:
    """Parameters of the diffusers transformer of class `name`, built on meta. Raises `FrisketError` on a class that
    diffusers does not have."""
    try:
        import diffusers
    except ImportError:
        raise MissingExtra("diffusers", "diffusers", "counting a foreign model") from None
    made = getattr(diffusers, name, None) if name.endswith("Model") else None
    if made is None:
        raise FrisketError(f"diffusers has no model {name!r} (a class name such as PixArtTransformer2DModel)")
    with torch.device("meta"):
        model = made(**config)
    return sum(p.numel() for p in model.parameters())
