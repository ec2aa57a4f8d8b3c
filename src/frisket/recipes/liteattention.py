"""LiteAttention: attention skips the tiles that earlier steps of the same generation found to add next to nothing.

Nothing is trained: `small` draws samples from one base of 256 tokens (scenes of 16 x 16 pixels, patch 1) with tiles of
16 x 16. The published hosts are Wan's video transformers in CUDA kernels with larger tiles (`TILES`); the same cache
installs on diffusers transformers whose attention frisket addresses. Seconds are not claimed here: what tiles cost on a
CPU is measured by benchmarks/sparse_attention.py.
"""

from __future__ import annotations

from dataclasses import replace

from frisket.caching.tile_choices import Fresh, Growing, Near, Profiled, Scattered
from frisket.caching.tile_skips import TileSkips
from frisket.caching.tiles import Tile
from frisket.codecs.pixels import Pixels
from frisket.data.scenes.draw import Dial
from frisket.data.scenes.source import Scenes
from frisket.evaluation.compare import less
from frisket.evaluation.looks.tile_skips import TileDensities
from frisket.experiments.experiment import Experiment, Study
from frisket.experiments.paper import Paper
from frisket.models.backbones.transformer import Transformer
from frisket.models.block import Block, repeat
from frisket.models.layers.ends import Patches
from frisket.processes.gaussian import Gaussian
from frisket.recipes import dit
from frisket.sampling.guidance import Guidance
from frisket.sampling.sampler import Sampler
from frisket.training.ema import Power
from frisket.training.optimisers import AdamW
from frisket.training.schedules import Cosine
from frisket.training.trainer import Trainer

PAPER = Paper(
    card=49, arxiv="2511.11062", year=2025,
    title="LiteAttention: A Temporal Sparse Attention for Diffusion Transformers",
    authors="Dor Shmilovich, Tony Wu, Aviad Dahan and Yuval Domb",
    does="attention tiles found negligible at one step are skipped at all later steps of the same generation",
    claim="tiles marked once can stay skipped: a third to a half of attention is saved at equal quality, no profiling",
)  # fmt: skip

TILES = {
    64: Tile(queries=192, keys=192), 96: Tile(queries=192, keys=144), 128: Tile(queries=128, keys=176),
    192: Tile(queries=128, keys=112), 256: Tile(queries=128, keys=80),
}  # fmt: skip
VARIANTS = {f"head width up to {width}": f"the published tile of 16-bit numbers: {tile}" for width, tile in TILES.items()}

SMALL = Tile(queries=16, keys=16)
DENSITY = 0.5  # of the controls: what the marks at THRESHOLD leave, as measured
THRESHOLD = -4.0


def skipping(choice) -> dict:
    return {"sampler.caches": (TileSkips(choice=choice, tile=SMALL),)}


STUDY = Study(
    arms={
        "dense": {},
        "marks, -8": skipping(Growing(threshold=-8.0)),
        "marks, -4": skipping(Growing(threshold=THRESHOLD)),
        "marks, -2": skipping(Growing(threshold=-2.0)),
        "every step anew": skipping(Fresh(density=DENSITY)),
        "profiled once": skipping(Profiled(density=DENSITY)),
        "scattered": skipping(Scattered(density=DENSITY)),
        "near": skipping(Near(density=DENSITY)),
    },
    measures=("tile_error", "tile_density", "last_density"),
    expect=(
        less("tile_density", "marks, -4", "dense"),
        less("tile_error", "marks, -4", "scattered"),
        less("tile_error", "marks, -4", "near"),
        less("tile_error", "marks, -4", "profiled once"),
    ),
    budget="steps",
    note="Relative distance of samples to those of dense attention, noise for noise, in place of video quality. The "
         "controls have about the density of the marks at -4, measured beforehand; `every step anew` looks at all "
         "scores and so saves nothing.",
)  # fmt: skip


def base(size: str) -> Experiment:
    """A plain transformer over 256 tokens (64 at `tiny`)."""
    side, width, depth, batch, steps = {"tiny": (8, 32, 2, 8, 10), "small": (16, 64, 4, 16, 800)}[size]
    return Experiment(
        name="scenes-256" if size == "small" else "scenes-64",
        data=Scenes(size=(side, side), dial=Dial(objects=(1, 2))),
        codec=Pixels(),
        process=Gaussian(),
        model=Transformer(width=width, heads=4, input=Patches(patch=1), blocks=repeat(Block(), depth)),
        training=Trainer(
            batch=batch, steps=steps, optimiser=AdamW(lr=2e-3), schedule=Cosine(warmup=100), emas=(Power(width=0.1),)
        ),
        sampler=Sampler(steps=30),
    )


def experiment(size: str) -> Experiment:
    if size == "paper":
        return paper()
    first = base(size)
    cache = TileSkips(choice=Growing(threshold=THRESHOLD), tile=SMALL)
    return Experiment(
        name="liteattention",
        data=first.data,
        start=first,
        sampler=Sampler(steps=30 if size == "small" else 6, caches=(cache,)),
        looks=(TileDensities(),),
        n_samples=16 if size == "small" else 4,
        study=replace(STUDY, bench={"sampler.caches": ()}),
    )


def paper() -> Experiment:
    """The published threshold and tile on DiT-XL/2's latents at 256 pixels (its heads are 72 wide). The paper's own hosts,
    Wan 2.1 and 2.2 of 14 billion parameters at 50 steps, are video models of another library."""
    host = dit.experiment("paper")
    return Experiment(
        name="liteattention",
        data=host.data,
        start=host,
        sampler=Sampler(
            steps=50, guidance=host.sampler.guidance if host.sampler else Guidance(),
            caches=(TileSkips(choice=Growing(threshold=-10.0), tile=TILES[96]),),
        ),
        looks=(TileDensities(),),
        study=replace(STUDY, bench={"sampler.caches": ()}),
    )  # fmt: skip
