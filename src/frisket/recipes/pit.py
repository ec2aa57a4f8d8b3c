"""PiT: every pixel is a token with a learned position, so nothing in the network knows what lies beside what.

An analysis of locality, not a competitive system: at a fixed input size, quality keeps rising as patches shrink to one
pixel, at the price of more tokens. Compare arms at equal steps (the claim is about quality for an input size), and read
the FLOPs beside them.
"""

from frisket.codecs.pixels import Pixels
from frisket.codecs.vae import VAE
from frisket.data.digits import Digits
from frisket.data.imagefolder import ImageFolder
from frisket.evaluation.compare import less
from frisket.experiments.experiment import Experiment, Study
from frisket.experiments.paper import Count, Paper
from frisket.models.backbones.sizes import pit
from frisket.models.backbones.transformer import Transformer
from frisket.models.block import Block, repeat
from frisket.models.count import macs_of_size
from frisket.models.doors import Door
from frisket.models.layers.ends import Patches
from frisket.models.layers.positions import Learned
from frisket.processes.gaussian import Gaussian
from frisket.sampling.guidance import cfg
from frisket.sampling.sampler import Sampler
from frisket.sampling.solvers.heun import Heun
from frisket.training.ema import Power
from frisket.training.optimisers import AdamW
from frisket.training.schedules import Cosine
from frisket.training.trainer import Trainer

PAPER = Paper(
    card=17, arxiv="2406.09415", year=2024,
    title="An Image is Worth More Than 16x16 Patches: Exploring Transformers on Individual Pixels",
    authors="Duy-Kien Nguyen, Mahmoud Assran, Unnat Jain, Martin R. Oswald, Cees G. M. Snoek and Xinlei Chen",
    does="every pixel is a token with a learned position: no prior of locality at all",
    claim="at a fixed input size, smaller patches are better, down to single pixels",
)  # fmt: skip
COUNTS = (
    Count(name="PiT-L GMACs at 1,024 tokens", published=361.0, tolerance=0.01,
          compute=lambda: macs_of_size(pit("L"), (4, 32, 32)) / 1e9),
)  # fmt: skip
STUDY = Study(
    bench={"training.batch": 32, "training.steps": 800, "model.width": 64, "model.depth": 4, "n_samples": 359},
    arms={
        "patch 4": {"model.input.patch": 4},
        "patch 2": {"model.input.patch": 2},
        "patch 1": {"model.input.patch": 1},
    },
    measures=("loss",),
    expect=(less("loss", "patch 2", "patch 4"), less("loss", "patch 1", "patch 2")),
    note="Held-out loss on 8x8 digits in place of FID; equal steps, so smaller patches also spend more FLOPs.",
)


def experiment(size: str) -> Experiment:
    if size == "paper":
        return paper()
    width, depth, batch, steps = {"tiny": (32, 2, 16, 20), "small": (64, 4, 32, 1500)}[size]
    return Experiment(
        name="pit",
        data=Digits(),
        codec=Pixels(),
        process=Gaussian(),
        model=Transformer(
            width=width, heads=4, input=Patches(patch=1), positions=Learned(), doors=(Door(),),
            blocks=repeat(Block(), depth),
        ),
        training=Trainer(
            batch=batch, steps=steps, optimiser=AdamW(lr=2e-3), schedule=Cosine(warmup=100), emas=(Power(width=0.1),)
        ),
        sampler=Sampler(steps=20, update=Heun(), guidance=cfg(1.5)),
        n_samples=500 if size == "small" else 32,
        study=STUDY,
    )  # fmt: skip


def paper() -> Experiment:
    """PiT-L on the 32 x 32 latents of 256-pixel images. Batch and schedule are recollections, not read in official code
    (none is published); the autoencoder here is the KL one, the paper's is a VQGAN of the same factor."""
    return Experiment(
        name="pit",
        data=ImageFolder(target="imagenet/train", size=256),
        codec=VAE(target="stabilityai/sd-vae-ft-ema"),
        process=Gaussian(),
        model=pit("L", channels_out=4),
        training=Trainer(batch=2048, steps=250_000, optimiser=AdamW(lr=4e-4), emas=(Power(width=0.1),)),
        sampler=Sampler(steps=250, guidance=cfg(1.5)),
        n_samples=50_000,
    )
