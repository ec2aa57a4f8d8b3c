"""REPA: an early block's tokens, projected, point where a frozen encoder's features of the clean image point.

The projector trains with the model and is no part of what is sampled. `paper` aligns with DINOv2-B, which is loaded by
transformers and never replaced. No such encoder can be trained here, so at `tiny` and `small` a convolutional encoder is
trained first, supervised, on the labels of the same training images (`needs["encoder"]`); what such features know is the
class, which the model is told as well, and far less than DINOv2's. The classifier behind the default sample features is
another network with other weights. Small projectors are twice as wide as the model, as 2,048 nearly is to 1,152.
Official code: sihyun-yu/REPA (read for facts). Its last sampling step starts at t = 0.04, here all are equal; its option
to drop labels twice, kept for old runs, is left out. The card's control with shuffled targets is one with an encoder that
was never trained.
"""

from __future__ import annotations

from dataclasses import replace

from frisket.codecs.pixels import Pixels
from frisket.codecs.vae import VAE
from frisket.core.errors import FrisketError
from frisket.data.base import Data
from frisket.data.digits import Digits
from frisket.data.imagefolder import ImageFolder
from frisket.data.scenes.source import Scenes
from frisket.evaluation.compare import less, more
from frisket.experiments.adding import at_share, depth_of, with_objective
from frisket.experiments.experiment import Experiment, Study
from frisket.experiments.paper import Count, Paper, Parity
from frisket.interop.aligned import GUIDED, aligned_difference
from frisket.models.backbones.patch_encoder import PatchEncoder
from frisket.models.backbones.sizes import dit
from frisket.models.backbones.transformer import Transformer
from frisket.models.block import Block, repeat
from frisket.models.count import parameters_of_size
from frisket.models.doors import Door
from frisket.models.layers.ends import Patches
from frisket.processes.gaussian import Gaussian
from frisket.sampling.guidance import cfg
from frisket.sampling.sampler import Sampler
from frisket.sampling.solvers.euler import Euler
from frisket.sampling.solvers.heun import Heun
from frisket.tasks.classification import Classification
from frisket.tasks.diffusion import Diffusion
from frisket.tasks.objectives.alignment import Alignment
from frisket.tasks.objectives.projector import Projector
from frisket.tasks.objectives.targets import Dinov2
from frisket.training.ema import Fixed, Power
from frisket.training.optimisers import AdamW
from frisket.training.schedules import Cosine
from frisket.training.trainer import Trainer

PAPER = Paper(
    card=70, arxiv="2410.06940", year=2024,
    title="Representation Alignment for Generation: Training Diffusion Transformers Is Easier Than You Think",
    authors="Sihyun Yu, Sangkyung Kwak, Huiwon Jang, Jongheon Jeong, Jonathan Huang, Jinwoo Shin and Saining Xie",
    does="an early block's tokens are pulled towards a frozen encoder's features of the clean image while training",
    claim="training converges many times faster and ends better than SiT's",
)  # fmt: skip

SHARE = 8 / 28  # published depth of the alignment
OFFICIAL = {"B": 137_845_008, "L": 465_955_600, "XL": 683_242_512}
COUNTS = tuple(
    Count(
        name=f"SiT-{s}/2 with a projector to DINOv2-B, parameters", published=n,
        compute=lambda s=s: parameters_of_size(dit(s, 2, channels_out=4))
        + Projector().parameters(dit(s, 2).width, 768),
    )
    for s, n in OFFICIAL.items()
)  # fmt: skip
PARITY = Parity(kind="module", difference=lambda: aligned_difference("repa"))
VARIANTS = {
    "several encoders": "one objective/alignment for each, weights divided by their number, names of their own",
    "DINOv2-L": "target/dinov2 with model = facebook/dinov2-large",
    "512 pixels": "target/dinov2 with size = 448 on latents of side 64",
}


def encoder(data: Data, patch: int, *, steps: int = 200, width: int = 48, batch: int = 32) -> Experiment:
    """The encoder that `small` aligns with: one feature vector for each patch of the image."""
    training = Trainer(
        batch=batch, steps=steps, optimiser=AdamW(lr=3e-3), schedule=Cosine(warmup=min(20, steps // 5)),
        emas=(Power(width=0.1),),
    )  # fmt: skip
    return Experiment(
        name="patch-encoder", data=data, codec=Pixels(), model=PatchEncoder(width=width, depth=2, patch=patch),
        task=Classification(), training=training,
    )  # fmt: skip


def added(experiment: Experiment, block: int | None = None, weight: float = 0.5) -> Experiment:
    """This method on another system in pixels: an encoder learns its data first, then a block at the published share of
    the depth (or `block`) is aligned with it. Raises `FrisketError` on a model or codec without square pixel patches."""
    patch = getattr(getattr(experiment.model, "input", None), "patch", None)
    if not isinstance(patch, int) or not isinstance(experiment.codec or Pixels(), Pixels):
        raise FrisketError(f"{experiment.name} does not cut pixels into square patches, so no small encoder matches it")
    place = at_share(SHARE, depth_of(experiment)) if block is None else block
    projector = Projector(hidden=2 * experiment.model.width)  # type: ignore[union-attr]
    alignment = Alignment(block=place, weight=weight, projector=projector)
    steps = 20 if experiment.training is not None and experiment.training.steps <= 20 else 200
    return with_objective(experiment, alignment, encoder=encoder(experiment.data, patch, steps=steps))


def base(name: str, data: Data, *, width: int = 64, depth: int = 6, batch: int = 16, steps: int = 200) -> Experiment:
    """A small SiT of patch 2, in pixels."""
    return Experiment(
        name=name, data=data, codec=Pixels(), process=Gaussian(),
        model=Transformer(
            width=width, heads=4, input=Patches(patch=2), doors=(Door(),), blocks=repeat(Block(), depth)
        ),
        training=Trainer(
            batch=batch, steps=steps, optimiser=AdamW(lr=2e-3), schedule=Cosine(warmup=min(40, steps // 2)),
            emas=(Power(width=0.1),),
        ),
        sampler=Sampler(steps=10, update=Euler()),
    )  # fmt: skip


def changes(experiment: Experiment) -> dict[str, object]:
    """What an arm changes to become `experiment`."""
    return {"task": experiment.task, "needs": experiment.needs}


BENCH = base(name="repa", data=Scenes(size=(16, 16)))
ALIGNED = added(BENCH)
UNTRAINED = replace(ALIGNED, needs={"encoder": replace(ALIGNED.needs["encoder"], training=None)})
STUDY = Study(
    bench={
        "data": BENCH.data, "codec": BENCH.codec, "model": BENCH.model, "training": BENCH.training,
        "sampler": BENCH.sampler, "n_samples": 512, **changes(BENCH),
    },
    arms={
        "none": {},
        "aligned": changes(ALIGNED),
        "last block aligned": changes(added(BENCH, block=5)),
        "untrained encoder": changes(UNTRAINED),
    },
    measures=("loss", "frechet", "probe"),
    expect=(
        less("loss", "aligned", "none"),
        less("frechet", "aligned", "none"),
        more("probe", "aligned", "none"),
        more("probe", "aligned", "untrained encoder"),
        less("frechet", "aligned", "last block aligned"),
    ),
    note="Held-out loss, Frechet distance of ten-step samples and a linear probe of the blocks at t = 0.3 with the class "
         "dropped, at equal steps, in place of FID. The encoder is a small supervised one of the same images; its own "
         "training is stated (flops_before), and the projector and its forward are in the arms' FLOPs.",
)  # fmt: skip


def experiment(size: str) -> Experiment:
    if size == "paper":
        return paper()
    width, depth, batch, steps = {"tiny": (32, 3, 16, 20), "small": (64, 6, 64, 1000)}[size]
    made = base(name="repa", data=Digits(), width=width, depth=depth, batch=batch, steps=steps)
    sampler = Sampler(steps=20, update=Heun(), guidance=cfg(1.5))
    return replace(added(made), sampler=sampler, n_samples=500 if size == "small" else 32, study=STUDY)


def paper() -> Experiment:
    """SiT-XL/2 at 256 pixels, block 8 of 28 aligned with DINOv2-B; 400,000 steps, the shorter published length."""
    return Experiment(
        name="repa",
        data=ImageFolder(target="imagenet/train", size=256),
        codec=VAE(target="stabilityai/sd-vae-ft-mse"),
        process=Gaussian(),
        model=dit("XL", 2, channels_out=4),
        task=Diffusion(times="uniform", objectives=(Alignment(block=7, weight=0.5, target=Dinov2()),)),
        training=Trainer(
            batch=256, steps=400_000, clip=1.0, optimiser=AdamW(lr=1e-4, betas=(0.9, 0.999), weight_decay=0.0),
            emas=(Fixed(rate=0.9999, warmup=1),),
        ),
        sampler=GUIDED,
        n_samples=50_000,
        study=replace(STUDY, bench={}),
    )  # fmt: skip
