"""`Segmenter`: a trained model that names masks, with what using it takes: images in, segments out.

It is a pipeline without a process and a sampler: the same folder on disk, other verbs. Shapes: b images, c channels, h w
the image, q queries, k classes.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from jaxtyping import Float, Int
from torch import Tensor

from frisket.core.errors import FrisketError, check
from frisket.sampling.pipeline import Pipeline
from frisket.sampling.segments import (
    Instances,
    Merge,
    Panoptic,
    enlarge,
    merge_panoptic,
    read_instances,
    semantic_scores,
)  # fmt: skip


@dataclass(frozen=True)
class Segmented:
    """Three readings of the same predictions, on the CPU. semantic: the best class of each pixel. panoptic: what is
    sure, or -1. instances: an image each, best first."""

    semantic: Int[Tensor, "b h w"]
    panoptic: Panoptic
    instances: list[Instances]


class Segmenter:
    """The segmenter that a pipeline holds. Raises `FrisketError` if its model names no masks."""

    def __init__(self, pipeline: Pipeline):
        config: Any = getattr(pipeline.model, "config", None)
        if not hasattr(config, "stuff") or not hasattr(config, "classes"):
            raise FrisketError(f"a segmenter needs a model that names masks; {type(pipeline.model).__name__} does not")
        self.pipeline, self.stuff, self.classes = pipeline, tuple(config.stuff), int(config.classes)
        self.merge = Merge(score=config.score, overlap=config.overlap)

    def segment(
        self, images: Float[Tensor, "b c h w"], *, merge: Merge | None = None, most: int = 100, batch: int = 32
    ) -> Segmented:
        """The segments of images in the data's range. merge: what the panoptic map keeps, in place of
        the model's own. most: instances an image at
        most. batch: how many images at a time; it changes nothing. Raises `FrisketError` on sides that do not divide by
        the model's coarsest stride."""
        check(images.ndim == 4 and len(images) >= 1, "images.shape", tuple(images.shape), "(b, c, h, w), b at least 1")
        check(batch >= 1, "batch", batch, "at least 1")
        check(most >= 1, "most", most, "at least 1")
        semantic, maps, instances = [], [], []
        for part in images.split(batch):
            classes, masks = self.logits(part)
            semantic.append(semantic_scores(classes, masks).argmax(1).cpu())
            for one, drawn in zip(classes, masks, strict=True):
                maps.append(merge_panoptic(one, drawn, stuff=self.stuff, merge=merge or self.merge))
                found = read_instances(one, drawn, stuff=self.stuff, most=most)
                instances.append(Instances(found.classes.cpu(), found.scores.cpu(), found.masks.cpu()))
        panoptic = Panoptic(*(torch.stack([getattr(m, n) for m in maps]).cpu() for n in ("classes", "segments")))
        return Segmented(torch.cat(semantic), panoptic, instances)

    @torch.no_grad()
    def logits(self, images: Float[Tensor, "b c h w"]) -> tuple[Float[Tensor, "b q k"], Float[Tensor, "b q h w"]]:
        """Class logits, the last for no object, and mask logits at the images' size, on the model's device."""
        model, training = self.pipeline.model, self.pipeline.model.training
        model.eval()
        try:
            output = model(self.pipeline.coder.encode(images.to(self.pipeline.device)))
        finally:
            model.train(training)
        return output.aux["classes"], enlarge(output.pred, (images.shape[2], images.shape[3]))

    def save_pretrained(self, folder: str | Path) -> Path:
        """Write config.json, model.safetensors and a README.md, atomically."""
        return self.pipeline.save_pretrained(folder)

    @classmethod
    def from_pretrained(cls, source: str | Path, *, device: torch.device | str = "cpu") -> Segmenter:
        """From a folder or a repository of the Hugging Face hub, as `Pipeline.from_pretrained`. Raises `FrisketError` as
        that does, and if the model names no masks."""
        return cls(Pipeline.from_pretrained(source, device=device))
