"""TREAD: while training, half of the tokens leave the residual stream in front of a route and come back behind it.

Nothing is dropped: the loss is over all tokens, no parameter is added, and sampling runs the plain network. In guided
sampling a route with few tokens left out is set against one with many. Official code: CompVis/tread (read for facts). Its
released `sample_tread` drops the class in both branches; here both see it. The auxiliary reconstruction loss of the
first version of the paper is in no released code and is left out, and so is the code's single-precision block behind
each route.
"""

from dataclasses import replace

from frisket.codecs.pixels import Pixels
from frisket.codecs.vae import VAE
from frisket.data.digits import Digits
from frisket.data.imagefolder import ImageFolder
from frisket.data.scenes.source import Scenes
from frisket.evaluation.compare import less
from frisket.experiments.adding import depth_of, with_plan
from frisket.experiments.experiment import Experiment, Study
from frisket.experiments.paper import Count, Paper, Parity
from frisket.interop.golden import forward_difference
from frisket.interop.tread import EDM_PROCESS
from frisket.models.backbones.sizes import dit
from frisket.models.backbones.transformer import Transformer
from frisket.models.block import Block, repeat
from frisket.models.count import parameters_of_size
from frisket.models.doors import Door
from frisket.models.layers.ends import Patches
from frisket.models.plans.base import Plan, Span
from frisket.models.plans.choose import Uniform
from frisket.models.plans.fusion import MaskToken
from frisket.models.plans.routing import Routing
from frisket.processes.gaussian import Gaussian
from frisket.sampling.grids import Rho
from frisket.sampling.guidance import Branch, Chosen, Guidance
from frisket.sampling.sampler import Sampler
from frisket.sampling.scales import Constant
from frisket.sampling.solvers.euler import Euler
from frisket.sampling.solvers.heun import Heun
from frisket.training.ema import Fixed, Power
from frisket.training.optimisers import AdamW
from frisket.training.schedules import Cosine
from frisket.training.trainer import Trainer

PAPER = Paper(
    card=43, arxiv="2501.04765", year=2025,
    title="TREAD: Token Routing for Efficient Architecture-agnostic Diffusion Training",
    authors="Felix Krause, Timy Phan, Ming Gui, Stefan Andreas Baumann, Vincent Tao Hu and Björn Ommer",
    does="tokens skip a run of blocks while training and come back as they were; inference is the plain network",
    claim="training converges faster than a plain DiT, in steps and in FLOPs",
)  # fmt: skip


def xl(plan: Routing | None = None) -> Transformer:
    """DiT-XL/2 without learned variance; the published route leaves in front of block 2 and is back behind block 24."""
    return replace(dit("XL", 2, channels_out=4), plan=plan)


COUNTS = (
    Count(
        name="parameters that the route adds to DiT-XL/2", published=0,
        compute=lambda: parameters_of_size(xl(Routing())) - parameters_of_size(xl()),
    ),
)  # fmt: skip
PARITY = Parity(
    kind="module", difference=lambda: forward_difference("tread", num_heads=4, input_size=8, low=1, high=-1)
)
VARIANTS = {"B/2": "the route of the released configuration: sizes.dit('B', 2) with Routing(low=2, high=-3)"}


def route_guidance(scale: float = 1.5, strong: float = 0.3, weak: float = 0.7) -> Guidance:
    """weak + scale (strong - weak), both routed; `strong` and `weak` are the shares of tokens left out."""
    return Guidance(
        main=Branch(name="strong", keep=Chosen(spans={"route": Uniform(drop=strong)})),
        others=(Branch(name="weak", keep=Chosen(spans={"route": Uniform(drop=weak)})),),
        scales=(Constant(value=scale),),
    )


def added(experiment: Experiment) -> Experiment:
    """This method on another system: half of the tokens leave in front of the second third of the blocks and are back in
    front of the last. (The published route of B/2 begins earlier; so an early block still sees all tokens.)"""
    return with_plan(experiment, Routing(low=max(1, depth_of(experiment) // 3), high=-1))


ROUTE = Routing(low=1, high=-1)
MASKED = Plan(spans=(Span(name="route", low=1, high=-1, back=MaskToken(), choose=Uniform()),))


def base(name: str, plan: object, steps: int) -> Experiment:
    """What a study's arm starts from: a small network trained on scenes."""
    model = Transformer(
        width=64,
        heads=4,
        input=Patches(patch=2),
        doors=(Door(),),
        blocks=repeat(Block(), 6),
        plan=plan,  # type: ignore[arg-type]
    )
    training = Trainer(
        batch=16, steps=steps, optimiser=AdamW(lr=2e-3), schedule=Cosine(warmup=40), emas=(Power(width=0.1),)
    )
    return Experiment(
        name=f"tread-{name}", data=Scenes(size=(16, 16)), codec=Pixels(), process=Gaussian(), model=model,
        training=training, sampler=Sampler(steps=10, update=Euler()),
    )  # fmt: skip


STEPS = 240
LONGER = 371  # the steps that the route makes of the dense arm's FLOPs
STUDY = Study(
    bench={
        "start": base("routed", ROUTE, STEPS), "data": Scenes(size=(16, 16)), "training": None, "model": None,
        "process": None, "codec": None, "sampler": None, "n_samples": 256,
    },
    arms={
        "dense": {"start": base("dense", None, STEPS)},
        "routed": {},
        "routed, equal FLOPs": {"start": base("routed", ROUTE, LONGER)},
        "mask token instead": {"start": base("masked", MASKED, STEPS)},
        "routed, route guidance": {"sampler": Sampler(steps=10, update=Euler(), guidance=route_guidance())},
    },
    measures=("loss", "frechet"),
    expect=(
        less("loss", "routed", "dense"),
        less("loss", "routed, equal FLOPs", "dense"),
        less("loss", "routed", "mask token instead"),
        less("frechet", "routed, route guidance", "routed"),
    ),
    note="Held-out loss of the dense pass and Frechet distance of ten-step samples, in place of FID at 400,000 steps. "
         "All arms but one at equal steps; FLOPs of what each arm starts from are stated (flops_before).",
)  # fmt: skip


def experiment(size: str) -> Experiment:
    if size == "paper":
        return paper()
    width, depth, batch, steps, patch = {"tiny": (32, 3, 16, 20, 2), "small": (64, 6, 32, 800, 1)}[size]
    return Experiment(
        name="tread",
        data=Digits(),
        process=Gaussian(),
        model=Transformer(
            width=width, heads=4, input=Patches(patch=patch), doors=(Door(),), blocks=repeat(Block(), depth),
            plan=ROUTE,
        ),
        training=Trainer(
            batch=batch, steps=steps, optimiser=AdamW(lr=2e-3), schedule=Cosine(warmup=100), emas=(Power(width=0.1),)
        ),
        sampler=Sampler(steps=20, update=Heun(), guidance=route_guidance()),
        n_samples=500 if size == "small" else 32,
        study=STUDY,
    )  # fmt: skip


def paper() -> Experiment:
    """DiT-XL/2 on the latents of 256-pixel images, preconditioned and sampled as EDM; 400,000 steps, the shorter of the
    two published lengths. The released configuration is the B/2 of VARIANTS."""
    return Experiment(
        name="tread",
        data=ImageFolder(target="imagenet/train", size=256),
        codec=VAE(target="stabilityai/sd-vae-ft-ema"),
        process=EDM_PROCESS,
        model=xl(Routing()),
        training=Trainer(
            batch=256, steps=400_000, clip=0.0, optimiser=AdamW(lr=1e-4, betas=(0.9, 0.999)), emas=(Fixed(rate=0.9999),)
        ),
        sampler=Sampler(steps=40, update=Heun(), grid=Rho()),
        n_samples=50_000,
        study=STUDY,
    )
