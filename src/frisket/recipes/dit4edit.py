"""DiT4Edit: edit an image by rewording its caption, with a pretrained diffusion transformer and no training.

The image is inverted with DPM-Solver++ 2M, and a target stream under the new caption borrows cross- and self-attention
of the source; similar tokens are merged around attention. No code is published: formulas are those of the methods it
names (DPM-Solver++, Prompt-to-Prompt, mutual self-attention, token merging), shares of steps and blocks are ours.
`small` trains the captioned base itself: PixArt's block on pictures of two digits side by side on a textured ground. The
paper's host is PixArt-alpha, whose sites frisket addresses in diffusers.
"""

from __future__ import annotations

from typing import Any

from frisket.caching.merging import TokenMerging
from frisket.codecs.pixels import Pixels
from frisket.codecs.readers import Reader
from frisket.codecs.sentences import Sentences
from frisket.data.imagefolder import ImageFolder
from frisket.data.scenes.arrange import Sides
from frisket.data.scenes.draw import Dial
from frisket.data.scenes.source import Scenes
from frisket.data.scenes.vocabulary import DIGITS
from frisket.evaluation.compare import less, more, same
from frisket.evaluation.looks.rewording import EditTable
from frisket.experiments.experiment import Experiment, Study
from frisket.experiments.paper import Count, Paper
from frisket.interop.counts import foreign_parameters
from frisket.models.backbones.transformer import Transformer
from frisket.models.block import Block, Branch, repeat
from frisket.models.doors import Door
from frisket.models.layers.attention import Attention, Cross
from frisket.models.layers.embedders import TextIds
from frisket.models.layers.ends import Patches
from frisket.models.layers.ffn import Gelu
from frisket.models.layers.modulation import Shared
from frisket.models.layers.norms import LayerNorm
from frisket.processes.gaussian import Gaussian
from frisket.sampling.control.cross import CrossControl
from frisket.sampling.control.selves import SelfControl
from frisket.sampling.guidance import cfg
from frisket.sampling.sampler import Sampler
from frisket.sampling.solvers.ddim import DDIM
from frisket.sampling.solvers.dpm_solver import DPMSolver2M
from frisket.training.ema import Power
from frisket.training.optimisers import AdamW
from frisket.training.schedules import Cosine
from frisket.training.trainer import Trainer

PAPER = Paper(
    card=65, arxiv="2411.03286", year=2024,
    title="DiT4Edit: Diffusion Transformer for Image Editing",
    authors="Kunyu Feng, Yue Ma, Bingyuan Wang, Chenyang Qi, Haozhe Chen, Qifeng Chen and Zeyu Wang",
    does="edits an image by rewording its caption: inversion, attention borrowed from the image, merged tokens",
    claim="a second-order inversion needs fewer steps, and attention control keeps what the words do not change",
)  # fmt: skip

COUNTS = (
    Count(
        name="PixArt-alpha, the published host: billions of parameters", published=0.6, tolerance=0.02,
        compute=lambda: foreign_parameters("PixArtTransformer2DModel") / 1e9,
    ),
)  # fmt: skip
CROSS, SELVES = CrossControl(until=0.6), SelfControl(after=0.4, beyond=0.5)


def editing(*aids: Any, **more_changes: Any) -> dict[str, Any]:
    return {"sampler.caches": aids, **more_changes}


STUDY = Study(
    arms={
        "no control": editing(),
        "cross": editing(CROSS),
        "self": editing(SELVES),
        "both": editing(CROSS, SELVES),
        "both, merging 1/4": editing(TokenMerging(share=0.25), CROSS, SELVES),
        "both, merging 1/2": editing(TokenMerging(share=0.5), CROSS, SELVES),
        "both, merging 3/4": editing(TokenMerging(share=0.75), CROSS, SELVES),
        "no control, 10 steps": editing(**{"sampler.steps": 10}),
        "no control, DDIM, 20 steps": editing(**{"sampler.update": DDIM()}),
        "no control, DDIM, 10 steps": editing(**{"sampler.update": DDIM(), "sampler.steps": 10}),
    },
    measures=("edit_accuracy", "ground_psnr", "other_psnr", "other_accuracy", "inversion_mse"),
    expect=(
        more("ground_psnr", "both", "no control"),
        more("other_psnr", "both", "no control"),
        same("edit_accuracy", "both", "self", margin=0.1),
        more("ground_psnr", "both, merging 1/2", "no control"),
        less("inversion_mse", "no control", "no control, DDIM, 20 steps"),
        less("inversion_mse", "no control, 10 steps", "no control, DDIM, 20 steps"),
    ),
    budget="steps",
    note="One digit's word is exchanged; a reader of other digits than those seen in training says what is there. All "
         "arms replay the source. Chance is 0.1; the report of a run lists what the reader says of the unedited images.",
)  # fmt: skip


def block() -> Block:
    """PixArt's, with a norm of its own before the words: self-attention, attention to the words (neither modulated nor
    gated), feed-forward."""
    return Block(
        branches=(
            Branch(name="attn", mixer=Attention()),
            Branch(name="cross", mixer=Cross(), norm=LayerNorm(affine="weight"), uses=()),
            Branch(name="ffn", mixer=Gelu()),
        ),
        modulation=Shared(),
    )


def captioned(size: str) -> Experiment:
    """The base: two digits side by side, and the two words that name them."""
    width, depth, batch, steps = {"tiny": (32, 2, 8, 10), "small": (64, 4, 32, 3000)}[size]
    dial = Dial(
        objects=(2, 2),
        kinds=("digit",),
        sizes=(0.42, 0.5),
        tilt=0.1,
        palette=6,
        textures=("plain", "striped", "checked"),
    )
    return Experiment(
        name="captioned-digits",
        data=Scenes(size=(8, 16), dial=dial, arrange=Sides(), facts=()),
        codec=Pixels(),
        reads={"caption": Reader(key="caption", codec=Sentences(words=(",", *DIGITS), length=3))},
        process=Gaussian(),
        model=Transformer(
            width=width, heads=4, input=Patches(patch=2), blocks=repeat(block(), depth),
            doors=(Door(name="caption", way="context", embedder=TextIds()),),
        ),
        training=Trainer(
            batch=batch, steps=steps, optimiser=AdamW(lr=2e-3), schedule=Cosine(warmup=100), emas=(Power(width=0.1),)
        ),
        sampler=Sampler(steps=20, update=DPMSolver2M(), guidance=cfg(3.0)),
    )  # fmt: skip


def experiment(size: str) -> Experiment:
    if size == "paper":
        return paper()
    base = captioned(size)
    return Experiment(
        name="dit4edit",
        data=base.data,
        start=base,
        sampler=Sampler(
            steps=20 if size == "small" else 4, update=DPMSolver2M(), guidance=cfg(3.0), caches=(CROSS, SELVES)
        ),
        looks=(EditTable(),),
        n_samples=32 if size == "small" else 4,
        study=STUDY,
    )


def paper() -> Experiment:
    """PixArt-alpha's transformer (28 blocks of 1152, 16 heads) at 512 pixels, guidance 4.5, trained as the captioned base
    is: the published weights belong to the diffusers host. Captions are words of the folder's own here, not T5's."""
    base = captioned("small")
    return Experiment(
        name="dit4edit",
        data=ImageFolder(target="photos/train", size=512),
        start=None,
        codec=Pixels(),
        process=base.process,
        model=Transformer(
            width=1152, heads=16, input=Patches(channels=4, size=(64, 64), patch=2), blocks=repeat(block(), 28),
            doors=(Door(name="caption", way="context", embedder=TextIds(vocabulary=32128, length=120)),),
        ),
        training=base.training,
        sampler=Sampler(steps=20, update=DPMSolver2M(), guidance=cfg(4.5), caches=(CROSS, SELVES)),
        looks=(EditTable(),),
    )  # fmt: skip
