"""TinyFusion: which blocks to drop is learned together with a stand-in for the fine-tuning that follows.

Three phases: a trained model (here `dit`), a search whose result is the pruned model, and recovery by distillation from
the unpruned one. The paper's point is that the loss right after pruning does not tell how well a model recovers; the
study holds parameters and the recovery equal over rankings, among them the subset with the lowest loss. Official code:
VainF/TinyFusion, read for facts. It differs from the card in nothing that was found; its released forward has no
deterministic pass (here: `skip_blocks`), and its search script averages the logits at a fixed rate from the start.
"""

from dataclasses import replace

from frisket.compression.depth import RemoveBlocks
from frisket.compression.gates import even_groups
from frisket.compression.importance import BlockRanking, Exhaustive, Interval, Magnitude, Random, Sensitivity
from frisket.compression.prune import PruneBlocks
from frisket.compression.updates import LowRankUpdate
from frisket.core.edits import build_edited
from frisket.evaluation.compare import less
from frisket.experiments.experiment import Experiment, Study
from frisket.experiments.paper import Count, Paper, Parity
from frisket.interop.tinyfusion import gated_difference
from frisket.models.backbones.sizes import dit as dit_of_size
from frisket.models.count import count_parameters
from frisket.recipes import dit
from frisket.tasks.depth_search import DepthSearch
from frisket.tasks.diffusion import Diffusion
from frisket.tasks.distillation import Distillation
from frisket.training.ema import Fixed, Power
from frisket.training.optimisers import AdamW
from frisket.training.schedules import Cosine
from frisket.training.trainer import Trainer

PAPER = Paper(
    card=68, arxiv="2412.01199", year=2024,
    title="TinyFusion: Diffusion Transformers Learned Shallow",
    authors="Gongfan Fang, Kunjun Li, Xinyin Ma and Xinchao Wang",
    does="drops whole blocks by gates learned with a stand-in for fine-tuning, then distils what is left",
    claim="a model pruned by learned gates recovers better than one pruned by rankings or by the lowest loss",
)  # fmt: skip


def parameters_of_depth(kept: int) -> int:
    """Parameters of DiT-XL/2 with `kept` of its 28 blocks, built on meta."""
    import torch

    with torch.device("meta"):
        return count_parameters(build_edited(dit_of_size("XL"), [RemoveBlocks(indices=tuple(range(kept, 28)))]))


def learning_share() -> float:
    """Parameters that a search over DiT-XL/2 trains, over those of the model."""
    import torch

    with torch.device("meta"):
        model = dit_of_size("XL").build()
    return count_parameters(LowRankUpdate(model, rank=8)) / count_parameters(model)


COUNTS = (
    Count(name="TinyDiT-D14 parameters, M", published=340, compute=lambda: parameters_of_depth(14) / 1e6, tolerance=0.005),
    Count(name="share of parameters that the search trains", published=0.009, compute=learning_share, tolerance=0.05),
)  # fmt: skip
PARITY = Parity(kind="module", difference=gated_difference)
VARIANTS = {
    "1:2": "even_groups(28, 1, 2): half the depth, one of each pair (the released script's default)",
    "2:4": "even_groups(28, 2, 4): half the depth, the paper's best",
    "7:14": "even_groups(28, 7, 14): half the depth, 3,432 patterns a half",
    "1:4": "even_groups(28, 1, 4): a quarter of the depth (D7)",
}

BATCH = {"tiny": 16, "small": 32}
SEARCH = {"tiny": 20, "small": 200}
RECOVERY = {"tiny": 20, "small": 200}
KEEP = {"tiny": (1, 2), "small": (1, 2)}


def base_of(size: str) -> Experiment:
    """The model that is pruned."""
    return replace(dit.experiment(size), study=None)


def search_of(size: str, rank: int = 8) -> Experiment:
    """Gates over groups of neighbouring blocks; saves the pruned model."""
    base = base_of(size)
    assert base.model is not None
    groups = even_groups(base.model.depth, *KEEP[size])  # type: ignore[attr-defined]
    return Experiment(
        name="tinyfusion-search",
        data=base.data,
        start=base,
        task=DepthSearch(groups=groups, rank=rank, rate=2.0),
        training=Trainer(
            batch=BATCH[size], steps=SEARCH[size], optimiser=AdamW(lr=1e-3), emas=(Fixed(rate=0.98),)
        ),
    )  # fmt: skip


def study() -> Study:
    base, removed = base_of("small"), 3

    def by(ranking: BlockRanking) -> dict:
        return {"start": base, "prepare": (PruneBlocks(by=ranking, remove=removed),)}

    rankings = {
        "random": Random(), "interval": Interval(), "magnitude": Magnitude(), "sensitivity": Sensitivity(),
        "lowest loss": Exhaustive(),
    }  # fmt: skip
    arms = {
        "tinyfusion": {}, **{name: by(ranking) for name, ranking in rankings.items()},
        "no update": {"start": search_of("small", rank=0)},
        "plain fine-tuning": {"task": Diffusion()},
        "tinyfusion, not recovered": {"training": None},
        "lowest loss, not recovered": {**by(Exhaustive()), "training": None},
    }  # fmt: skip
    return Study(
        arms=arms,
        measures=("loss",),
        expect=(
            *(less("loss", "tinyfusion", name) for name in rankings),
            less("loss", "tinyfusion", "plain fine-tuning"),
            less("loss", "lowest loss, not recovered", "tinyfusion, not recovered"),
        ),
        budget="parameters",
        note="Held-out loss after the same 200 steps of distillation, in place of FID; every arm keeps 3 of 6 blocks. "
             "The search costs its arms 200 further steps, which the rankings do not spend; `flops_before` states them.",
    )  # fmt: skip


def experiment(size: str) -> Experiment:
    if size == "paper":
        return paper()
    base = base_of(size)
    return Experiment(
        name="tinyfusion",
        data=base.data,
        start=search_of(size),
        needs={"teacher": base},
        task=Distillation(),
        training=Trainer(
            batch=BATCH[size], steps=RECOVERY[size],
            optimiser=AdamW(lr=1e-3), schedule=Cosine(warmup=10), emas=(Power(width=0.1),),
        ),
        n_samples=base.n_samples,
        study=study() if size == "small" else None,
    )  # fmt: skip


def paper() -> Experiment:
    """DiT-XL/2 to 14 blocks, as released: one epoch of search at batch 128, 100 epochs of recovery at batch 256."""
    base, images = replace(dit.paper(), study=None), 1_281_167
    search = Experiment(
        name="tinyfusion-search", data=base.data, start=base, task=DepthSearch(groups=even_groups(28, 1, 2)),
        training=Trainer(
            batch=128, steps=images // 128, optimiser=AdamW(lr=1e-4, betas=(0.9, 0.999)), emas=(Fixed(rate=0.999, warmup=1),)
        ),
    )  # fmt: skip
    return Experiment(
        name="tinyfusion", data=base.data, start=search, needs={"teacher": base}, task=Distillation(),
        training=Trainer(
            batch=256, steps=100 * (images // 256), optimiser=AdamW(lr=2e-4, betas=(0.9, 0.999)),
            schedule=Cosine(floor=0.5), emas=(Fixed(rate=0.9999, warmup=1),),
        ),
        n_samples=50_000,
    )  # fmt: skip
