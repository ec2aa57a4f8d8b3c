"""RAS: at most sampling steps only part of the tokens is computed; the others keep the velocity they last had.

Which part is decided by how much the last guided move changed each token. Nothing is trained. Here the calls that
compute some tokens are those of token plans (`keep`), and the keys and values of the others are held by a cache. The
published hosts (Stable Diffusion 3, Lumina-Next) are foreign models that take no `keep`, so `paper` is the published
schedule of the former on a network of the same kind and number of tokens. The code holds tokens that change *most* back
(its `high_ratio` of 1), and its factor against starvation then keeps them waiting; both signs are arms of the study.
"""

from dataclasses import replace

from frisket.caching.kept_keys import KeptKeys
from frisket.codecs.vae import VAE
from frisket.data.imagefolder import ImageFolder
from frisket.data.scenes.source import Scenes
from frisket.evaluation.compare import less
from frisket.experiments.experiment import Experiment, Study
from frisket.experiments.paper import Paper, Parity
from frisket.interop.ras import scheduler_difference
from frisket.models.backbones.sizes import dit
from frisket.processes.gaussian import Gaussian
from frisket.recipes.tread import base
from frisket.sampling.guidance import cfg
from frisket.sampling.sampler import Sampler
from frisket.sampling.solvers.euler import Euler
from frisket.sampling.solvers.regions import Regions
from frisket.sampling.solvers.waits import Border, Change, Random, Waits
from frisket.training.ema import Fixed
from frisket.training.optimisers import AdamW
from frisket.training.trainer import Trainer

PAPER = Paper(
    card=112, arxiv="2502.10389", year=2025,
    title="Region-Adaptive Sampling for Diffusion Transformers",
    authors="Ziming Liu, Yifan Yang, Chengruidong Zhang, Yiqi Zhang, Lili Qiu, Yang You and Yuqing Yang",
    does="at most sampling steps only the tokens in focus are computed, the others go on with an older velocity",
    claim="faster than full steps with little loss, and better than fewer full steps of the same cost",
)  # fmt: skip
PARITY = Parity(kind="functions", difference=scheduler_difference)
VARIANTS = {
    "mostly low": "the example for Stable Diffusion 3: waits.high = 0.3",
    "growing": "more tokens wait as sampling goes on: growth = 256, every = 4 (4,096 tokens)",
    "release": "the factor against starvation brings back those that changed most, too: waits.release = 'all'",
}

STEPS, FEWER = 20, 13  # 13 full steps cost what 20 steps with the schedule below do


def sparse(waits: Waits, share: float = 0.5) -> Sampler:
    """Twenty steps, of which five are full."""
    update = Regions(patch=2, share=share, start=4, resets=(11,), waits=waits)
    return Sampler(steps=STEPS, update=update, caches=(KeptKeys(),), guidance=cfg(1.5))


LEAST, MOST = Change(high=0.0), Change(high=1.0, release="all")
STUDY = Study(
    bench={
        "start": base("dense", None, 240), "data": Scenes(size=(16, 16)), "n_samples": 64, "sampler": sparse(LEAST),
    },
    arms={
        "fewer full steps": {"sampler": Sampler(steps=FEWER, update=Euler(), guidance=cfg(1.5))},
        "least change waits": {},
        "most change waits": {"sampler": sparse(MOST)},
        "most change waits on": {"sampler": sparse(Change(high=1.0))},
        "random waits": {"sampler": sparse(Random())},
        "border waits": {"sampler": sparse(Border())},
    },
    measures=("endpoint_distance", "endpoint_forwards"),
    expect=(
        less("endpoint_distance", "least change waits", "random waits"),
        less("endpoint_distance", "most change waits", "random waits"),
        less("endpoint_distance", "least change waits", "fewer full steps"),
    ),
    budget="forwards",
    note="Relative distance to the end of 60 Euler steps from the same noise, in place of FID and user studies, at about "
         "equal multiply-adds (endpoint_forwards, two branches a step). The base is a network of 0.3 million parameters "
         "trained for 240 steps, so the picture it leads to is rough; the distance does not depend on its quality.",
)  # fmt: skip


def experiment(size: str) -> Experiment:
    if size == "paper":
        return paper()
    steps = {"tiny": 20, "small": 240}[size]
    return Experiment(
        name="ras", data=Scenes(size=(16, 16)), start=base("dense", None, steps), sampler=sparse(LEAST),
        n_samples=256 if size == "small" else 32, study=STUDY,
    )  # fmt: skip


def paper() -> Experiment:
    """The schedule for Stable Diffusion 3 (28 steps, full before 4 and at 12 and 20, half of the tokens) on a DiT-XL of
    4,096 tokens along straight paths."""
    data = ImageFolder(target="imagenet/train", size=1024)
    training = Trainer(batch=256, steps=400_000, optimiser=AdamW(lr=1e-4), emas=(Fixed(rate=0.9999),))
    model = dit("XL", 2, side=128, channels_out=4)
    start = Experiment(
        name="ras-base", data=data, codec=VAE(target="stabilityai/sd-vae-ft-ema"), process=Gaussian(), model=model,
        training=training, sampler=Sampler(steps=28, guidance=cfg(4.0)),
    )  # fmt: skip
    update = Regions(start=4, resets=(12, 20), waits=Change(high=0.3))
    sampler = Sampler(steps=28, update=update, caches=(KeptKeys(),), guidance=cfg(4.0))
    return Experiment(name="ras", data=data, start=start, sampler=sampler, study=replace(STUDY, bench={}))
