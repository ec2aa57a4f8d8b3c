"""SPRINT: the middle of the network sees a quarter of the tokens; a linear layer fuses what it gives with the shallow path.

Two phases: a long one with three of four tokens of each 2 x 2 cell left out of the middle blocks, and a short dense one.
In both, one sample of ten skips the middle altogether, so in guided sampling the unconditional branch can do without it
(path-drop guidance). Official code: snap-research/Sprint (read for facts); it computes the middle of a skipping sample
and throws the result away, here it is not computed. The optional alignment with DINOv2 features is left out. Warm-up of
the second phase starts at 1/5,000 of the rate (the code starts at 1 %), and its average keeps one rate throughout.
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
from frisket.interop.sprint import PROCESS, sprint_block, sprint_transformer
from frisket.models.backbones.transformer import Transformer
from frisket.models.block import repeat
from frisket.models.count import parameters_of_size
from frisket.models.doors import Door
from frisket.models.layers.ends import Patches
from frisket.models.layers.positions import Rotary
from frisket.models.plans.base import Choose, Plan, Return, Span, TokenPlan
from frisket.models.plans.choose import All, Cells, Skip, Then
from frisket.models.plans.fusion import Fused, MaskToken
from frisket.models.plans.routing import Bypass
from frisket.sampling.guidance import cfg, path_drop
from frisket.sampling.sampler import Sampler
from frisket.sampling.solvers.euler import Euler
from frisket.sampling.solvers.heun import Heun
from frisket.sampling.solvers.sde_euler import SDEEuler
from frisket.tasks.diffusion import Diffusion
from frisket.training.ema import Fixed, Power
from frisket.training.optimisers import AdamW
from frisket.training.schedules import Constant, Cosine
from frisket.training.trainer import Trainer

PAPER = Paper(
    card=3, arxiv="2510.21986", year=2025,
    title="SPRINT: Sparse-Dense Residual Fusion for Efficient Diffusion Transformers",
    authors="Dogyun Park, Moayed Haji-Ali, Yanyu Li, Willi Menapace, Sergey Tulyakov, Hyunwoo J. Kim, Aliaksandr "
            "Siarohin and Anil Kag",
    does="the middle blocks see a quarter of the tokens and are fused with a shallow dense path; guidance skips them",
    claim="training is cheaper at equal quality, and path-drop guidance is better at about half the cost",
)  # fmt: skip
COUNTS = (
    Count(
        name="SPRINT-XL/2 parameters", published=677_476_816,
        compute=lambda: parameters_of_size(sprint_transformer(1152, 16, (2, 24, 2))),
    ),
)  # fmt: skip
PARITY = Parity(kind="module", difference=lambda: forward_difference("sprint", num_heads=2, input_size=8))
VARIANTS = {
    "half": "two tokens of each cell: model.plan.choose.inner.keep = 2",
    "baseline": "no fusion: the mask token alone, plans.fusion.MaskToken",
}

DENSE = Diffusion(choose={"middle": Skip(rate=0.1)})
FUSED = Fused(low=1, high=-1)


def added(experiment: Experiment) -> Experiment:
    """This method on another system: the plan alone, with both phases in one run, five sixths of the steps sparse and the
    rest dense. The blocks stay those of the system, and so does the learning rate in the second phase."""
    both = Then(first=Skip(inner=Cells()), last=Skip(rate=0.1), share=5 / 6)
    return with_plan(experiment, Fused(low=max(1, depth_of(experiment) // 3), high=-1, choose=both))


def spanned(back: Return, choose: Choose) -> Plan:
    """Another return over the same middle."""
    return Plan(spans=(Span(low=1, high=-1, back=back, choose=choose),))


def _network(width: int, depth: int, patch: int, plan: TokenPlan | None) -> Transformer:
    return Transformer(
        width=width, heads=4, input=Patches(patch=patch), positions=Rotary(layout="interleaved"), doors=(Door(),),
        blocks=repeat(sprint_block(), depth), plan=plan,
    )  # fmt: skip


def _training(batch: int, steps: int, rate: float = 2e-3) -> Trainer:
    warmup = min(100, steps // 6)
    return Trainer(
        batch=batch, steps=steps, optimiser=AdamW(lr=rate), schedule=Cosine(warmup=warmup), emas=(Power(width=0.1),)
    )


SPARSE, SHORT = 240, 48  # steps of the two phases of a study's arm


def _arm(name: str, plan: TokenPlan | None, steps: int = SPARSE, dense: Diffusion = DENSE) -> Experiment:
    """What a study's arm starts from: both phases on scenes."""
    data, sampler = Scenes(size=(16, 16)), Sampler(steps=10, update=Euler(), guidance=cfg(2.0))
    sparse = Experiment(
        name=f"sprint-{name}-sparse", data=data, codec=Pixels(), process=PROCESS, model=_network(64, 6, 2, plan),
        training=_training(16, steps), sampler=sampler,
    )  # fmt: skip
    return Experiment(name=f"sprint-{name}", data=data, start=sparse, task=dense, training=_training(16, SHORT, 5e-4))


WHOLE = Diffusion(choose={"middle": All()})
EQUAL = 116  # dense steps in front of the short phase that spend what the sparse phase does
STUDY = Study(
    bench={
        "start": _arm("fused", FUSED), "data": Scenes(size=(16, 16)), "training": None, "model": None, "process": None,
        "codec": None, "sampler": None, "task": Diffusion(), "n_samples": 256,
    },
    arms={
        "dense, equal FLOPs": {"start": _arm("dense", None, EQUAL, Diffusion())},
        "dense, equal steps": {"start": _arm("dense", None, SPARSE, Diffusion())},
        "fused": {},
        "mask token alone": {"start": _arm("masked", spanned(MaskToken(token="fixed"), Cells()), SPARSE, WHOLE)},
        "routed": {"start": _arm("routed", spanned(Bypass(), Cells()), SPARSE, WHOLE)},
        "fused, path drop": {"sampler": Sampler(steps=10, update=Euler(), guidance=path_drop(2.0))},
    },
    measures=("loss", "frechet"),
    expect=(
        less("loss", "fused", "dense, equal FLOPs"),
        less("loss", "fused", "mask token alone"),
        less("loss", "fused", "routed"),
        less("frechet", "fused, path drop", "fused"),
    ),
    note="Held-out loss of the dense pass after both phases, and Frechet distance of ten-step guided samples, in place "
         "of FID. FLOPs of what each arm starts from are stated (flops_before). Only the fused arm skips samples, without "
         "which its unconditional branch could not do without the middle; 'fused' is sampled with classifier-free "
         "guidance of the same scale, at 1.5 times the forward cost of 'fused, path drop' in this 1 + 4 + 1 network.",
)  # fmt: skip


def experiment(size: str) -> Experiment:
    if size == "paper":
        return paper()
    width, depth, patch, batch, steps = {"tiny": (32, 3, 2, 16, 20), "small": (64, 6, 1, 32, 700)}[size]
    sparse = Experiment(
        name="sprint-sparse", data=Digits(), process=PROCESS, model=_network(width, depth, patch, FUSED),
        training=_training(batch, steps), sampler=Sampler(steps=20, update=Heun(), guidance=path_drop(1.5)),
    )  # fmt: skip
    return Experiment(
        name="sprint", data=Digits(), start=sparse, task=DENSE,
        training=_training(batch, max(10, steps // 5), 5e-4), n_samples=500 if size == "small" else 32, study=STUDY,
    )  # fmt: skip


def paper() -> Experiment:
    """SPRINT-XL/2 at 256 pixels: two million sparse steps of 256, then 200,000 dense steps of 1,024."""
    data = ImageFolder(target="imagenet/train", size=256)
    sampler = Sampler(steps=250, update=SDEEuler(churn=1.0), guidance=path_drop(3.0))
    training = Trainer(
        batch=256, steps=2_000_000, clip=1.0, optimiser=AdamW(lr=1e-4, betas=(0.9, 0.999)), emas=(Fixed(rate=0.9999),)
    )
    sparse = Experiment(
        name="sprint-sparse", data=data, codec=VAE(target="stabilityai/sd-vae-ft-ema"), process=PROCESS,
        model=sprint_transformer(1152, 16, (2, 24, 2)), training=training, sampler=sampler,
    )  # fmt: skip
    dense = replace(
        training, batch=1024, steps=200_000, optimiser=AdamW(lr=2e-4, betas=(0.9, 0.999)),
        schedule=Constant(warmup=5000),
    )  # fmt: skip
    return Experiment(name="sprint", data=data, start=sparse, task=DENSE, training=dense, n_samples=50_000, study=STUDY)
