"""U-DiT: a U of three resolutions whose attention runs inside each of four interleaved planes.

Official code: YuchuanTian/U-DiT (read for facts). One official block is two of ours. In training its three label tables
drop labels independently; here a sample's label is dropped as a whole. Published counts are those of the network with
its wide MLPs folded, as the official evaluation mode does (and as `compression.folding` does on a copy). `small` and the
study are on 8 x 8 and 16 x 16 pixels instead of 32 x 32 latents, at velocity of straight paths instead of noise.
"""

from dataclasses import replace

from frisket.codecs.pixels import Pixels
from frisket.codecs.vae import VAE
from frisket.compression.folding import fold_block
from frisket.data.digits import Digits
from frisket.data.imagefolder import ImageFolder
from frisket.data.scenes.source import Scenes
from frisket.evaluation.compare import less
from frisket.experiments.experiment import Experiment, Study
from frisket.experiments.paper import Count, Paper, Parity
from frisket.interop.golden import forward_difference
from frisket.interop.u_dit import SIZES, u_block, u_transformer
from frisket.models.backbones.hourglass import Hourglass
from frisket.models.backbones.transformer import Transformer
from frisket.models.block import Block, Branch, repeat
from frisket.models.count import macs_of_size, parameters_of_size
from frisket.models.layers.base import Mixer
from frisket.models.layers.depthwise import Reparameterised
from frisket.models.layers.downsampled import Phases, Pooled
from frisket.models.layers.ends import Patches
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
    card=76, arxiv="2405.02730", year=2024,
    title="U-DiTs: Downsample Tokens in U-Shaped Diffusion Transformers",
    authors="Yuchuan Tian, Zhijun Tu, Hanting Chen, Jie Hu, Chao Xu and Yunhe Wang",
    does="a U of stages whose attention runs inside each of four interleaved planes, at a quarter of the cost",
    claim="attention at half resolution loses nothing that matters, and the U beats isotropic networks of many times "
          "its compute",
)  # fmt: skip

PARAMETERS = {"S": 52.05e6, "B": 204.43e6, "L": 810.19e6}
GMACS = {"S": 6.04, "B": 22.22, "L": 85.0}


def _folded(size: str) -> Hourglass:
    return u_transformer(*SIZES[size], block=fold_block(u_block()))


def folded_gmacs(size: str) -> float:
    """10^9 multiply-accumulates of one forward pass on a 32 x 32 latent, wide MLPs folded."""
    return macs_of_size(_folded(size), (4, 32, 32)) / 1e9


COUNTS = tuple(
    Count(
        name=f"U-DiT-{s} parameters", published=n, tolerance=1e-3,
        compute=lambda s=s: parameters_of_size(_folded(s)),
    )
    for s, n in PARAMETERS.items()
) + tuple(
    Count(name=f"U-DiT-{s} GMACs", published=n, tolerance=0.01, compute=lambda s=s: folded_gmacs(s))
    for s, n in GMACS.items()
)  # fmt: skip
PARITY = Parity(kind="module", difference=lambda: forward_difference("u-dit", num_heads=2, input_size=8))
VARIANTS = {s: f"the published U-DiT-{s}: u_transformer(*interop.u_dit.SIZES[{s!r}])" for s in SIZES} | {
    "full attention": "mixer/phases with factor 1",
    "plain MLP": "ffn/depthwise in place of ffn/reparameterised; or edit/fold_convolutions after training",
}


def attending(mixer: Mixer) -> Block:
    """U-DiT's block with another attention."""
    return Block(branches=(Branch(name="attn", mixer=mixer), Branch(name="ffn", mixer=Reparameterised())))


def _network(width: int = 16, block: Block | None = None) -> Hourglass:
    return u_transformer(width, 2, (1, 1, 1, 1, 1), channels=1, channels_out=1, side=8, classes=10, block=block)


STUDY = Study(
    bench={
        "data": Scenes(size=(16, 16)), "codec": Pixels(), "model": _network(), "training.batch": 16,
        "training.steps": 125, "n_samples": 256,
    },
    budget="flops",
    arms={
        "phases": {},
        "full attention": {"model": _network(block=attending(Phases(factor=1)))},
        "pooled": {"model": _network(block=attending(Pooled()))},
        "isotropic": {"model": Transformer(width=64, heads=4, input=Patches(patch=2), blocks=repeat(Block(), 4))},
        "plain MLP": {"model": _network(block=fold_block(u_block()))},
    },
    measures=("loss",),
    expect=(
        less("loss", "phases", "isotropic"),
        less("loss", "phases", "full attention"),
        less("loss", "phases", "pooled"),
        less("loss", "phases", "plain MLP"),
    ),
    note="Held-out loss at equal FLOPs, in place of FID, on 16 x 16 pixels; 'pooled' attends on the mean of each square "
         "and repeats the result, 'isotropic' is DiT with patches of 2, 'plain MLP' is trained in the form that the "
         "others are folded into. A convolution's prior helps on small images whatever the attention.",
)  # fmt: skip


def experiment(size: str) -> Experiment:
    if size == "paper":
        return paper()
    width, batch, steps = {"tiny": (8, 8, 10), "small": (24, 32, 500)}[size]
    return Experiment(
        name="u-dit",
        data=Digits(),
        process=Gaussian(),
        model=_network(width),
        training=Trainer(
            batch=batch, steps=steps, optimiser=AdamW(lr=2e-3), schedule=Cosine(warmup=min(100, steps // 6)),
            emas=(Power(width=0.1),),
        ),
        sampler=Sampler(steps=20, update=Heun(), guidance=cfg(1.5)),
        n_samples=500 if size == "small" else 32,
        study=STUDY,
    )  # fmt: skip


def paper() -> Experiment:
    """U-DiT-L at 256 pixels; the rest is DiT's."""
    return Experiment(
        name="u-dit",
        data=ImageFolder(target="imagenet/train", size=256),
        codec=VAE(target="stabilityai/sd-vae-ft-ema"),
        process=Gaussian(
            path=VPLinear(), prediction=Eps(), density=Steps(steps=1000), variance=LearnedRange(), time=Thousand()
        ),
        model=u_transformer(*SIZES["L"]),
        training=Trainer(
            batch=256, steps=1_000_000, clip=0.0, optimiser=AdamW(lr=1e-4, betas=(0.9, 0.999)),
            emas=(Fixed(rate=0.9999),),
        ),
        sampler=Sampler(steps=250, update=Ancestral(), grid=Respaced(), guidance=cfg(1.5, channels=3)),
        n_samples=50_000,
        study=replace(STUDY, bench={}),
    )  # fmt: skip
