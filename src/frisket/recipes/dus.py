"""DUS: places far apart are revealed together, so a block of B takes log2 B forwards that are planned in advance.

Nothing is trained. `small` decodes the text model of `mdlm` and asks what revealing several places at once costs, by
the same numbers a move with the places chosen by the plan, by chance, by what the model is surest of, and side by side.
The code's option to hide unsure places again, classifier-free guidance and stop words are left out. The hybrid of the
paper, spacing behind an adaptive select, is `select/spaced`. `paper` is LLaDA-8B, whose weights are not brought in.
"""

from frisket.codecs.tokenizer import Tokenizer
from frisket.data.hf import HuggingFace
from frisket.evaluation.compare import less
from frisket.evaluation.looks.writing import Writing
from frisket.experiments.experiment import Experiment, Study
from frisket.experiments.paper import Count, Paper, Parity
from frisket.interop.decoding import plans_difference
from frisket.models.backbones.transformer import Transformer
from frisket.models.block import Block, Branch, repeat
from frisket.models.count import parameters_of_size
from frisket.models.layers.attention import Attention
from frisket.models.layers.ends import Ids, Logits
from frisket.models.layers.ffn import SwiGLU
from frisket.models.layers.modulation import Unmodulated
from frisket.models.layers.norms import RMSNorm
from frisket.models.layers.positions import Rotary
from frisket.processes.masked import Masked
from frisket.processes.schedules import Linear
from frisket.recipes import mdlm
from frisket.sampling.decoding.decoder import Ordered
from frisket.sampling.decoding.dilated import Dilated, DilatedSizes, Tied, dilated_levels
from frisket.sampling.decoding.orders import Entropy, Order, Random, Raster
from frisket.sampling.sampler import Sampler

PAPER = Paper(
    card=104, arxiv="2506.19037", year=2025,
    title="Plan for Speed: Dilated Scheduling for Masked Diffusion Language Models",
    authors="Omer Luxembourg, Haim Permuter and Eliya Nachmani",
    does="reveals places far apart together, coarse to fine: a planned log2 B forwards for a block of B",
    claim="at equal forwards, dilated plans give better answers than revealing what the model is surest of",
)  # fmt: skip

LENGTH = 64
LLADA_VOCABULARY = 126_463  # and the mask


def dilated(block: int) -> Sampler:
    """The plan itself."""
    plan = Dilated(block=block)
    return Sampler(steps=len(plan.levels(LENGTH)), update=Ordered(orders=(plan,), select=Tied()))


def as_many(order: Order, block: int) -> Sampler:
    """As many a move as the plan, the places chosen by another order in the same blocks."""
    plan = Dilated(block=block)
    update = Ordered(orders=(Raster(block=block), order), select=DilatedSizes(plan=plan))
    return Sampler(steps=len(plan.levels(LENGTH)), update=update)


OTHERS: dict[str, Order] = {"random": Random(), "surest": Entropy(), "side by side": Raster()}
COUNTS = (
    *(Count(name=f"tokens a forward, blocks of {b}", published=p, tolerance=0.02,
            compute=lambda b=b: b / len(dilated_levels(b))) for b, p in ((8, 2.7), (64, 10.7))),
    Count(name="LLaDA-8B, billions of parameters", published=8.02, tolerance=0.001,
          compute=lambda: parameters_of_size(llada(LENGTH)) / 1e9),
)  # fmt: skip
PARITY = Parity(kind="functions", difference=plans_difference, limit=1e-12)
STUDY = Study(
    bench={"n_samples": 128},
    arms={
        f"{name}, blocks of {block}": {"sampler": sampler}
        for block in (64, 16)
        for name, sampler in {
            "dilated": dilated(block), **{name: as_many(order, block) for name, order in OTHERS.items()}
        }.items()
    },
    measures=("parallel_bits", "judged_bits", "forwards"),
    expect=tuple(
        less(measure, f"dilated, blocks of {block}", f"{name}, blocks of {block}")
        for measure in ("parallel_bits", "judged_bits")
        for block in (64, 16)
        for name in OTHERS
    ),
    budget="forwards",
    proxy=True,
    note="The paper scores answers to mathematics and code; here it is the cost of drawing places together, exact for "
         "the model at hand (parallel bits), and the samples under an n-gram model (judged bits), both at temperature 1, "
         "where every order would draw from one law if places were revealed one at a time. 6 forwards for blocks of 64, "
         "16 for blocks of 16.",
)  # fmt: skip


def experiment(size: str) -> Experiment:
    if size == "paper":
        return paper()
    start = mdlm.experiment(size)
    blocks = (4, 8, 16, 32, 64) if size == "small" else (64,)
    orders = OTHERS if size == "small" else {}
    return Experiment(
        name="dus",
        data=start.data,
        start=start,
        sampler=dilated(16),
        looks=(
            Writing(
                films={"dilated": dilated(64), **{name: as_many(order, 64) for name, order in OTHERS.items()}},
                curves={
                    "dilated": tuple(dilated(block) for block in blocks),
                    **{name: tuple(as_many(order, block) for block in blocks) for name, order in orders.items()},
                },
                most=32,
            ),
        ),
        n_samples=128 if size == "small" else 4,
        study=STUDY,
    )


def llada(length: int) -> Transformer:
    """LLaDA-8B's network: 32 blocks of width 4,096, gated feed-forward of 12,288, rotary positions, no time."""
    norm = RMSNorm(eps=1e-5)
    block = Block(
        branches=(
            Branch(name="attn", mixer=Attention(qkv_bias=False, out_bias=False), norm=norm, uses=()),
            Branch(name="ffn", mixer=SwiGLU(ratio=3.0), norm=norm, uses=()),
        ),
        modulation=Unmodulated(),
    )
    return Transformer(
        width=4096, heads=32, input=Ids(vocabulary=LLADA_VOCABULARY, size=(length,)), time=None,
        output=Logits(vocabulary=LLADA_VOCABULARY + 1), positions=Rotary(layout="half", base=500_000.0),
        blocks=repeat(block, 32), final_norm=norm, final_modulation=Unmodulated(),
    )  # fmt: skip


def paper() -> Experiment:
    """LLaDA-8B on GSM8K at 256 places in blocks of 32."""
    return Experiment(
        name="dus",
        data=HuggingFace(target="openai/gsm8k", subset="main", column="question"),
        codec=Tokenizer(target="GSAI-ML/LLaDA-8B-Instruct", length=256),
        process=Masked(vocabulary=LLADA_VOCABULARY, schedule=Linear()),
        model=llada(256),
        sampler=Sampler(steps=40, update=Ordered(orders=(Dilated(block=32),), select=Tied())),
    )
