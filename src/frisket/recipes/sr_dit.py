"""SR-DiT: everything at once, on a state of two entries: the image and a class vector that is denoised with it.

Alignment of all tokens behind the second block with an encoder (REPA), a class vector as a token of the state (REG), a
sparse middle fused with the dense path (SPRINT), RMS norms, rotary positions and a value residual, contrastive flow
matching, and a time shift of training and of the sampler's grid. Each is one line of the config, see `VARIANTS`.
Official code: SwayStar123/SpeedrunDiT (read for facts). It computes the middle of a skipping batch and throws it away,
here it is not computed; its norms of queries and keys take the epsilon of their dtype, here that of float32; the path is
dropped by the batch, on all processes at once, as there. The last move of its sampler keeps the drift that balances the
noise of the others, here it follows the flow. Its autoencoder (INVAE, latents times 0.3099) is read here in diffusers' form,
which the release does not have: `paper` names a local folder for it, and is built, not trained.
There is one phase: no dense one follows the sparse steps. No DINOv2 can be trained here: at `tiny` and `small` the encoder
is that of `repa`, trained first on the labels of the same images, and the class vector is the mean of its features at unit
mean square. The published shift, sqrt(numbers / 4,096), is below 1 for such small states and moves times towards the data.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

from frisket.codecs.beside import Beside
from frisket.codecs.pixels import Pixels
from frisket.codecs.summary import Dinov2Class, Summary
from frisket.codecs.vae import VAE
from frisket.data.base import Data
from frisket.data.digits import Digits
from frisket.data.imagefolder import ImageFolder
from frisket.data.scenes.source import Scenes
from frisket.evaluation.compare import less
from frisket.experiments.experiment import Experiment, Study
from frisket.experiments.paper import Count, Paper, Parity
from frisket.interop.sr_dit import (
    BARE,
    process_for,
    sampler_for,
    shift_for,
    sparse_middle,
    speedrun_blocks,
    speedrun_difference,
    speedrun_transformer,
)  # fmt: skip
from frisket.models.backbones.patch_encoder import PatchEncoder
from frisket.models.backbones.transformer import Transformer
from frisket.models.block import Block, repeat
from frisket.models.count import parameters_of_size
from frisket.models.doors import Door
from frisket.models.layers.ends import Patches
from frisket.processes.gaussian import Gaussian
from frisket.processes.joint import Joint
from frisket.recipes.repa import encoder
from frisket.sampling.grids import Shifted
from frisket.sampling.guidance import path_drop
from frisket.sampling.sampler import Sampler
from frisket.sampling.solvers.euler import Euler
from frisket.tasks.diffusion import Diffusion
from frisket.tasks.objectives.alignment import Alignment
from frisket.tasks.objectives.contrastive import Contrastive
from frisket.tasks.objectives.projector import Projector
from frisket.tasks.objectives.targets import Dinov2
from frisket.training.ema import Fixed, Power
from frisket.training.optimisers import AdamW
from frisket.training.schedules import Cosine
from frisket.training.trainer import Trainer

PAPER = Paper(
    card=93, arxiv="2512.12386", year=2025,
    title="Speedrunning ImageNet Diffusion",
    authors="Swayam Bhanded",
    does="alignment, a class vector in the state, a sparse middle, RMS norms, rotary positions, a value residual, a "
         "contrastive term and a time shift, all in one SiT",
    claim="a 140M model reaches FID 3.49 without guidance in 400,000 steps, as models of 685M trained far longer do",
)  # fmt: skip

PLACELESS = 768  # the official table of positions has a row of zeros for the class token
COUNTS = (
    Count(
        name="SR-DiT-B/1 with its projector and positions, parameters", published=140_235_051,
        compute=lambda: parameters_of_size(speedrun_transformer(768, 12, 12)) + Projector().parameters(768, 768) + PLACELESS,
    ),
)  # fmt: skip
PARITY = Parity(kind="module", difference=speedrun_difference)
VARIANTS = {
    "no class vector": "codec = codec/pixels; the model and the process then hold one tensor",
    "no alignment": "task.objectives without objective/alignment",
    "no sparse middle": "model.plan = None",
    "no contrast": "task.objectives without objective/contrastive",
    "no time shift": "process.entries.x.shift = 1 and sampler.grid = grid/uniform",
    "no value residual": "blocks whose attention has values = None",
    "labels alone": "sampler.guidance = cfg in place of path_drop",
}

PATCH = 2
FEATURES = 48  # of the small encoder
BLOCK = 1  # the second: alignment sees it
Change = Callable[[Experiment], Experiment]


def sit(
    data: Data, *, width: int = 48, depth: int = 6, batch: int = 16, steps: int = 160, patch: int = PATCH
) -> Experiment:
    """What everything is added to: a small SiT in pixels. Its process takes a second entry where the codec makes one."""
    joint = Joint(entries={"x": Gaussian(), "cls": Gaussian()}, weights={"cls": 0.03})
    return Experiment(
        name="sr-dit", data=data, codec=Pixels(), process=joint,
        model=Transformer(
            width=width, heads=4, input=Patches(patch=patch), doors=(Door(),), blocks=repeat(Block(), depth)
        ),
        training=Trainer(
            batch=batch, steps=steps, optimiser=AdamW(lr=2e-3), schedule=Cosine(warmup=min(40, steps // 2)),
            emas=(Power(width=0.1),),
        ),
        sampler=Sampler(steps=20, update=Euler()),
    )  # fmt: skip


def aligned(experiment: Experiment) -> Experiment:
    """All tokens behind the second block are aligned with an encoder that learns the same data first."""
    model: Any = experiment.model
    term = Alignment(block=BLOCK, weight=0.5, projector=Projector(hidden=2 * model.width))
    assert experiment.training is not None
    steps = 20 if experiment.training.steps <= 20 else 200
    made = encoder(experiment.data, model.input.patch, steps=steps, width=FEATURES)
    return _told(replace(experiment, needs={"encoder": made}), term)


def with_vector(experiment: Experiment) -> Experiment:
    """The encoder's summary of the image joins the state."""
    model: Any = experiment.model
    network = PatchEncoder(width=FEATURES, depth=2, patch=model.input.patch)
    return replace(experiment, codec=Beside(main=Pixels(), entries={"cls": Summary(network=network)}))


def sparse(experiment: Experiment) -> Experiment:
    """A quarter of all tokens pass the middle blocks."""
    return _built(experiment, plan=sparse_middle())


def modernised(experiment: Experiment) -> Experiment:
    """RMS norms, normalised queries and keys, rotary positions, a value residual."""
    model: Any = experiment.model
    return _built(experiment, blocks=speedrun_blocks(model.depth), final_norm=BARE)


def contrasted(experiment: Experiment) -> Experiment:
    """Predictions are pushed away from other samples' targets."""
    return _told(experiment, Contrastive())


def shifted(experiment: Experiment) -> Experiment:
    """The published shift, of training times and of the sampler's grid."""
    shape = experiment.data.open("train").info.shape
    grid = Shifted(shift=shift_for(shape))
    assert experiment.sampler is not None
    return replace(experiment, process=process_for(shape), sampler=replace(experiment.sampler, grid=grid))


def _told(experiment: Experiment, term: Any) -> Experiment:
    task: Any = experiment.task
    return replace(experiment, task=replace(task, objectives=(*task.objectives, term)))


def _built(experiment: Experiment, **changes: Any) -> Experiment:
    model: Any = experiment.model
    return replace(experiment, model=replace(model, **changes))


ADDED: dict[str, Change] = {
    "+ alignment": aligned, "+ class vector": with_vector, "+ sparse middle": sparse, "+ blocks": modernised,
    "+ contrast": contrasted, "+ time shift": shifted,
}  # fmt: skip
FIELDS = ("codec", "process", "model", "task", "sampler", "needs")


def cumulative(experiment: Experiment) -> dict[str, Experiment]:
    """The system as it grows, one ingredient after the other."""
    grown = {"SiT": experiment}
    for name, change in ADDED.items():
        experiment = grown[name] = change(experiment)
    return grown


def changes(experiment: Experiment) -> dict[str, object]:
    """What an arm changes to become `experiment`."""
    return {name: getattr(experiment, name) for name in FIELDS}


BENCH = sit(Scenes(size=(16, 16)))
GROWN = cumulative(BENCH)
ALL = list(GROWN)[-1]
STUDY = Study(
    bench={"data": BENCH.data, "training": BENCH.training, "n_samples": 512, **changes(BENCH)},
    arms={name: {} if name == "SiT" else changes(arm) for name, arm in GROWN.items()},
    measures=("flow_loss", "frechet"),
    expect=(
        less("frechet", ALL, "SiT"),
        *(less("frechet", after, before) for before, after in zip(list(GROWN)[:-1], list(GROWN)[1:], strict=True)),
        less("flow_loss", "+ alignment", "SiT"),
        less("flow_loss", "+ blocks", "+ sparse middle"),
    ),
    budget="flops",
    note="Each arm is the one before it and one ingredient more, at equal training FLOPs: steps are scaled to the dearest "
         "arm's, so a sparse middle trains for longer. Frechet distance of twenty-step unguided samples in place of FID; "
         "flow_loss is the held-out loss of the image alone, dense and without the contrastive term, on an even grid of t. "
         "From '+ class vector' on the network is also shown a noised vector of the very image at every t, so flow_loss "
         "falls by what that tells and is no evidence there. The encoder's own training is stated (flops_before); its "
         "forward is counted once, for the alignment, though the class vector asks for it again. The published shift is "
         "0.43 for 768 numbers.",
)  # fmt: skip


def experiment(size: str) -> Experiment:
    if size == "paper":
        return paper()
    if size == "tiny":
        made = cumulative(sit(Digits(), width=32, depth=5, batch=16, steps=20, patch=1))[ALL]
        return replace(made, sampler=_guided(made, steps=6), n_samples=32, study=STUDY)
    made = cumulative(sit(Scenes(size=(16, 16)), width=64, depth=6, batch=32, steps=550))[ALL]
    return replace(made, sampler=_guided(made, steps=20), n_samples=256, study=STUDY)


def _guided(experiment: Experiment, steps: int) -> Sampler:
    assert experiment.sampler is not None
    return replace(experiment.sampler, steps=steps, guidance=path_drop(1.5))


def paper() -> Experiment:
    """SR-DiT-B/1 at 256 pixels: 400,000 steps of 256."""
    shape = (32, 16, 16)
    return Experiment(
        name="sr-dit",
        data=ImageFolder(target="imagenet/train", size=256),
        codec=Beside(main=VAE(target="invae-diffusers"), entries={"cls": Dinov2Class()}),
        process=process_for(shape),
        model=speedrun_transformer(768, 12, 12),
        task=Diffusion(
            times="uniform", objectives=(Alignment(block=BLOCK, weight=0.5, target=Dinov2()), Contrastive(weight=0.05))
        ),
        training=Trainer(
            batch=256, steps=400_000, clip=1.0, optimiser=AdamW(lr=1e-4, betas=(0.9, 0.999), weight_decay=0.0),
            emas=(Fixed(rate=0.9999, warmup=1),),
        ),
        sampler=sampler_for(shape),
        n_samples=50_000,
        study=replace(STUDY, bench={}),
    )  # fmt: skip
