"""EcoDiff: heads and hidden units to drop are learned through the whole sampler, and nothing is trained afterwards.

One gate a unit, shared by all times; the gates learn to leave the final state as it was. `small` removes a quarter of
all heads and hidden units of `dit`. The study adds a search of the same number of gates that compares single steps.
`paper` is DiT-XL/2 by the released configs/dit.yaml (first logits 10, L2 penalty, weight 1, rate 0.5, 50 steps, three
epochs of 100 conditions), where the yaml, older than the training script, leaves out the noise of the gates (0.1, as
for FLUX), the rates by kind (one for all) and which norm is meant (the bounded one, as for FLUX). Official code:
YaNgZhAnG-V5/EcoDiff. It draws new gates when a step is computed again for its gradient, rebuilds a tanh GELU as the
exact one after surgery, and drops the output bias of an emptied layer; none of these is followed here.
"""

from dataclasses import replace

from frisket.compression.importance import Magnitude, Random, Taylor, UnitRanking
from frisket.compression.penalties import Bounded
from frisket.compression.prune import PruneUnits
from frisket.evaluation.compare import less
from frisket.experiments.experiment import Experiment, Study
from frisket.experiments.paper import Paper, Parity
from frisket.interop.ecodiff import function_difference
from frisket.recipes import dit
from frisket.sampling.guidance import cfg
from frisket.sampling.sampler import Sampler
from frisket.sampling.solvers.ddim import DDIM
from frisket.sampling.solvers.euler import Euler
from frisket.tasks.width_search import OneStep, WidthSearch
from frisket.training.optimisers import AdamW
from frisket.training.schedules import Constant
from frisket.training.trainer import Trainer

PAPER = Paper(
    card=78, arxiv="2412.02852", year=2024,
    title="Effortless Efficiency: Low-Cost Pruning of Diffusion Models",
    authors="Yang Zhang, Er Jin, Yanfei Dong, Ashkan Khakzar, Philip Torr, Johannes Stegmaier and Kenji Kawaguchi",
    does="drops attention heads and hidden units by gates learned through the whole sampler, without retraining",
    claim="gates learned end to end change the samples less than single-step gates, magnitude or chance at equal size",
)  # fmt: skip
PARITY = Parity(kind="functions", difference=function_difference)
VARIANTS = {
    "flux": "WidthSearch(start=3, eps=0.1, weight=0.01, head_rate=1, hidden_rate=0.2): the FLUX settings at rate 0.5",
    "sdxl": "WidthSearch(start=3, eps=0.5, weight=0.5, penalty=Norm(power=1)): the SDXL settings",
    "one step": "WidthSearch(aim=OneStep()): the search without the sampler",
}
SHARE = 0.25
STEPS = {"tiny": 4, "small": 60}


def base_of(size: str) -> Experiment:
    """The model that is pruned."""
    return replace(dit.experiment(size), study=None)


def study() -> Study:
    def by(ranking: UnitRanking) -> dict:
        return {"training": None, "prepare": (PruneUnits(by=ranking, heads=SHARE, hidden=SHARE),)}

    return Study(
        arms={
            "ecodiff": {},
            "one step": {"task.aim": OneStep()},
            "taylor": by(Taylor()),
            "magnitude": by(Magnitude()),
            "random": by(Random()),
            "unpruned": {"training": None},
        },
        measures=("departure", "loss"),
        expect=(
            less("departure", "ecodiff", "one step"),
            less("departure", "ecodiff", "taylor"),
            less("departure", "ecodiff", "magnitude"),
            less("departure", "ecodiff", "random"),
        ),
        budget="parameters",
        note="Every arm but the unpruned loses a quarter of the heads and of the hidden units, ranked over the whole "
             "model, and is not retrained. departure: relative L2 between final states from the same noise, on noise "
             "that no search saw; the loss is stated beside it.",
    )  # fmt: skip


def experiment(size: str) -> Experiment:
    if size == "paper":
        return paper()
    base = base_of(size)
    return Experiment(
        name="ecodiff",
        data=base.data,
        start=base,
        sampler=Sampler(steps=10 if size == "small" else 3, update=Euler(), guidance=cfg(1.5)),
        task=WidthSearch(heads=SHARE, hidden=SHARE, scope="global" if size == "small" else "local"),
        training=Trainer(
            batch=16, steps=STEPS[size], optimiser=AdamW(lr=0.5, betas=(0.9, 0.999)), schedule=Constant(warmup=10),
            emas=(),
        ),
        n_samples=256 if size == "small" else 32,
        study=study() if size == "small" else None,
    )  # fmt: skip


def paper() -> Experiment:
    """DiT-XL/2: three epochs of 100 conditions, 50 DDIM steps under guidance 4, a fifth of heads and hidden units."""
    base = replace(dit.paper(), study=None)
    search = WidthSearch(
        heads=0.2, hidden=0.2, start=10.0, weight=1.0, penalty=Bounded(power=2), head_rate=1.0, hidden_rate=1.0
    )
    return Experiment(
        name="ecodiff", data=base.data, start=base, task=search,
        sampler=Sampler(steps=50, update=DDIM(), guidance=cfg(4.0)),
        training=Trainer(
            batch=1, steps=300, optimiser=AdamW(lr=0.5, betas=(0.9, 0.999), weight_decay=0.01),
            schedule=Constant(warmup=10), emas=(),
        ),
        n_samples=50_000,
    )  # fmt: skip
