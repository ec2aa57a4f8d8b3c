"""SRA: an early block's tokens point to what a later block of the averaged model makes of the same image with less noise.

No encoder from outside: the teacher is the average that is sampled from, it sees the same noise and the same dropped
labels, and a small head between both is thrown away after training. Official code: vvvvvjdy/SRA, SiT-SRA (read for
facts). `paper` is the published setting, smooth L1 whose weight falls from 0.2; the released code now defaults to a cosine
of weight 0.5 that runs over the token axis, channel by channel. `small` takes the cosine over channels, token by token;
both are VARIANTS. The official teacher computes the whole network, here it stops behind its block. Its averages start at
the fresh weights with decay 0.9999 from the first update on, which `paper` keeps; `small` has a shorter average. The
variant for DiT in integer steps and the later one with token groups are left out.
"""

from __future__ import annotations

from dataclasses import replace

from frisket.codecs.vae import VAE
from frisket.data.digits import Digits
from frisket.data.imagefolder import ImageFolder
from frisket.data.scenes.source import Scenes
from frisket.evaluation.compare import less, more
from frisket.experiments.adding import at_share, depth_of, with_objective
from frisket.experiments.experiment import Experiment, Study
from frisket.experiments.paper import Count, Paper, Parity
from frisket.interop.aligned import GUIDED, aligned_difference
from frisket.models.backbones.sizes import dit
from frisket.models.count import parameters_of_size
from frisket.processes.gaussian import Gaussian
from frisket.recipes.repa import base
from frisket.sampling.guidance import cfg
from frisket.sampling.sampler import Sampler
from frisket.sampling.solvers.heun import Heun
from frisket.tasks.diffusion import Diffusion
from frisket.tasks.objectives.distances import SmoothL1
from frisket.tasks.objectives.projector import Projector
from frisket.tasks.objectives.ramps import Decades
from frisket.tasks.objectives.self_alignment import SelfAlignment
from frisket.training.ema import Fixed
from frisket.training.optimisers import AdamW
from frisket.training.trainer import Trainer

PAPER = Paper(
    card=50, arxiv="2505.02831", year=2025,
    title="No Other Representation Component Is Needed: Diffusion Transformers Can Provide Representation Guidance by "
          "Themselves",
    authors="Dengyang Jiang, Mengmeng Wang, Liuzhuozheng Li, Lei Zhang, Haoyu Wang, Wei Wei, Guang Dai, Yanning Zhang "
            "and Jingdong Wang",
    does="an early block is pulled towards a later block of the averaged model at a lower noise level",
    claim="training is faster and ends better, on par with alignment to encoders from outside",
)  # fmt: skip

SHARES = (8 / 28, 20 / 28)  # published depths of student and teacher
HEAD = Projector(hidden=None, layers=2)
OFFICIAL = {"B": 132_861_712, "L": 462_283_792, "XL": 680_423_056}
COUNTS = (
    *(
        Count(
            name=f"SiT-{s}/2 with its head, parameters", published=n,
            compute=lambda s=s: parameters_of_size(dit(s, 2, channels_out=4))
            + HEAD.parameters(dit(s, 2).width, dit(s, 2).width),
        )
        for s, n in OFFICIAL.items()
    ),
    Count(name="head of XL, parameters", published=5_311_872, compute=lambda: HEAD.parameters(1152, 1152)),
)  # fmt: skip
PARITY = Parity(kind="module", difference=lambda: aligned_difference("sra"))
LEGACY = SelfAlignment(block=7, teacher_block=19, weight=0.2, distance=SmoothL1(beta=0.05), ramp=Decades())
VARIANTS = {
    "published": "smooth L1 of weight 0.2, flat for 150 epochs, then tenfold less every 1,000: LEGACY",
    "released default": "objective weight 0.5 with distance/cosine over = tokens",
    "512 pixels": "ramp/decades with flat = 99, decade = 800",
}


def added(
    experiment: Experiment, block: int | None = None, teacher_block: int | None = None, gap: float = 0.2
) -> Experiment:
    """This method on another system: a block at the published share of the depth (or `block`) learns from a later one of
    the average, at most `gap` less noisy. Raises `FrisketError` on an experiment that it cannot be added to."""
    depth = depth_of(experiment)
    own = at_share(SHARES[0], depth) if block is None else block
    taught = max(at_share(SHARES[1], depth), own) if teacher_block is None else teacher_block
    return with_objective(experiment, SelfAlignment(block=own, teacher_block=taught, gap=gap))


BENCH = base(name="sra", data=Scenes(size=(16, 16)))
STUDY = Study(
    bench={
        "data": BENCH.data, "codec": BENCH.codec, "model": BENCH.model, "training": BENCH.training,
        "sampler": BENCH.sampler, "n_samples": 512, "task": BENCH.task,
    },
    arms={
        "none": {},
        "self-aligned": {"task": added(BENCH).task},
        "same noise": {"task": added(BENCH, gap=0.0).task},
        "same block": {"task": added(BENCH, teacher_block=1).task},
    },
    measures=("loss", "frechet", "probe"),
    expect=(
        less("loss", "self-aligned", "none"),
        less("frechet", "self-aligned", "none"),
        more("probe", "self-aligned", "none"),
        less("frechet", "self-aligned", "same noise"),
        less("frechet", "self-aligned", "same block"),
    ),
    note="Held-out loss, Frechet distance of ten-step samples and a linear probe of the blocks at t = 0.3 with the class "
         "dropped, in place of FID. Equal steps: a self-aligned step costs about a fifth more, which is stated.",
)  # fmt: skip


def experiment(size: str) -> Experiment:
    if size == "paper":
        return paper()
    width, depth, batch, steps = {"tiny": (32, 3, 16, 20), "small": (64, 6, 64, 1000)}[size]
    made = base(name="sra", data=Digits(), width=width, depth=depth, batch=batch, steps=steps)
    sampler = Sampler(steps=20, update=Heun(), guidance=cfg(1.5))
    return replace(added(made), sampler=sampler, n_samples=500 if size == "small" else 32, study=STUDY)


def paper() -> Experiment:
    """SiT-XL/2 at 256 pixels, block 8 from block 20 of 28, 800 epochs."""
    return Experiment(
        name="sra",
        data=ImageFolder(target="imagenet/train", size=256),
        codec=VAE(target="stabilityai/sd-vae-ft-ema"),
        process=Gaussian(),
        model=dit("XL", 2, channels_out=4),
        task=Diffusion(times="uniform", objectives=(LEGACY,)),
        training=Trainer(
            batch=256, steps=800 * 5004, clip=1.0, optimiser=AdamW(lr=1e-4, betas=(0.9, 0.999), weight_decay=0.0),
            emas=(Fixed(rate=0.9999, warmup=1),),
        ),
        sampler=GUIDED,
        n_samples=50_000,
        study=replace(STUDY, bench={}),
    )  # fmt: skip
