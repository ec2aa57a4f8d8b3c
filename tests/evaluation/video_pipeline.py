"""A small video pipeline with nothing at its start."""

from __future__ import annotations

from frisket.codecs.pixels import Pixels
from frisket.data.scenes.drifts import Drifts
from frisket.interop.vdt import vdt_block
from frisket.models.backbones.transformer import Transformer
from frisket.models.block import repeat
from frisket.models.layers.axis_tables import GroupedSinCos
from frisket.models.layers.ends import Patches
from frisket.processes.gaussian import Gaussian
from frisket.sampling.corrections import ImposeKnown
from frisket.sampling.pipeline import Pipeline
from frisket.sampling.sampler import Sampler
from frisket.testing.backbones import stir

DATA = Drifts(size=(8, 8), frames=8)


def video_pipeline(steps: int = 2) -> Pipeline:
    info, process = DATA.open("train").info, Gaussian()
    config = Transformer(
        width=16, heads=2, input=Patches(patch=(1, 4, 4)), positions=GroupedSinCos(), blocks=repeat(vdt_block(), 1)
    )
    model = config.fit(Pixels().spec(info), process.outputs(3), {}).build()
    stir(model, 0.1)
    return Pipeline(model, process, Pixels(), Sampler(steps=steps, corrections=(ImposeKnown(how="clean"),)), info)
