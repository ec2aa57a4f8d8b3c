"""MDLM: masked diffusion of text, with the substitution parameterisation and the continuous-time bound.

The network never predicts the mask and copies what it sees, which turns the bound into a 1/t-weighted mixture of
masked-language-model losses. `small` learns characters of CPython's documentation topics; `paper` is the published
transformer (rotary positions, a condition vector of 128, no time) for GPT-2's vocabulary at length 1,024.
"""

from frisket.codecs.text import Characters
from frisket.codecs.tokenizer import Tokenizer
from frisket.data.hf import HuggingFace
from frisket.data.text import Text
from frisket.evaluation.compare import less
from frisket.experiments.experiment import Experiment, Study
from frisket.experiments.paper import Count, Paper, Parity
from frisket.interop.golden import forward_difference
from frisket.models.backbones.sizes import ddit, ddit_block
from frisket.models.backbones.transformer import Transformer
from frisket.models.block import repeat
from frisket.models.count import parameters_of_size
from frisket.models.layers.embedders import Timeless
from frisket.models.layers.ends import Ids, Logits
from frisket.models.layers.norms import LayerNorm
from frisket.models.layers.positions import Rotary
from frisket.processes.masked import Masked
from frisket.processes.masked_steps import MaskedSteps
from frisket.processes.parameterisations import Plain
from frisket.processes.schedules import Linear
from frisket.sampling.decoding.decoder import Ancestral
from frisket.sampling.sampler import Sampler
from frisket.training.ema import Fixed, Power
from frisket.training.optimisers import AdamW
from frisket.training.schedules import Constant, Cosine
from frisket.training.trainer import Trainer

PAPER = Paper(
    card=85, arxiv="2406.07524", year=2024,
    title="Simple and Effective Masked Diffusion Language Models",
    authors="Subham Sekhar Sahoo, Marianne Arriola, Yair Schiff, Aaron Gokaslan, Edgar Marroquin, Justin T Chiu, "
            "Alexander Rush and Volodymyr Kuleshov",
    does="masked diffusion of text: copies what is visible, never predicts the mask, weighs the loss by 1/t",
    claim="the substitution parameterisation and the continuous-time bound give a lower perplexity than D3PM",
)  # fmt: skip


COUNTS = (
    Count(name="small, millions of parameters", published=169, tolerance=0.01,
          compute=lambda: parameters_of_size(ddit("small", vocabulary=50_257, length=1024, logits=50_258)) / 1e6),
)  # fmt: skip
PARITY = Parity(kind="module", difference=lambda: forward_difference("mdlm", num_heads=4, length=16))
STUDY = Study(
    bench={"training.batch": 32, "training.steps": 600, "model.width": 64, "model.depth": 3, "n_samples": 512},
    arms={
        "substitution, continuous": {"process": Masked(schedule=Linear())},
        "substitution, 1000 steps": {"process": MaskedSteps(steps=1000)},
        "plain, 1000 steps": {"process": MaskedSteps(steps=1000, parameterisation=Plain())},
    },
    measures=("bits",),
    expect=(
        less("bits", "substitution, continuous", "plain, 1000 steps"),
        less("bits", "substitution, 1000 steps", "plain, 1000 steps"),
    ),
    note="Each arm is trained and measured by its own bound; all are bounds of the same likelihood. The plain arm "
         "shows a tenth of its samples clean to learn the reconstruction, where official code runs the network twice.",
)  # fmt: skip


def experiment(size: str) -> Experiment:
    if size == "paper":
        return paper()
    width, depth, batch, steps = {"tiny": (32, 2, 8, 20), "small": (96, 4, 32, 1500)}[size]
    return Experiment(
        name="mdlm",
        data=Text(length=64),
        codec=Characters(),
        process=Masked(),
        model=Transformer(
            width=width, heads=4, input=Ids(), output=Logits(), positions=Rotary(layout="half"), time=Timeless(),
            blocks=repeat(ddit_block(dropout=0.0), depth), final_norm=LayerNorm(eps=1e-5, affine="weight"),
        ),
        training=Trainer(
            batch=batch, steps=steps, optimiser=AdamW(lr=2e-3), schedule=Cosine(warmup=100), emas=(Power(width=0.1),)
        ),
        sampler=Sampler(steps=64, update=Ancestral()),
        n_samples=512 if size == "small" else 32,
        study=STUDY,
    )  # fmt: skip


def paper() -> Experiment:
    """The published small model on OpenWebText: GPT-2's tokens, length 1,024, one million steps of 512."""
    return Experiment(
        name="mdlm",
        data=HuggingFace(target="Skylion007/openwebtext", column="text"),
        codec=Tokenizer(target="gpt2", length=1024),
        process=Masked(vocabulary=50_257),
        model=ddit("small", vocabulary=50_257, length=1024),
        training=Trainer(
            batch=512, steps=1_000_000, optimiser=AdamW(lr=3e-4, betas=(0.9, 0.999)), schedule=Constant(warmup=2500),
            emas=(Fixed(rate=0.9999),),
        ),
        sampler=Sampler(steps=1000, update=Ancestral()),
    )  # fmt: skip
