"""Unmasking policies: a tiny network, trained by reinforcement, decides which hidden places a frozen model reveals now.

The policy sees how sure the model is at each place, what is hidden and how much, and earns for right answers in few
forwards; thresholds on the confidence and a fixed number a move are what it must beat. `small` decides for the sudoku
model of `token-ordering`. The paper's code could not be had: what is ours is said in `tasks/policy.py` and
`adapters/policy.py`. Left out: its other action head (a ranking and a count), blocks, and runs of a heuristic among
those of a group.
"""

from dataclasses import replace

from frisket.adapters.policy import AddRevealPolicy, RevealPolicy
from frisket.codecs.tokenizer import Tokenizer
from frisket.data.hf import HuggingFace
from frisket.data.sudoku import SudokuRules
from frisket.evaluation.compare import more
from frisket.evaluation.looks.solving import Solving
from frisket.experiments.experiment import Experiment, Study
from frisket.experiments.paper import Paper, Parity
from frisket.interop.decoding import transfer_difference
from frisket.models.backbones.transformer import Transformer
from frisket.models.block import Block, repeat
from frisket.models.layers.ends import Patches
from frisket.processes.masked import Masked
from frisket.processes.schedules import Linear
from frisket.recipes import token_ordering
from frisket.recipes.dus import LLADA_VOCABULARY, llada
from frisket.recipes.token_ordering import HIDDEN, filling
from frisket.sampling.corrections import ImposeKnown
from frisket.sampling.decoding.decoder import Ordered
from frisket.sampling.decoding.learned import Chance, Learned
from frisket.sampling.decoding.orders import Confidence
from frisket.sampling.decoding.proposals import Greedy
from frisket.sampling.decoding.selects import Threshold
from frisket.sampling.sampler import Sampler
from frisket.tasks.policy import Policy
from frisket.training.ema import Power
from frisket.training.optimisers import AdamW
from frisket.training.schedules import Cosine
from frisket.training.trainer import Trainer

PAPER = Paper(
    card=31, arxiv="2512.09106", year=2025,
    title="Learning Unmasking Policies for Diffusion Language Models",
    authors="Metod Jazbec, Theo X. Olausson, Louis Béthune, Pierre Ablin, Michael Kirchhof, João Monteiro, Victor "
            "Turrisi, Jason Ramapuram and Marco Cuturi",
    does="a tiny transformer over confidences, trained by GRPO, decides what a frozen masked model reveals at each step",
    claim="learned policies match confidence thresholds in blocks and beat them when the whole canvas is open",
)  # fmt: skip

THRESHOLDS = (0.7, 0.9, 0.95, 0.99)
COUNTS_A_MOVE = (1, 2, 4, 8)


def policy(temperature: float = 1.0, places: int = 36) -> Sampler:
    """Decoding by the model's own policy; temperature 0 decides without chance."""
    update = Ordered(proposal=Greedy(), orders=(Learned(),), select=Chance(temperature=temperature))
    return Sampler(steps=places, update=update, corrections=(ImposeKnown(),))


def threshold(at: float) -> Sampler:
    """Everything at least this probable, and always the most probable place."""
    update = Ordered(proposal=Greedy(), orders=(Confidence(),), select=Threshold(threshold=at))
    return Sampler(steps=36, update=update, corrections=(ImposeKnown(),))


def experiment(size: str) -> Experiment:
    out = paper() if size == "paper" else trained(size)
    return replace(out, study=None if size == "paper" else study(size))


def trained(size: str, speed: float = 1.0) -> Experiment:
    """The policy's training. speed: what few forwards are worth beside being right."""
    batch, steps, group = {"tiny": (2, 20, 2), "small": (8, 200, 8)}[size]
    swept = tuple(threshold(at) for at in THRESHOLDS)
    return Experiment(
        name="unmasking-policies",
        data=token_ordering.base(size).data,
        start=token_ordering.base(size),
        prepare=(AddRevealPolicy(),),
        task=Policy(judge=SudokuRules(size=6), group=group, speed=speed, entropy=0.0 if size == "small" else 0.01),
        training=Trainer(
            batch=batch, steps=steps, optimiser=AdamW(lr=1e-3), schedule=Cosine(warmup=10), emas=(Power(width=0.2),)
        ),
        sampler=policy(),
        looks=(
            Solving(
                films={"learned": policy(0.0), "threshold 0.9": threshold(0.9), "one a move": filling(Confidence(), HIDDEN)},
                curves={
                    "learned": tuple(policy(t) for t in ((0.0, 0.5, 1.0) if size == "small" else (1.0,))),
                    "threshold": swept if size == "small" else swept[:1],
                    "fixed number": tuple(filling(Confidence(), HIDDEN // k) for k in COUNTS_A_MOVE[-1:]
                                          + (COUNTS_A_MOVE[:-1] if size == "small" else ())),
                },
            ),
        ),
        n_samples=400 if size == "small" else 8,
    )  # fmt: skip


def study(size: str) -> Study:
    """Arms train nothing: each decodes with the policy, trained once a seed, or with a heuristic, on one base."""
    learned = {"start": trained(size), "prepare": (), "training": None}
    heuristics = {f"threshold {at:g}": threshold(at) for at in THRESHOLDS}
    heuristics |= {f"{k} a move": filling(Confidence(), HIDDEN // k) for k in COUNTS_A_MOVE}
    return Study(
        arms={
            "untrained": {"training": None},
            "learned": learned,
            "learned, without chance": {**learned, "sampler": policy(0.0)},
            **{name: {"sampler": sampler, "prepare": (), "training": None} for name, sampler in heuristics.items()},
        },
        measures=("earned", "solved", "forwards"),
        expect=(
            more("earned", "learned", "untrained"),
            *(more("earned", "learned, without chance", name) for name in heuristics),
        ),
        budget="forwards",
        proxy=True,
        note="Earned: right x (1 - (forwards - 1) / hidden places), what the policy is trained for, on 400 held-out 6 x 6 "
             "puzzles; the thresholds and numbers a move are swept, so the best of each is among the arms. Untrained: where "
             "the policy starts, a soft threshold. Solved and forwards say where on the trade-off an arm lies.",
    )  # fmt: skip


def paper() -> Experiment:
    """A policy of width 128 for LLaDA-8B on GSM8K at 256 places. Only the sizes are public; the batch, the number of
    steps and the rate are guesses, and answers are judged by a part that does not exist here, so the task is absent."""
    network = Transformer(width=128, heads=4, input=Patches(patch=1), blocks=repeat(Block(), 1))
    return Experiment(
        name="unmasking-policies",
        data=HuggingFace(target="openai/gsm8k", subset="main", column="question"),
        codec=Tokenizer(target="GSAI-ML/LLaDA-8B-Instruct", length=256),
        process=Masked(vocabulary=LLADA_VOCABULARY, schedule=Linear()),
        model=llada(256),
        prepare=(AddRevealPolicy(edit=RevealPolicy(length=256, network=network)),),
        sampler=policy(places=256),
    )


PARITY = Parity(kind="functions", difference=transfer_difference, limit=1e-12)
