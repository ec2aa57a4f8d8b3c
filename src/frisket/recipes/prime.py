"""MDM-Prime: tokens written in digits that are hidden one by one, so that a token may be known in part.

The network reads digits, their embeddings side by side, and predicts whole tokens; a move draws whole tokens and
reveals some of their hidden digits. The trunk and its cost are those of MDLM. What is trained is the released loss, the
whole token's cross-entropy at every position over t. It is no bound (the authors have said so since, in the page
"dependency breaks validity" and in chen-hao-chao/mdm-prime-v2, whose preprint they withdrew and revised): one token
whose l digits are all equal has the entropy log 2 and this loss (log 2) / l. All bits here are of the bound, which sums
the marginals of the hidden digits, so the published 15.36 perplexity on OpenWebText has no counterpart. `loss` is the
released quantity, in nats a character. `small` learns MDLM's text; `paper` is the published text model with two digits.
"""

from dataclasses import replace
from typing import Any

from frisket.codecs.digits import Digits
from frisket.codecs.text import Characters
from frisket.codecs.tokenizer import Tokenizer
from frisket.core.digits import base_of
from frisket.evaluation.compare import less
from frisket.experiments.experiment import Experiment, Study
from frisket.experiments.paper import Count, Paper, Parity
from frisket.interop.golden import forward_difference
from frisket.models.backbones.transformer import Transformer
from frisket.models.layers.digit_ids import DigitIds
from frisket.models.layers.ends import Ids, Logits
from frisket.processes.emissions import Digits as MarginalDigits
from frisket.processes.emissions import Emission, JointDigits
from frisket.processes.masked import Masked
from frisket.recipes import mdlm
from frisket.sampling.decoding.decoder import Ancestral
from frisket.sampling.decoding.proposals import Categorical
from frisket.sampling.sampler import Sampler

PAPER = Paper(
    card=44, arxiv="2505.18495", year=2025,
    title="Beyond Masked and Unmasked: Discrete Diffusion Models via Partial Masking",
    authors="Chen-Hao Chao, Wei-Fang Sun, Hanwen Liang, Chun-Yi Lee and Rahul G. Krishnan",
    does="tokens in digits that are hidden one by one: states between masked and unmasked",
    claim="states between hidden and visible leave fewer idle sampling steps and model text and images better",
)  # fmt: skip

VARIANTS = {
    "any": "released sampling checkpoints: visible digits rule no token out, process.emission.spelling = any",
    "marginal": "trained on the bound itself: process.emission = digits",
}

COUNTS = tuple(
    Count(name=f"base of {count} digits for GPT-2's vocabulary", published=base, tolerance=0.0,
          compute=lambda count=count: base_of(50_257, count))
    for count, base in ((2, 225), (3, 37), (4, 15), (6, 7), (8, 4))
)  # fmt: skip
PARITY = Parity(kind="module", difference=lambda: forward_difference("prime", num_heads=3, length=6))


def digits(count: int, emission: Emission) -> dict[str, Any]:
    """The changes that write each character in `count` digits."""
    return {
        "codec": Digits(inner=Characters(), count=count), "model.input": DigitIds(count=count),
        "process": Masked(emission=emission),
    }  # fmt: skip


STUDY = Study(
    bench={
        "training.batch": 32, "training.steps": 400, "model.width": 64, "model.depth": 2, "n_samples": 256,
        "sampler.steps": 32,
    },
    arms={
        "whole": {"codec": Characters(), "model.input": Ids(), "process": Masked()},
        "2 digits": digits(2, JointDigits()),
        "4 digits": digits(4, JointDigits()),
        "2 digits, marginal loss": digits(2, MarginalDigits()),
    },
    measures=("bits", "loss", "idle", "sample_bits"),
    expect=(
        less("idle", "2 digits", "whole"),
        less("idle", "4 digits", "2 digits"),
        less("sample_bits", "2 digits", "whole"),
        less("bits", "2 digits", "whole"),
    ),
    proxy=False,
    note="Equal steps and equal trunks, so almost equal FLOPs. Bits are those of each arm's own valid bound, the sum of "
         "the hidden digits' marginals. The paper's perplexity was the column `loss` (times 1.44, in bits a character): "
         "it falls with the number of digits whether or not the model is better, and is shown to be read beside the "
         "bits. Samples are made in 32 moves and judged by an n-gram model of the training text.",
)  # fmt: skip


def experiment(size: str) -> Experiment:
    if size == "paper":
        return paper()
    plain = mdlm.experiment(size)
    assert isinstance(plain.model, Transformer)
    assert plain.training is not None
    return replace(
        plain,
        name="prime",
        training=replace(plain.training, steps=plain.training.steps // 2),  # a step takes longer than mdlm's
        codec=Digits(inner=Characters(), count=2),
        process=Masked(emission=JointDigits()),
        model=replace(plain.model, input=DigitIds(), output=Logits()),
        study=STUDY,
    )


def paper() -> Experiment:
    """The published text model with two digits in base 225: MDLM's, sampled in 512 steps from nuclei of 0.95."""
    plain = mdlm.experiment("paper")
    assert isinstance(plain.model, Transformer)
    return replace(
        plain,
        name="prime",
        codec=Digits(inner=Tokenizer(target="gpt2", length=1024), count=2, vocabulary=50_257),
        process=Masked(vocabulary=225, emission=JointDigits(symbols=50_257)),
        model=replace(plain.model, input=DigitIds(base=225, size=(1024,), count=2), output=Logits(vocabulary=50_257)),
        sampler=Sampler(steps=512, update=Ancestral(proposal=Categorical(top_p=0.95))),
    )
