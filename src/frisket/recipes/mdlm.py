"""MDLM: masked diffusion of text, with the substitution parameterisation and the continuous-time bound.

The network never predicts the mask and copies what it sees, which turns the bound into a 1/t-weighted mixture of
masked-language-model losses. `small` learns characters of CPython's documentation topics; `paper` is the published
transformer (rotary positions, a condition vector of 128, no time) for GPT-2's vocabulary at length 1,024.
"""

from frisket.codecs.text import Characters
from frisket.data.text import Text
from frisket.experiments.experiment import Experiment
from frisket.experiments.paper import Paper
from frisket.models.backbones.transformer import Transformer
from frisket.models.block import Block, repeat
from frisket.models.layers.ends import Ids, Logits
from frisket.processes.masked import Masked
from frisket.sampling.decoding.decoder import Ancestral
from frisket.sampling.sampler import Sampler
from frisket.training.optimisers import AdamW
from frisket.training.trainer import Trainer

PAPER = Paper(
    card=85, arxiv="2406.07524", year=2024,
    title="Simple and Effective Masked Diffusion Language Models",
    authors="Subham Sekhar Sahoo, Marianne Arriola, Yair Schiff, Aaron Gokaslan, Edgar Marroquin, Justin T Chiu, "
            "Alexander Rush and Volodymyr Kuleshov",
    does="masked diffusion of text: copies what is visible, never predicts the mask, weighs the loss by 1/t",
    claim="the substitution parameterisation and the continuous-time bound give a lower perplexity than D3PM",
)  # fmt: skip


def experiment(size: str) -> Experiment:
    width, depth, batch, steps = {"tiny": (32, 2, 8, 20), "small": (128, 4, 64, 1500)}[size]
    return Experiment(
        name="mdlm",
        data=Text(length=64),
        codec=Characters(),
        process=Masked(),
        model=Transformer(width=width, heads=4, input=Ids(), output=Logits(), blocks=repeat(Block(), depth)),
        training=Trainer(batch=batch, steps=steps, optimiser=AdamW(lr=1e-3)),
        sampler=Sampler(steps=64, update=Ancestral()),
    )
