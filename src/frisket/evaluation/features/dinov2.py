"""DINOv2 features, whose distances follow human judgement better than InceptionV3's.

Stein et al. 2023, arXiv 2306.04675 (the comparison); Oquab et al. 2023, arXiv 2304.07193 (the network), loaded by
transformers. The class token after the last norm is the feature. Images are resized to `size` (bicubic, anti-aliased)
and normalised by ImageNet's statistics; official protocols differ in the resizing, so compare only within one.
Shapes: b batch, d width of the network.
"""

from __future__ import annotations

import importlib.util
from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn

from frisket.core.errors import FrisketError, MissingExtra, check
from frisket.core.registry import register
from frisket.data.base import Data
from frisket.evaluation.features.base import as_rgb

PAPER = "Oquab et al. DINOv2: Learning Robust Visual Features without Supervision. 2023. arXiv:2304.07193"
MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


@register("features/dinov2", cite=PAPER)
@dataclass(frozen=True, kw_only=True)
class Dinov2:
    """model: a local folder or a Hugging Face id. size: images are resized to this square, a multiple of the patch."""

    model: str = "facebook/dinov2-large"
    size: int = 224

    def build(self, data: Data) -> Dinov2Extractor:
        """Raises as `load`."""
        return Dinov2Extractor(self.load(), self)

    def load(self) -> Any:
        """The frozen network. Raises `MissingExtra` without transformers, `FrisketError` when weights are neither local
        nor reachable."""
        if importlib.util.find_spec("transformers") is None:
            raise MissingExtra("transformers", "diffusers", "features.dinov2")
        try:
            from transformers import AutoConfig, AutoModel

            config = AutoConfig.from_pretrained(self.model)
            check(config.model_type.startswith("dinov2"), "features.model", self.model, "a DINOv2 model")
            model = AutoModel.from_pretrained(self.model, use_safetensors=True)
        except ImportError as error:  # installed, but something that it imports is broken
            raise FrisketError(f"features.dinov2: transformers cannot be used here ({_first(error)})") from error
        except OSError as error:
            raise FrisketError(
                f"features.dinov2: {self.model!r} could not be loaded ({_first(error)}); give a local folder with "
                "config.json and model.safetensors, or an id that can be reached"
            ) from None
        check(self.size % config.patch_size == 0, "features.size", self.size, f"a multiple of {config.patch_size}")
        return model.eval().requires_grad_(False)


class Dinov2Extractor:
    """Frozen; no class probabilities."""

    classes = 0

    def __init__(self, model: Any, config: Dinov2):
        self.model, self.size, self.name = model, config.size, f"dinov2-{config.model.rstrip('/').split('/')[-1]}"

    @torch.no_grad()
    def __call__(self, x: Float[Tensor, "b c h w"]) -> tuple[Float[Tensor, "b d"], None]:
        x = nn.functional.interpolate(as_rgb(x), (self.size, self.size), mode="bicubic", antialias=True).clamp(0, 1)
        mean, std = x.new_tensor(MEAN).view(1, 3, 1, 1), x.new_tensor(STD).view(1, 3, 1, 1)
        return self.model(pixel_values=(x - mean) / std).last_hidden_state[:, 0], None


def _first(error: Exception) -> str:
    """The first line of a message that may be pages long."""
    return (str(error).splitlines() or [type(error).__name__])[0]
