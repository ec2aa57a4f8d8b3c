"""Hi-MAR: images as continuous tokens, a coarse image's before the fine one's, filled in at random places.

A masked encoder-decoder makes a vector for every hidden token and a head denoises it by a gaussian process of its own
(MAR, arXiv 2406.11838, the baseline arm and the recipe's VARIANT). Hi-MAR generates a small image first; what the
network thought of its tokens then guides the large one, whose head denoises all places at once, in few moves. `small`
learns the digits, 4 x 4 before 8 x 8, a pixel a token; both levels' heads predict the noise with a fixed variance and
take 16 steps. `paper` has the published sizes. Facts from LTH14/mar and HiDream-ai/himar (models/, diffusion/,
main_himar.py). The code differs from the card in one thing: after each move of the second phase all hidden tokens are
written and most hidden again, which is the same as writing those that stay. Not here: the dropout inside attention.
"""

from dataclasses import replace

from frisket.caching.pivots import Pivots
from frisket.codecs.pyramid import Pyramid
from frisket.codecs.vae import VAE
from frisket.data.digits import Digits
from frisket.data.imagefolder import ImageFolder
from frisket.evaluation.compare import less
from frisket.experiments.experiment import Experiment, Study
from frisket.experiments.paper import Count, Paper, Parity
from frisket.interop.golden import forward_difference
from frisket.interop.mar import PHASED, TOKEN, himar, himar_process, mar, mar_process
from frisket.models.backbones.masked_tokens import PLAIN, MaskedTokens, TokenLevel
from frisket.models.block import repeat
from frisket.models.count import parameters_of_size
from frisket.models.layers.token_heads import EachToken, TokenHead, WholeGrid
from frisket.processes.densities import Cosine as CosineShare
from frisket.processes.gaussian import Gaussian
from frisket.processes.masked_tokens import Level
from frisket.processes.masked_tokens import MaskedTokens as Process
from frisket.processes.variances import FixedSmall
from frisket.sampling.decoding.tokens import HEAD, Tokens
from frisket.sampling.guidance import cfg
from frisket.sampling.sampler import Sampler
from frisket.sampling.scales import Linear as Rising
from frisket.tasks.diffusion import Diffusion
from frisket.training.ema import Fixed, Power
from frisket.training.optimisers import AdamW
from frisket.training.schedules import Constant, Cosine
from frisket.training.trainer import Trainer

PAPER = Paper(
    card=30, arxiv="2505.20288", year=2025,
    title="Hierarchical Masked Autoregressive Models with Low-Resolution Token Pivots",
    authors="Guangting Zheng, Yehao Li, Yingwei Pan, Jiajun Deng, Ting Yao, Yanyong Zhang and Tao Mei",
    does="continuous tokens filled in at random places, those of a small image before those of the large one",
    claim="a small image first, whose vectors guide the large one, gives better images than MAR in far fewer passes",
)  # fmt: skip

SIZES = {
    "tiny": (16, 1, 16, 4, 4),
    "small": (48, 2, 16, 800, 16),
}  # width, blocks of a half, batch, steps, head's steps
INNER: Gaussian = replace(TOKEN, variance=FixedSmall())
HEAD_WIDTH, COPIES = 32, 2
TASK = Diffusion(times="shared")


def trainer(batch: int, steps: int) -> Trainer:
    return Trainer(
        batch=batch, steps=steps, optimiser=AdamW(lr=2e-3), schedule=Cosine(warmup=min(100, steps)),
        emas=(Power(width=0.1),),
    )  # fmt: skip


def sampler(moves: tuple[int, ...], head_steps: int, scale: float, numbers: int = 1) -> Sampler:
    """Random places, ever more of them, and a scale of guidance that grows with what is visible."""
    return Sampler(
        steps=sum(moves), update=Tokens(moves=moves, head=replace(HEAD, steps=head_steps)),
        guidance=cfg(Rising(first=1.0, last=scale), channels=numbers), caches=(Pivots(),),
    )  # fmt: skip


def baseline(size: str = "small", *, grid_head: bool = False, moves: int = 16) -> Experiment:
    """MAR: one level, every token denoised by itself; or with the head that sees the whole grid."""
    if size == "paper":
        return mar_paper()
    width, depth, batch, steps, head_steps = SIZES[size]
    head: TokenHead = WholeGrid(width=HEAD_WIDTH, depth=2) if grid_head else EachToken(width=HEAD_WIDTH, depth=2)
    level = Level(inner=INNER, unit="level" if grid_head else "token")
    return Experiment(
        name="mar",
        data=Digits(),
        codec=Pyramid(),
        process=Process(levels=(level,), copies=COPIES),
        model=MaskedTokens(
            width=width,
            levels=(TokenLevel(head=head),),
            encoder=repeat(PLAIN, depth),
            decoder=repeat(PLAIN, depth),
        ),
        task=TASK,
        training=trainer(batch, steps),
        sampler=sampler((moves,), head_steps, 1.5),
        n_samples=256 if size == "small" else 16,
    )


def two_levels(size: str = "small") -> Experiment:
    """Hi-MAR without its study."""
    width, depth, batch, steps, head_steps = SIZES[size]
    coarse, fine = Level(tokens=16, name="coarse", inner=INNER, weight=2 * 16 / 80), Level(
        tokens=64, name="fine", inner=INNER, unit="level", share=CosineShare(), weight=0.75 * 64 / 80
    )  # fmt: skip
    return Experiment(
        name="hi-mar",
        data=Digits(),
        codec=Pyramid(shrink=(2, 1)),
        process=Process(levels=(coarse, fine), copies=COPIES),
        model=MaskedTokens(
            width=width,
            mask="place",
            levels=(
                TokenLevel(axes=(4, 4), head=EachToken(width=HEAD_WIDTH, depth=2)),
                TokenLevel(axes=(8, 8), head=WholeGrid(width=HEAD_WIDTH, depth=2)),
            ),
            encoder=repeat(PHASED, depth),
            decoder=repeat(PHASED, depth),
        ),
        task=TASK,
        training=trainer(batch, steps),
        sampler=sampler((8, 4), head_steps, 1.5),
        n_samples=256 if size == "small" else 16,
    )


def study(size: str) -> Study:
    """Three trained models a seed, of equal blocks and steps; MAR is sampled in 16 and in as many moves as Hi-MAR."""
    ours, plain, grid = two_levels(size), baseline(size), baseline(size, grid_head=True)
    return Study(
        bench={
            "start": plain, "codec": None, "process": None, "model": None, "training": None, "task": Diffusion(),
            "sampler": plain.sampler, "n_samples": plain.n_samples,
        },
        arms={
            "MAR, 16 moves": {},
            "MAR, 12 moves": {"sampler": sampler((12,), SIZES[size][-1], 1.5)},
            "MAR with the grid head, 12 moves": {"start": grid, "sampler": sampler((12,), SIZES[size][-1], 1.5)},
            "Hi-MAR, 8 + 4 moves": {"start": ours, "sampler": ours.sampler},
        },
        measures=("frechet", "class_accuracy"),
        expect=(
            less("frechet", "Hi-MAR, 8 + 4 moves", "MAR, 12 moves"),
            less("frechet", "Hi-MAR, 8 + 4 moves", "MAR, 16 moves"),
            less("frechet", "Hi-MAR, 8 + 4 moves", "MAR with the grid head, 12 moves"),
        ),
        note="Equal blocks, steps, samples and head steps; a training step of Hi-MAR passes the blocks twice. A move is one "
             "pass of the transformer, and in the first 8 of Hi-MAR's that is over a quarter of the places.",
    )  # fmt: skip


def experiment(size: str) -> Experiment:
    return paper() if size == "paper" else replace(two_levels(size), study=study(size))


def mar_paper() -> Experiment:
    """MAR-B at 256 pixels as published: 800 epochs, 256 moves of 100 head steps. The KL-16 autoencoder's published
    weights (latents times 0.2325) must lie in the folder `kl16` in diffusers' form, which the authors do not give."""
    return Experiment(
        name="mar", data=ImageFolder(target="imagenet/train", size=256), codec=Pyramid(codec=VAE(target="kl16")),
        process=mar_process(), model=mar(), task=TASK, training=published(),
        sampler=Sampler(
            steps=256, update=Tokens(moves=(256,)), guidance=cfg(Rising(first=1.0, last=2.9), channels=16),
        ),
        n_samples=50_000,
    )  # fmt: skip


def paper() -> Experiment:
    """Hi-MAR-B at 256 pixels as published, 32 + 4 moves. Two numbers differ: both levels' heads take 250 steps (the
    coarse one's takes 100), and one scale, 2.5, serves both phases (the coarse one's is 2.7). As to the autoencoder see
    `mar_paper`."""
    return Experiment(
        name="hi-mar", data=ImageFolder(target="imagenet/train", size=256),
        codec=Pyramid(codec=VAE(target="kl16"), shrink=(2, 1)), process=himar_process(), model=himar(), task=TASK,
        training=published(), sampler=sampler((32, 4), 250, 2.5, 16), n_samples=50_000,
    )  # fmt: skip


def published() -> Trainer:
    return Trainer(
        batch=2048, steps=500_000, clip=3.0, optimiser=AdamW(lr=8e-4, weight_decay=0.02),
        schedule=Constant(warmup=62_500), emas=(Fixed(rate=0.9999),),
    )  # fmt: skip


COUNTS = tuple(
    Count(name=f"{name}-{size[0].upper()}, millions of parameters", published=n, tolerance=0.003,
          compute=lambda of=of, size=size: parameters_of_size(of(size)) / 1e6)
    for name, of, counts in (
        ("MAR", mar, {"base": 207.9, "large": 478.3, "huge": 942.4}),
        ("Hi-MAR", himar, {"base": 244, "large": 529, "huge": 1090}),
    )
    for size, n in counts.items()
)  # fmt: skip
PARITY = Parity(
    kind="module",
    difference=lambda: max(
        forward_difference("mar", num_heads=2), forward_difference("hi-mar", num_heads=2, grid_heads=2)
    ),
)
VARIANTS = {
    "mar": "MAR, one level: hi_mar.baseline(size)",
    "grid head": "MAR with Hi-MAR's head: hi_mar.baseline(size, grid_head=True)",
    "L": "the published Hi-MAR-L: interop.mar.himar('large')",
    "H": "the published Hi-MAR-H: interop.mar.himar('huge')",
}
