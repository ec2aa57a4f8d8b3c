"""InceptionV3 with the weights that published FID values use, through torch-fidelity.

Network, resizing and weights are torch-fidelity's port of the TensorFlow graph; nothing of it is written again here.
The weights are not downloaded silently: the file is put in place once, its hash is compared, and it is read as plain
tensors before the library sees it. Shapes: b batch.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from frisket.core.errors import FrisketError, MissingExtra
from frisket.core.registry import register
from frisket.data.base import Data
from frisket.evaluation.features.base import as_rgb, cache_folder

FILE = "weights-inception-2015-12-05-6726825d.pth"
URL = f"https://github.com/toshas/torch-fidelity/releases/download/v0.2.0/{FILE}"


@register("features/inception")
@dataclass(frozen=True, kw_only=True)
class Inception:
    """The 2,048 pooled features and the probabilities over its 1,008 outputs, of images of any size.

    weights: the file, "" for the one in the cache folder. sha256: what its hash starts with; values computed with other
    weights are not comparable to published ones.
    """

    weights: str = ""
    sha256: str = "6726825d"

    def path(self) -> Path:
        return Path(self.weights) if self.weights else cache_folder() / "features" / FILE

    def build(self, data: Data) -> InceptionExtractor:
        """Raises `FrisketError` when the file is absent or another, `MissingExtra` when torch-fidelity is."""
        path = self.path()
        if not path.is_file():
            raise FrisketError(f"features.inception needs the file {path}; get it from {URL} and put it there")
        found = hashlib.sha256(path.read_bytes()).hexdigest()
        if not found.startswith(self.sha256):
            raise FrisketError(f"{path} has SHA-256 {found[:16]}..., not {self.sha256}...: these are other weights")
        try:
            torch.load(path, map_location="cpu", weights_only=True)  # refuses anything but plain tensors
        except Exception as error:
            raise FrisketError(f"{path} does not hold plain tensors ({str(error).splitlines()[0]})") from None
        return InceptionExtractor(_library()(
            "frisket-inception", ["2048", "logits"], feature_extractor_weights_path=str(path)
        ), f"inception-{found[:8]}")  # fmt: skip


class InceptionExtractor:
    """Images are quantised to 8 bits first, as files are when published values are computed."""

    classes = 1008

    def __init__(self, model: Any, name: str):
        self.model, self.name = model, name

    @torch.no_grad()
    def __call__(self, x: Float[Tensor, "b c h w"]) -> tuple[Float[Tensor, "b 2048"], Float[Tensor, "b 1008"]]:
        features, logits = self.model((as_rgb(x) * 255).round().to(torch.uint8))
        return features, logits.softmax(-1)


def _library() -> Any:
    try:
        from torch_fidelity.feature_extractor_inceptionv3 import FeatureExtractorInceptionV3  # type: ignore[import-not-found]
    except ImportError:
        raise MissingExtra("torch-fidelity", "metrics", "features.inception") from None
    except RuntimeError as error:  # torchvision, which torch-fidelity imports, was built for another torch
        raise FrisketError(f"features.inception: torch-fidelity cannot be imported here ({error}); install the "
                           "torchvision that belongs to this torch") from None  # fmt: skip
    return FeatureExtractorInceptionV3
