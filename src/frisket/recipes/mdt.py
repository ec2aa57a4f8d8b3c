"""MDT: every step runs a full pass and one that leaves out a third of the tokens, which a side block fills in.

Both passes are over noised tokens and both losses over the whole image, so the network learns to predict noise where it
saw nothing; sampling is the full pass alone. The second version folds the encoder with long skips, draws the share that
is left out, and weights the loss. Official code: sail-sg/MDT, branches `mdtv1` and `main` (read for facts); guidance on
three channels of four is its property, kept in `paper`. The second version's optimiser is Adan with gradients clipped
at 1; its loss weight does not touch the variance term, here as there.
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
from frisket.interop.mdt import PROCESS_V2, mdt_block, mdt_v1, mdt_v2, skips_of
from frisket.models.backbones.sizes import DIT
from frisket.models.backbones.transformer import Transformer
from frisket.models.block import repeat
from frisket.models.count import parameters_of_size
from frisket.models.doors import Door
from frisket.models.layers.ends import Patches
from frisket.models.layers.positions import Learned
from frisket.models.plans.choose import All, Between
from frisket.models.plans.interpolater import Interpolated
from frisket.processes.gaussian import Gaussian
from frisket.sampling.grids import Respaced
from frisket.sampling.guidance import cfg
from frisket.sampling.sampler import Sampler
from frisket.sampling.scales import PowerCosine
from frisket.sampling.solvers.ancestral import Ancestral
from frisket.sampling.solvers.heun import Heun
from frisket.tasks.diffusion import Diffusion
from frisket.tasks.passes import FullAndMasked, Single
from frisket.training.ema import Fixed, Power
from frisket.training.optimisers import AdamW, Adan
from frisket.training.schedules import Cosine
from frisket.training.trainer import Trainer

PAPER = Paper(
    card=18, arxiv="2303.14389", year=2023,
    title="Masked Diffusion Transformer is a Strong Image Synthesizer",
    authors="Shanghua Gao, Pan Zhou, Ming-Ming Cheng and Shuicheng Yan",
    does="a second pass without a third of the tokens, filled in by a side block, teaches context in every step",
    claim="training with masked passes learns faster and ends better than DiT; long skips add to it",
)  # fmt: skip

PARAMETERS = {
    "S": (35_797_208, 38_159_576, 38_454_872), "B": (141_488_528, 150_931_856, 152_112_272),
    "L": (477_641_312, 507_015_776, 509_113_952), "XL": (699_778_144, 742_263_904, 744_919_264),
}  # fmt: skip
COUNTS = tuple(
    Count(name=f"{name} parameters", published=n, compute=lambda m=model: parameters_of_size(m))
    for s, counts in PARAMETERS.items()
    for name, model, n in zip(
        (f"MDT-{s}/2", f"MDTv2-{s}/2 with 4 decoder blocks", f"MDTv2-{s}/2 with 6 decoder blocks"),
        (mdt_v1(*DIT[s]), mdt_v2(*DIT[s]), mdt_v2(*DIT[s], decoder=6)),
        counts,
        strict=True,
    )
)
PARITY = Parity(
    kind="module",
    difference=lambda: max(forward_difference(name, num_heads=2) for name in ("mdtv1", "mdtv2")),
)
VARIANTS = {
    "v1": "interop.mdt.mdt_v1: 30 % left out, no long skips, no loss weight, AdamW at 3e-4",
    "v2": "interop.mdt.mdt_v2: 30 to 50 % left out, long skips, min-SNR weight of 5, Adan",
}

V1 = Interpolated(decoder=2, block=mdt_block())
V2 = replace(V1, choose=Between(low=0.3, high=0.5))
TWICE = Diffusion(passes=FullAndMasked())
PLAIN = Diffusion(choose={"encoder": All()}, passes=Single())


def network(width: int, depth: int, patch: int) -> Transformer:
    """A small MDT of the first version."""
    return Transformer(
        width=width, heads=4, input=Patches(patch=patch), positions=Learned(start="sincos"), doors=(Door(),),
        blocks=repeat(mdt_block(), depth), plan=V1,
    )  # fmt: skip


STEPS = 130
DOUBLE = 216  # the steps that the plain arm makes of the FLOPs of STEPS with both passes
STUDY = Study(
    bench={
        "data": Scenes(size=(16, 16)), "codec": Pixels(), "model": network(64, 6, 2), "training.batch": 16,
        "training.steps": STEPS, "training.schedule.warmup": 30, "n_samples": 512,
    },
    arms={
        "one pass": {"task": PLAIN},
        "one pass, equal FLOPs": {"task": PLAIN, "training.steps": DOUBLE},
        "v1": {},
        "v2": {"model.plan": V2, "model.skips": skips_of(6, 2)},
    },
    measures=("loss",),
    expect=(
        less("loss", "v1", "one pass"),
        less("loss", "v1", "one pass, equal FLOPs"),
        less("loss", "v2", "v1"),
    ),
    note="Held-out loss of the full pass, in place of FID. All arms but one at equal steps, where the masked pass nearly "
         "doubles the FLOPs; 'one pass' is the same network without it. v2 here is its skips and shares alone, with the "
         "same optimiser and loss weight as v1.",
)  # fmt: skip


def experiment(size: str) -> Experiment:
    if size == "paper":
        return paper()
    width, depth, patch, batch, steps = {"tiny": (32, 4, 2, 16, 20), "small": (64, 6, 1, 32, 350)}[size]
    guidance = cfg(PowerCosine(value=2.0, power=1.0))
    return Experiment(
        name="mdt",
        data=Digits(),
        process=Gaussian(),
        model=network(width, depth, patch),
        task=TWICE,
        training=Trainer(
            batch=batch, steps=steps, optimiser=AdamW(lr=2e-3), schedule=Cosine(warmup=60), emas=(Power(width=0.1),)
        ),
        sampler=Sampler(steps=20, update=Heun(), guidance=guidance),
        n_samples=500 if size == "small" else 32,
        study=STUDY,
    )


def paper() -> Experiment:
    """MDTv2-XL/2 at 256 pixels. The length is that of the last published checkpoint, recalled and not read."""
    return Experiment(
        name="mdt",
        data=ImageFolder(target="imagenet/train", size=256),
        codec=VAE(target="stabilityai/sd-vae-ft-mse"),
        process=PROCESS_V2,
        model=mdt_v2(*DIT["XL"]),
        task=TWICE,
        training=Trainer(batch=256, steps=6_500_000, clip=1.0, optimiser=Adan(lr=3e-4), emas=(Fixed(rate=0.9999),)),
        sampler=Sampler(
            steps=250, update=Ancestral(), grid=Respaced(), guidance=cfg(PowerCosine(value=3.8, power=4.0), channels=3)
        ),
        n_samples=50_000,
        study=STUDY,
    )
