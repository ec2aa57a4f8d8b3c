"""MD4 and GenMD4: masked diffusion as one weighted integral of cross-entropies, under a schedule given or learnt.

MD4 trains MDLM's bound with a network that knows the time; what it says of schedules is that the bound does not depend
on them. GenMD4 gives each symbol a schedule of its own, learnt with the network from two noisings of each sample. The
recipe is GenMD4 and MD4 its first variant. `small` has MDLM's text, sizes and steps, so that the baseline is the same;
GenMD4 runs the network twice a step and costs twice the FLOPs. `paper` is the published OpenWebText model: depth,
width, heads, interleaved rotary positions, a condition of 64, a gated feed-forward, training. Of the official network it
leaves out three details: its gate is a sigmoid where SwiGLU's is SiLU (there the same sigmoid stands before adaLN), its
feed-forward's first weights shrink with the depth, and dropout drops whole features. The pixel models are not rebuilt.
"""

from dataclasses import replace
from typing import Any

from frisket.codecs.tokenizer import Tokenizer
from frisket.data.hf import HuggingFace
from frisket.evaluation.compare import less, same
from frisket.experiments.experiment import Experiment, Study
from frisket.experiments.paper import Paper, Parity
from frisket.interop.md4 import losses_difference
from frisket.models.backbones.transformer import Transformer
from frisket.models.block import Block, Branch, repeat
from frisket.models.layers.attention import Attention
from frisket.models.layers.embedders import Timestep
from frisket.models.layers.ends import Ids, Logits
from frisket.models.layers.ffn import SwiGLU
from frisket.models.layers.norms import LayerNorm
from frisket.models.layers.positions import Rotary
from frisket.processes.masked import Masked
from frisket.processes.masked_by_symbol import MaskedBySymbol
from frisket.processes.model_times import Thousand
from frisket.processes.schedules import Cosine as CosineSchedule
from frisket.processes.schedules import Linear, Schedule
from frisket.recipes import mdlm
from frisket.sampling.decoding.decoder import Ancestral
from frisket.sampling.decoding.outcomes import Outcomes
from frisket.sampling.sampler import Sampler
from frisket.tasks.diffusion import Diffusion
from frisket.tasks.passes import LeaveOneOut
from frisket.training.ema import Fixed
from frisket.training.optimisers import AdamW
from frisket.training.schedules import Cosine
from frisket.training.trainer import Trainer

PAPER = Paper(
    card=33, arxiv="2406.04329", year=2024,
    title="Simplified and Generalized Masked Diffusion for Discrete Data",
    authors="Jiaxin Shi, Kehang Han, Zhe Wang, Arnaud Doucet and Michalis K. Titsias",
    does="one integral of cross-entropies for any masking schedule, and a schedule of its own for each symbol, learnt",
    claim="the bound does not depend on the schedule of all symbols alike; a learnt schedule for each symbol lowers it",
)  # fmt: skip

VARIANTS = {
    "md4": "one schedule for all symbols: process = masked, task.passes = single, sampler.update = ancestral",
    "one noising": "without the gradient through what is hidden, at half the FLOPs: task.passes = single",
}
PARITY = Parity(kind="functions", difference=losses_difference, limit=1e-4)

LEARNT: dict[str, Any] = {
    "process": MaskedBySymbol(time=Thousand()), "task": Diffusion(passes=LeaveOneOut()), "sampler.update": Outcomes(),
}  # fmt: skip


def given(schedule: Schedule) -> dict[str, Any]:
    """The changes that make MD4 under this schedule."""
    process = Masked(schedule=schedule, time=Thousand())
    return {"process": process, "task": Diffusion(), "sampler.update": Ancestral()}


STUDY = Study(
    bench={"training.batch": 32, "training.steps": 400, "model.width": 64, "model.depth": 2, "n_samples": 512},
    arms={
        "md4, linear": given(Linear()),
        "md4, cosine": given(CosineSchedule()),
        "genmd4": LEARNT,
    },
    measures=("bits",),
    expect=(
        same("bits", "md4, cosine", "md4, linear", 0.1),
        less("bits", "genmd4", "md4, linear"),
    ),
    proxy=False,
    note="Equal steps and samples; genmd4 runs the network on two noisings of each sample, so it spends twice the FLOPs "
         "of every other arm (see costs). Each arm is measured by its own bound; all are bounds of the same likelihood.",
)  # fmt: skip


def experiment(size: str) -> Experiment:
    if size == "paper":
        return paper()
    plain = mdlm.experiment(size)
    assert isinstance(plain.model, Transformer)
    assert plain.sampler is not None
    assert plain.training is not None
    return replace(
        plain,
        name="md4",
        training=replace(plain.training, steps=plain.training.steps // 4),  # the network runs twice a step
        process=LEARNT["process"],
        model=replace(plain.model, time=Timestep()),
        task=LEARNT["task"],
        sampler=replace(plain.sampler, update=Outcomes()),
        study=STUDY,
    )


def paper() -> Experiment:
    """GenMD4 on OpenWebText: GPT-2's tokens, length 1,024, one million steps of 512."""
    block = Block(
        branches=(
            Branch(
                name="attn", mixer=Attention(qkv_bias=False, out_bias=False), norm=LayerNorm(eps=1e-5), dropout=0.02
            ),
            Branch(name="ffn", mixer=SwiGLU(), norm=LayerNorm(eps=1e-5), dropout=0.02),
        )
    )
    return Experiment(
        name="md4",
        data=HuggingFace(target="Skylion007/openwebtext", column="text"),
        codec=Tokenizer(target="gpt2", length=1024),
        process=MaskedBySymbol(vocabulary=50_257, time=Thousand()),
        model=Transformer(
            width=768, heads=12, condition=64, input=Ids(vocabulary=50_257, size=(1024,)),
            output=Logits(vocabulary=50_257), positions=Rotary(layout="interleaved"), time=Timestep(frequencies=64),
            blocks=repeat(block, 12), final_norm=LayerNorm(eps=1e-5),
        ),
        task=Diffusion(passes=LeaveOneOut()),
        training=Trainer(
            batch=512, steps=1_000_000, optimiser=AdamW(lr=3e-4, betas=(0.9, 0.999), weight_decay=0.03),
            clip=0, schedule=Cosine(warmup=2000), emas=(Fixed(rate=0.9999),),
        ),
        sampler=Sampler(steps=1000, update=Outcomes()),
    )  # fmt: skip
