"""DDT: an encoder turns state, time and class into one condition vector a token; a short decoder predicts the velocity.

Most blocks belong to the encoder. What it gives changes slowly, so sampling computes it at some steps only; which ones is
found by dynamic programming over its similarity from step to step (`prepare/refresh`). Official code: MCG-NJU/DDT (read
for facts). It starts the modulation of blocks as torch does and not at zero as the paper writes, and so does this. Its
alignment of an encoder block with DINOv2 features is left out here, which the published scores need. Guidance that is
off in an interval makes the official code compute both branches all the same; here the null branch is left out there,
and the encoder is computed anew where it comes in.
"""

from dataclasses import replace

from frisket.caching.listed import even
from frisket.caching.refresh import Refresh
from frisket.codecs.pixels import Pixels
from frisket.codecs.vae import VAE
from frisket.data.imagefolder import ImageFolder
from frisket.data.scenes.source import Scenes
from frisket.evaluation.compare import less
from frisket.experiments.experiment import Experiment, Study
from frisket.experiments.paper import Count, Paper, Parity
from frisket.interop.ddt import POSITIONS, PROCESS, TIME, ddt_block, ddt_of_size, ddt_sampler
from frisket.interop.golden import forward_difference
from frisket.models.backbones.transformer import Transformer
from frisket.models.block import repeat
from frisket.models.count import parameters_of_size
from frisket.models.doors import Door
from frisket.models.encoders import TokenEncoder
from frisket.models.layers.ends import Patches
from frisket.sampling.sampler import Sampler
from frisket.sampling.solvers.euler import Euler
from frisket.training.ema import Fixed, Power
from frisket.training.optimisers import AdamW
from frisket.training.schedules import Cosine
from frisket.training.trainer import Trainer

PAPER = Paper(
    card=58, arxiv="2504.05741", year=2025,
    title="DDT: Decoupled Diffusion Transformer",
    authors="Shuai Wang, Zhi Tian, Weilin Huang and Limin Wang",
    does="an encoder gives each token a condition vector, a short decoder the velocity; sampling shares the encoder's work",
    claim="an encoder with most of the blocks learns faster than one stack of them, and computing it at a fraction of "
    "the steps costs little, least by a list found by dynamic programming",
)  # fmt: skip
COUNTS = tuple(
    Count(name=f"DDT-{size}/2 parameters of the official code", published=count,
          compute=lambda size=size: parameters_of_size(ddt_of_size(size)))
    for size, count in (("B", 130_262_800), ("L", 457_648_144), ("XL", 674_646_352))
)  # fmt: skip
PARITY = Parity(
    kind="module", difference=lambda: forward_difference("ddt", num_heads=2, encoder_blocks=2, input_size=8)
)
VARIANTS = {
    "evenly shared": "caching.listed.even(steps, count) in sampler.caches, in place of prepare/refresh",
    "512 pixels": "guidance 3: interop.ddt.ddt_sampler(scale=3.0), fine-tuned from 256 pixels",
}


def network(width: int, encoder: int, decoder: int, patch: int = 2) -> Transformer:
    """Blocks of the same kind in an encoder and a decoder; encoder = 0: one stack modulated by time and class."""
    before = TokenEncoder(blocks=repeat(ddt_block(), encoder)) if encoder else None
    return Transformer(
        width=width, heads=4, input=Patches(patch=patch), positions=POSITIONS, time=TIME, doors=(Door(),),
        encoder=before, blocks=repeat(ddt_block(), decoder),
    )  # fmt: skip


def base(width: int, encoder: int, decoder: int, batch: int, steps: int, sampler: Sampler) -> Experiment:
    """One network trained on scenes."""
    training = Trainer(
        batch=batch, steps=steps, optimiser=AdamW(lr=2e-3), schedule=Cosine(warmup=max(1, steps // 6)),
        emas=(Power(width=0.1),),
    )  # fmt: skip
    return Experiment(
        name=f"ddt-{encoder}-{decoder}", data=Scenes(size=(16, 16)), codec=Pixels(), process=PROCESS,
        model=network(width, encoder, decoder), training=training, sampler=sampler,
    )  # fmt: skip


STEPS = 50
PLAIN = Sampler(steps=STEPS, update=Euler())


def _arm(encoder: int, decoder: int) -> Experiment:
    return base(48, encoder, decoder, 16, 200, PLAIN)


def _evenly(count: int) -> dict:
    return {"sampler": replace(PLAIN, caches=(even(STEPS, count),))}


def _planned(count: int) -> dict:
    return {"prepare": (Refresh(count=count),)}


STUDY = Study(
    bench={
        "start": _arm(6, 2), "data": Scenes(size=(16, 16)), "training": None, "prepare": (), "sampler": None,
        "n_samples": 24,
    },
    arms={
        "one stack of 8": {"start": _arm(0, 8)},
        "2 + 6": {"start": _arm(2, 6)},
        "6 + 2": {},
        "6 + 2, 12 even steps": _evenly(12),
        "6 + 2, 12 planned steps": _planned(12),
        "6 + 2, 6 even steps": _evenly(6),
        "6 + 2, 6 planned steps": _planned(6),
        "6 + 2, 6 full steps": {"sampler": replace(PLAIN, steps=6)},
    },
    measures=("loss", "dense_distance", "compute"),
    expect=(
        less("loss", "6 + 2", "one stack of 8"),
        less("loss", "6 + 2", "2 + 6"),
        less("dense_distance", "6 + 2, 12 planned steps", "6 + 2, 12 even steps"),
        less("dense_distance", "6 + 2, 6 planned steps", "6 + 2, 6 even steps"),
    ),
    note="Held-out loss in place of FID, at equal blocks and steps; a decoder block costs more than an encoder block, "
    "because its modulation is made token by token (train FLOPs are stated). Sharing is judged by the distance to the "
    "50-step run of the same noise, without guidance. No alignment with outside features in any arm. "
    "A list found by similarity loses least similarity by construction; that it also ends nearest is what is asked. "
    "'6 full steps' spends less than a third of what 6 shared ones do, whose decoder runs 50 times.",
)  # fmt: skip


def experiment(size: str) -> Experiment:
    if size == "paper":
        return paper()
    width, encoder, decoder, batch, steps, moves = {"tiny": (16, 2, 1, 8, 10, 6), "small": (64, 6, 2, 32, 400, 24)}[
        size
    ]
    return Experiment(
        name="ddt", data=Scenes(size=(16, 16)),
        start=base(width, encoder, decoder, batch, steps, ddt_sampler(moves, 2.0)),
        prepare=(Refresh(count=moves // 3),), n_samples=256 if size == "small" else 16, study=STUDY,
    )  # fmt: skip


def paper() -> Experiment:
    """DDT-XL/2 at 256 pixels for 400 epochs, sampled with the encoder computed at 50 of 250 steps."""
    data = ImageFolder(target="imagenet/train", size=256)
    training = Trainer(
        batch=256, steps=2_002_000, optimiser=AdamW(lr=1e-4, betas=(0.9, 0.95)), emas=(Fixed(rate=0.9999),)
    )
    start = Experiment(
        name="ddt-22-6", data=data, codec=VAE(target="stabilityai/sd-vae-ft-ema"), process=PROCESS,
        model=ddt_of_size("XL"), training=training, sampler=ddt_sampler(),
    )  # fmt: skip
    return Experiment(
        name="ddt", data=data, start=start, prepare=(Refresh(count=50),), n_samples=50_000,
        study=replace(STUDY, bench={}),
    )  # fmt: skip
