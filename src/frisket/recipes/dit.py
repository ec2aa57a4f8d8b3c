"""DiT: class-conditional diffusion with a plain transformer; timestep and class enter through adaLN-zero only.

The reference that other recipes are measured against. `small` learns scikit-learn's digits in pixels along straight
paths (those of SiT, its sister code); `paper` is DiT-XL/2 on the latents of a 256-pixel autoencoder with 1,000 steps of
linear betas, learned variance and 250 ancestral steps.
"""

from dataclasses import replace

from frisket.codecs.pixels import Pixels
from frisket.codecs.vae import VAE
from frisket.data.digits import Digits
from frisket.data.imagefolder import ImageFolder
from frisket.data.scenes.source import Scenes
from frisket.evaluation.compare import less
from frisket.experiments.experiment import Experiment, Study
from frisket.experiments.paper import Count, Paper, Parity
from frisket.interop.golden import forward_difference
from frisket.models.backbones.sizes import dit
from frisket.models.backbones.transformer import Transformer
from frisket.models.block import Block, repeat
from frisket.models.count import macs_of_size, parameters_of_size
from frisket.models.doors import Door
from frisket.processes.densities import Steps
from frisket.processes.gaussian import Gaussian
from frisket.processes.model_times import Thousand
from frisket.processes.paths import VPLinear
from frisket.processes.predictions import Eps
from frisket.processes.variances import LearnedRange
from frisket.sampling.grids import Respaced
from frisket.sampling.guidance import cfg
from frisket.sampling.sampler import Sampler
from frisket.sampling.solvers.ancestral import Ancestral
from frisket.sampling.solvers.heun import Heun
from frisket.training.ema import Fixed, Power
from frisket.training.optimisers import AdamW
from frisket.training.schedules import Cosine
from frisket.training.trainer import Trainer

PAPER = Paper(
    card=47, arxiv="2212.09748", year=2022,
    title="Scalable Diffusion Models with Transformers",
    authors="William Peebles and Saining Xie",
    does="a transformer as denoiser, conditioned by adaLN-zero: the baseline of all others",
    claim="quality rises with the network's forward FLOPs, whether they come from width, depth or smaller patches",
)  # fmt: skip

PARAMETERS = {
    ("S", 2): 32_963_360, ("S", 4): 32_945_024, ("S", 8): 33_148_160,
    ("B", 2): 130_512_416, ("B", 4): 130_475_648, ("B", 8): 130_881_536,
    ("L", 2): 458_102_816, ("L", 4): 458_053_760, ("L", 8): 458_594_816,
    ("XL", 2): 675_129_632, ("XL", 4): 675_074_432, ("XL", 8): 675_683_072,
}  # fmt: skip
GMACS = {
    ("S", 2): 6.06, ("S", 4): 1.41, ("S", 8): 0.36, ("B", 2): 23.01, ("B", 4): 5.56, ("B", 8): 1.42,
    ("L", 2): 80.7, ("L", 4): 19.7, ("L", 8): 5.01, ("XL", 2): 118.6, ("XL", 4): 29.05, ("XL", 8): 7.39,
}  # fmt: skip


COUNTS = tuple(
    Count(name=f"DiT-{s}/{p} parameters", published=n, compute=lambda s=s, p=p: parameters_of_size(dit(s, p)))
    for (s, p), n in PARAMETERS.items()
) + tuple(
    Count(
        name=f"DiT-{s}/{p} GMACs", published=n, compute=lambda s=s, p=p: macs_of_size(dit(s, p), (4, 32, 32)) / 1e9,
        tolerance=0.01,
    )
    for (s, p), n in GMACS.items()
)  # fmt: skip
PARITY = Parity(
    kind="module",
    difference=lambda: forward_difference("dit", num_heads=4, input_size=8),
)
VARIANTS = {f"{s}/{p}": f"the published DiT-{s}/{p}: sizes.dit({s!r}, {p})" for s, p in PARAMETERS}

STUDY = Study(
    bench={
        "data": Scenes(size=(16, 16)), "codec": Pixels(), "training.batch": 32, "training.steps": 800,
        "n_samples": 512, "model.depth": 4,
    },
    arms={
        "narrow, patch 4": {"model.width": 48, "model.input.patch": 4},
        "narrow, patch 2": {"model.width": 48, "model.input.patch": 2},
        "wide, patch 4": {"model.width": 96, "model.input.patch": 4},
        "wide, patch 2": {"model.width": 96, "model.input.patch": 2},
    },
    measures=("loss",),
    expect=(
        less("loss", "narrow, patch 2", "narrow, patch 4"),
        less("loss", "wide, patch 4", "narrow, patch 4"),
        less("loss", "wide, patch 2", "narrow, patch 2"),
        less("loss", "wide, patch 2", "wide, patch 4"),
    ),
    note="Held-out loss at equal steps and samples, in place of FID; arms differ in FLOPs, which is what is claimed to matter.",
)  # fmt: skip


def experiment(size: str) -> Experiment:
    if size == "paper":
        return paper()
    width, depth, batch, steps = {"tiny": (32, 2, 16, 20), "small": (64, 6, 64, 1200)}[size]
    return Experiment(
        name="dit",
        data=Digits(),
        codec=Pixels(),
        process=Gaussian(),
        model=Transformer(width=width, heads=4, doors=(Door(),), blocks=repeat(Block(), depth)),
        training=Trainer(
            batch=batch, steps=steps, optimiser=AdamW(lr=2e-3), schedule=Cosine(warmup=100), emas=(Power(width=0.1),)
        ),
        sampler=Sampler(steps=20, update=Heun(), guidance=cfg(1.5)),
        n_samples=500 if size == "small" else 32,
        study=STUDY,
    )


def paper() -> Experiment:
    """DiT-XL/2 at 256 pixels as published; the data is a folder of images, one sub-folder a class."""
    return Experiment(
        name="dit",
        data=ImageFolder(target="imagenet/train", size=256),
        codec=VAE(target="stabilityai/sd-vae-ft-ema"),
        process=Gaussian(
            path=VPLinear(), prediction=Eps(), density=Steps(steps=1000), variance=LearnedRange(), time=Thousand()
        ),
        model=dit("XL", 2),
        training=Trainer(
            batch=256,
            steps=7_000_000,
            clip=0.0,
            optimiser=AdamW(lr=1e-4, betas=(0.9, 0.999)),
            emas=(Fixed(rate=0.9999),),
        ),
        sampler=Sampler(steps=250, update=Ancestral(), grid=Respaced(), guidance=cfg(1.5, channels=3)),
        n_samples=50_000,
        study=replace(STUDY, bench={}),
    )
