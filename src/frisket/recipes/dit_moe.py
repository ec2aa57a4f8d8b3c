"""DiT-MoE: every MLP becomes a few routed experts out of many, and one that all tokens share.

Official code: feizc/DiT-MoE (read for facts). Gates are the softmax of the chosen, not divided by their sum; nothing is
left out for lack of room. The code weighs the balance loss 0.01 (the text 0.005) and feeds its gradient in beside the
main loss; here it is a term of the loss, which has the same gradient. The releases S and B learn DiT's noise, XL and G
the velocity of straight paths with t = 1 as noise, as `paper` does. The published total of XL is "4.1 B"; the code gives
4.17 B. The mixture of generated images that the largest one is trained on is left out.
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
from frisket.interop.dit_moe import PROCESS, SIZES, dit_moe
from frisket.interop.golden import forward_difference
from frisket.models.backbones.transformer import Transformer
from frisket.models.block import Block, Branch, repeat
from frisket.models.count import macs_of_size, parameters_of_size
from frisket.models.doors import Door
from frisket.models.layers.attention import Attention
from frisket.models.layers.base import Mixer
from frisket.models.layers.experts import Experts
from frisket.models.layers.ffn import SwiGLU
from frisket.sampling.guidance import cfg
from frisket.sampling.sampler import Sampler
from frisket.sampling.solvers.euler import Euler
from frisket.sampling.solvers.heun import Heun
from frisket.training.ema import Fixed, Power
from frisket.training.optimisers import AdamW
from frisket.training.schedules import Cosine
from frisket.training.trainer import Trainer

PAPER = Paper(
    card=108, arxiv="2407.11633", year=2024,
    title="Scaling Diffusion Transformers to 16 Billion Parameters",
    authors="Zhengcong Fei, Mingyuan Fan, Changqian Yu, Debang Li and Junshi Huang",
    does="each token passes two of many experts and a shared one: more parameters at equal compute",
    claim="at equal active compute experts beat a dense network; shared experts and a balance loss help",
)  # fmt: skip

TOTAL = {("S", 8): 199e6, ("S", 16): 369e6, ("B", 8): 795e6, ("L", 8): 2.8e9, ("XL", 8): 4.1e9, ("G", 16): 16.5e9}
ACTIVE = {"S": 71e6, "B": 286e6, "L": 1.0e9, "XL": 1.5e9, "G": 3.1e9}
GMACS = {"S": 15.4, "B": 61.7, "L": 219.0, "XL": 324.0, "G": 691.0}


def active_parameters(size: str) -> int:
    """Parameters that one token meets: all of the network with as many experts as are active, router rows included."""
    return parameters_of_size(dit_moe(size, 2))


def linear_gmacs(size: str, experts: int = 8) -> float:
    """10^9 multiply-accumulates of one forward pass on a 32 x 32 latent, active experts alone, without the products of
    attention, which the published numbers leave out."""
    config = dit_moe(size, experts)
    attention = 2 * config.input.grid.tokens**2 * config.width * config.depth
    return (macs_of_size(config, (4, 32, 32)) - attention) / 1e9


COUNTS = tuple(
    Count(
        name=f"DiT-MoE-{s}/2-{e}E2A parameters", published=n, tolerance=0.02,
        compute=lambda s=s, e=e: parameters_of_size(dit_moe(s, e)),
    )
    for (s, e), n in TOTAL.items()
) + tuple(
    Count(
        name=f"DiT-MoE-{s}/2 active parameters", published=n, tolerance=0.04,
        compute=lambda s=s: active_parameters(s),
    )
    for s, n in ACTIVE.items()
) + tuple(
    Count(name=f"DiT-MoE-{s}/2 GMACs", published=n, tolerance=0.01, compute=lambda s=s: linear_gmacs(s))
    for s, n in GMACS.items()
)  # fmt: skip
PARITY = Parity(kind="module", difference=lambda: forward_difference("dit-moe", num_heads=2))
VARIANTS = {f"{s}/2-{e}E2A": f"the published size: interop.dit_moe.dit_moe({s!r}, {e})" for s in SIZES for e in (8, 16)}
WIDTH, DEPTH, EXPERTS = 48, 4, 4


def mixed(mixer: Mixer) -> Block:
    """DiT's block with another feed-forward part."""
    return Block(branches=(Branch(name="attn", mixer=Attention()), Branch(name="ffn", mixer=mixer)))


def _blocks(mixer: Mixer, depth: int = DEPTH) -> tuple[Block, ...]:
    return repeat(mixed(mixer), depth)


SPARSE = Experts(experts=EXPERTS)
STUDY = Study(
    bench={
        "data": Scenes(size=(16, 16)), "codec": Pixels(), "training.batch": 16, "training.steps": 120,
        "model.width": WIDTH, "model.input.patch": 2, "n_samples": 256,
    },
    budget="flops",
    arms={
        "experts": {"model.blocks": _blocks(SPARSE)},
        "dense, equal active": {"model.blocks": _blocks(SwiGLU(ratio=10.0))},
        "dense, equal total": {"model.blocks": _blocks(SwiGLU(ratio=4.0 * EXPERTS + 2.0))},
        "nothing shared": {"model.blocks": _blocks(replace(SPARSE, expert=SwiGLU(ratio=5.0), shared=None))},
        "no balance": {"model.blocks": _blocks(replace(SPARSE, balance=None))},
    },
    measures=("loss", "expert_entropy", "expert_by_place", "expert_by_time", "expert_by_class"),
    expect=(
        less("loss", "experts", "dense, equal active"),
        less("loss", "experts", "nothing shared"),
        less("loss", "experts", "no balance"),
        less("expert_entropy", "no balance", "experts"),
    ),
    note="Held-out loss at equal FLOPs, in place of FID; two of four experts. 'Dense, equal active' has the multiply-"
         "accumulates of two experts and the shared one, 'dense, equal total' the parameters of all, so it takes fewer "
         "steps; 'nothing shared' puts the shared part's width into the experts. Entropy is that of the experts' load "
         "over its largest value; bits that place, time and class tell of the expert are stated.",
)  # fmt: skip


def experiment(size: str) -> Experiment:
    if size == "paper":
        return paper()
    width, depth, batch, steps = {"tiny": (32, 2, 16, 20), "small": (64, 4, 32, 500)}[size]
    return Experiment(
        name="dit-moe",
        data=Digits(),
        process=PROCESS,
        model=Transformer(width=width, heads=4, doors=(Door(),), blocks=_blocks(SPARSE, depth)),
        training=Trainer(
            batch=batch, steps=steps, optimiser=AdamW(lr=2e-3), schedule=Cosine(warmup=min(100, steps // 6)),
            emas=(Power(width=0.1),),
        ),
        sampler=Sampler(steps=20, update=Heun(), guidance=cfg(1.5)),
        n_samples=500 if size == "small" else 32,
        study=STUDY,
    )  # fmt: skip


def paper() -> Experiment:
    """DiT-MoE-XL/2-8E2A at 256 pixels along straight paths."""
    return Experiment(
        name="dit-moe",
        data=ImageFolder(target="imagenet/train", size=256),
        codec=VAE(target="stabilityai/sd-vae-ft-mse"),
        process=PROCESS,
        model=dit_moe("XL", 8, unused=4),
        training=Trainer(
            batch=1024, steps=7_000_000, clip=0.0, optimiser=AdamW(lr=1e-4, betas=(0.9, 0.999)),
            emas=(Fixed(rate=0.9999),),
        ),
        sampler=Sampler(steps=50, update=Euler(), guidance=cfg(1.5)),
        n_samples=50_000,
        study=replace(STUDY, bench={}),
    )  # fmt: skip
