"""DiM: DiT with scans in attention's place, one along the raster and one against it, so cost is linear in the tokens.

No code of this paper was found (tyshiwo1/DiM-DiffusionMamba and feizc/DiS are others'), and beyond its abstract the
system is a reconstruction: DiT's ends, adaLN-zero and process around the two-way mixer of hustvl/Vim, no feed-forward
because the mixer gates and widens by itself, and twice DiT's depth for the same weights. The mixer is equal to Vim's.
Video needs nothing more: tubelets in raster order of (frame, height, width).
"""

from frisket.codecs.pixels import Pixels
from frisket.codecs.vae import VAE
from frisket.data.digits import Digits
from frisket.data.imagefolder import ImageFolder
from frisket.data.scenes.source import Scenes
from frisket.evaluation.compare import less
from frisket.experiments.experiment import Experiment, Study
from frisket.experiments.paper import Paper, Parity
from frisket.interop.vim import mixer_difference
from frisket.models.backbones.sizes import dim, dim_block
from frisket.models.backbones.transformer import Transformer
from frisket.models.block import Block, repeat
from frisket.models.doors import Door
from frisket.models.layers.ends import Patches
from frisket.models.layers.ssm import SSM
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
    card=66, arxiv="2405.15881", year=2024,
    title="DiM: Scaling Diffusion Mamba with Bidirectional SSMs for Efficient Image and Video Generation",
    authors="Shentong Mo and Yapeng Tian",
    does="two-way scans in the place of attention: a cost linear in the number of tokens",
    claim="a diffusion backbone of two-way scans costs less than one of attention and is better at equal size",
)  # fmt: skip
PARITY = Parity(kind="functions", difference=mixer_difference)
VARIANTS = {
    "one way": "model.blocks of sizes.dim_block(mixer=SSM(directions=('forward',)))",
    "with feed-forward": "model.blocks of sizes.dim_block(ffn=True), at DiT's depth",
}

SMALL = SSM(states=8)
TWICE = SSM(states=8, directions=("forward", "forward"))  # as many weights and operations, one direction


def network(width: int, block: Block, depth: int, patch: int = 1) -> Transformer:
    """The blocks between DiT's ends."""
    return Transformer(
        width=width, heads=4, input=Patches(patch=patch), doors=(Door(),), blocks=repeat(block, depth)
    )  # fmt: skip


STUDY = Study(
    bench={
        "data": Scenes(size=(16, 16)), "codec": Pixels(), "training.batch": 16, "training.steps": 500, "n_samples": 256,
        "sampler.steps": 20, "model": network(48, dim_block(mixer=SMALL), 6, patch=2),
    },
    arms={
        "both ways": {},
        "one way, twice": {"model": network(48, dim_block(mixer=TWICE), 6, patch=2)},
        "attention": {"model": network(48, Block(), 4, patch=2)},
    },
    measures=("loss",),
    expect=(less("loss", "both ways", "one way, twice"), less("loss", "both ways", "attention")),
    note="Held-out loss at equal steps, samples and parameters (within 1 %), in place of FID. 'one way, twice' has two "
         "scans that both go forward, so only the direction differs. Operations are not equal: a scan is counted at nine "
         "multiply-accumulates a state, which at 64 tokens is more than attention; how cost grows with the tokens is "
         "measured by benchmarks/mixers.py.",
)  # fmt: skip


def experiment(size: str) -> Experiment:
    if size == "paper":
        return paper()
    width, depth, patch, batch, steps = {"tiny": (16, 2, 2, 16, 20), "small": (48, 6, 1, 32, 300)}[size]
    return Experiment(
        name="dim",
        data=Digits(),
        codec=Pixels(),
        process=Gaussian(),
        model=network(width, dim_block(mixer=SMALL), depth, patch),
        training=Trainer(
            batch=batch, steps=steps, optimiser=AdamW(lr=2e-3), schedule=Cosine(warmup=min(100, steps // 3)),
            emas=(Power(width=0.1),),
        ),
        sampler=Sampler(steps=10, update=Heun(), guidance=cfg(1.5)),
        n_samples=256 if size == "small" else 32,
        study=STUDY,
    )  # fmt: skip


def paper() -> Experiment:
    """The largest reconstructed size (DiT-XL's width, 56 blocks) at 256 pixels, trained and sampled as DiT is."""
    return Experiment(
        name="dim",
        data=ImageFolder(target="imagenet/train", size=256),
        codec=VAE(target="stabilityai/sd-vae-ft-ema"),
        process=Gaussian(
            path=VPLinear(), prediction=Eps(), density=Steps(steps=1000), variance=LearnedRange(), time=Thousand()
        ),
        model=dim("XL", 2),
        training=Trainer(batch=256, steps=400_000, clip=0.0, optimiser=AdamW(lr=1e-4), emas=(Fixed(rate=0.9999),)),
        sampler=Sampler(steps=250, update=Ancestral(), grid=Respaced(), guidance=cfg(1.5, channels=3)),
        n_samples=50_000,
    )
