"""MaskBit: images as bits, read by the generator as they are and filled in group by group.

A tokenizer turns every cell into K signs; the generator reads them as -1, +1 or 0 (hidden) through one linear layer and
predicts each of m groups of bits by a softmax of its own, so half of a cell may be known while the rest is hidden. The
loss is over all groups, hidden or not. `small` learns digits as 4 x 4 cells of 8 bits in two groups; the first phase
trains the tokenizer, with the same trainer. `paper` has the published generator. Facts from markweberdev/maskbit
(modeling/, configs/, scripts/). Two numbers of the last move differ without effect: there everything is revealed here,
and there all is hidden again after the drawn ids were taken. Not here: the official convolutions of the tokenizer, its
discriminator and ResNet-50 (see `tasks/bit_codec.py`), and the dropout inside attention.
"""

from dataclasses import replace

from frisket.codecs.lfq import LFQ
from frisket.data.digits import Digits
from frisket.data.imagefolder import ImageFolder
from frisket.evaluation.compare import less, same
from frisket.evaluation.features.classifier import Classifier
from frisket.experiments.experiment import Experiment, Study
from frisket.experiments.paper import Count, Paper, Parity
from frisket.interop.golden import forward_difference
from frisket.interop.maskbit import maskbit
from frisket.models.count import parameters_of_size
from frisket.models.layers.bits import Bits, Groups
from frisket.processes.densities import Uniform
from frisket.processes.emissions import Categorical
from frisket.processes.hidden_weights import Everywhere
from frisket.processes.masked import Masked
from frisket.processes.schedules import Arccos
from frisket.sampling.decoding.decoder import Ordered
from frisket.sampling.decoding.orders import Confidence, Random
from frisket.sampling.decoding.selects import ArccosCurve, Budget
from frisket.sampling.guidance import cfg
from frisket.sampling.sampler import Sampler
from frisket.sampling.scales import PowerCosine
from frisket.tasks.bit_codec import BitCodec, ByClassifier
from frisket.training.ema import Fixed, Power
from frisket.training.optimisers import AdamW
from frisket.training.schedules import Cosine
from frisket.training.trainer import Trainer

PAPER = Paper(
    card=45, arxiv="2409.16211", year=2024,
    title="MaskBit: Embedding-free Image Generation via Bit Tokens",
    authors="Mark Weber, Lijun Yu, Qihang Yu, Xueqing Deng, Xiaohui Shen, Daniel Cremers and Liang-Chieh Chen",
    does="a generator that reads and writes bits of a tokenizer, without any table of tokens",
    claim="reading the bits themselves generates better images than learning a table of tokens",
)  # fmt: skip

PROCESS = Masked(schedule=Arccos(), density=Uniform(), weight=Everywhere(), emission=Categorical(smoothing=0.1))
SIZES = {"tiny": (16, 1, 8, 4, 4), "small": (64, 4, 32, 1000, 600)}  # width, blocks, batch, steps, tokenizer's steps


def decoder(temperature: float = 7.8) -> Ordered:
    """Ids drawn at temperature 1, the surest groups kept, with noise on the choice that ends with the time."""
    return Ordered(
        orders=(Confidence(), Random(scale=temperature, anneal=1.0)),
        select=Budget(curve=ArccosCurve(), least=1, kept=1),
    )


def sampler(steps: int = 64, scale: float = 7.1, temperature: float = 7.8, power: float = 3.0) -> Sampler:
    """The published scale s multiplies the difference of the branches; here the scale is 1 + s."""
    return Sampler(
        steps=steps, update=decoder(temperature), guidance=cfg(PowerCosine(value=1 + scale, power=power))
    )  # fmt: skip


def trainer(batch: int, steps: int) -> Trainer:
    return Trainer(
        batch=batch, steps=steps, optimiser=AdamW(lr=2e-3), schedule=Cosine(warmup=min(100, steps)),
        emas=(Power(width=0.1),),
    )  # fmt: skip


def tokenizer(size: str = "small", splits: int = 2) -> Experiment:
    """The first phase: 8 x 8 digits to 4 x 4 cells of 8 bits in `splits` groups."""
    batch, steps = SIZES[size][2], SIZES[size][4]
    seen = Classifier(seed=7) if size == "small" else Classifier(seed=7, steps=10, width=4)
    return Experiment(
        name="maskbit-tokenizer",
        data=Digits(),
        codec=LFQ(bits=8, splits=splits, width=16 if size == "small" else 8),
        task=BitCodec(perceptual=ByClassifier(data=Digits(), features=seen), start=0.25, settled=0.1),
        training=trainer(batch, steps),
        n_samples=8,
    )


def experiment(size: str) -> Experiment:
    if size == "paper":
        return paper()
    width, depth, batch, steps, _ = SIZES[size]
    return Experiment(
        name="maskbit",
        data=Digits(),
        needs={"codec": tokenizer(size)},
        process=PROCESS,
        model=maskbit(width, depth, 4, bits=8, groups=2, side=4, classes=10, dropout=0.0),
        training=trainer(batch, steps),
        sampler=sampler(16, 1.0, 4.0),
        n_samples=256 if size == "small" else 16,
        study=study(size),
    )


def study(size: str) -> Study:
    width, depth, *_ = SIZES[size]
    return Study(
    arms={
        "table": {"model.input": Groups()},
        "bits": {"model.input": Bits()},
        "bits, one group": {
            "needs": {"codec": tokenizer(size, splits=1)},
            "model": maskbit(width, depth, 4, bits=8, groups=1, side=4, classes=10),
        },
    },
    measures=("frechet", "class_accuracy"),
    expect=(
        less("frechet", "bits", "table"),
        less("frechet", "bits", "bits, one group"),
        same("class_accuracy", "bits", "table", margin=0.02),
    ),
    note="Equal blocks, steps and samples. The table's arm differs in its input alone: the paper's baseline also ties the "
         "output to the table. With 8 bits a table is small; the paper has 10 to 18.",
)  # fmt: skip


def paper() -> Experiment:
    """The 305-million generator on 14 bits at 256 pixels, 64 moves; its tokenizer is ours at the published widths."""
    codec = LFQ(bits=14, splits=2, width=128, multipliers=(1, 1, 2, 2, 4), blocks=2, groups=32)
    data = ImageFolder(target="imagenet/train", size=256)
    training = Trainer(
        batch=256, steps=1_350_000, optimiser=AdamW(lr=1e-4, betas=(0.9, 0.96), weight_decay=0.045),
        schedule=Cosine(warmup=5000), emas=(Fixed(rate=0.9999),),
    )  # fmt: skip
    first = Experiment(
        name="maskbit-tokenizer", data=data, codec=codec,
        task=BitCodec(perceptual=ByClassifier(data=data), width=128),
        training=replace(training, optimiser=AdamW(lr=1e-4, weight_decay=1e-4), clip=1.0),
    )  # fmt: skip
    return Experiment(
        name="maskbit", data=data, needs={"codec": first}, process=replace(PROCESS, vocabulary=128),
        model=maskbit(dropout=0.1), training=training, sampler=sampler(), n_samples=50_000,
    )  # fmt: skip


COUNTS = tuple(
    Count(name=f"generator on {bits} bits, millions of parameters", published=305, tolerance=0.001,
          compute=lambda bits=bits: parameters_of_size(maskbit(bits=bits)) / 1e6)
    for bits in (12, 14)
)  # fmt: skip
PARITY = Parity(kind="module", difference=lambda: forward_difference("maskbit", num_heads=2))
VARIANTS = {
    "tokenizer": "the first phase by itself: maskbit.tokenizer(size)",
    "table": "a table of symbols a group in place of the bits: --model.input input/groups",
    "12 bit": "scale 7.1, temperature 8.2, power 3: maskbit.sampler(64, 7.1, 8.2, 3.0)",
    "256 steps": "14 bits: maskbit.sampler(256, 5.8, 10.3)",
}
