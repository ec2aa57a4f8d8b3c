"""Mask2Former: learned queries each name a class and draw a mask, and look only where their last mask was.

Segmentation, not generation: there is no process, no noise and no sampler; the trainer and the experiment are the same.
`small` learns drawn scenes of overlapping shapes (ten classes and the ground) and is measured by panoptic quality,
average precision and mean IoU at once. `paper` is the published R50 model for COCO panoptic (133 classes, 100 queries,
9 layers, 6 layers of deformable attention). Of its training are left out: the trunk's ImageNet weights and COCO itself,
which are not shipped (its data here are scenes at COCO's size), large-scale jitter, and mixed precision.
The card and the official code agree; the recipe adds one control, masks of the right shape at the wrong place.
"""

from dataclasses import replace

from frisket.codecs.pixels import Pixels
from frisket.data.scenes.draw import Dial
from frisket.data.scenes.source import Scenes
from frisket.evaluation.compare import more
from frisket.evaluation.looks.segments import SegmentLook
from frisket.experiments.experiment import Experiment, Study
from frisket.experiments.paper import Count, Paper, Parity
from frisket.interop.mask2former import heads_difference
from frisket.models.backbones.queries.focus import Displaced, Everywhere, Predicted
from frisket.models.backbones.queries.pixels import Deformable
from frisket.models.backbones.queries.segmenter import QuerySegmenter
from frisket.models.backbones.queries.trunk import Residual, resnet
from frisket.models.count import parameters_of_size
from frisket.models.layers.maps import GroupNorm
from frisket.tasks.segmentation import Segmentation
from frisket.tasks.sets.matching import LeastCost
from frisket.tasks.sets.points import Uncertain
from frisket.training.ema import Power
from frisket.training.optimisers import AdamW
from frisket.training.schedules import Cosine, Stepped
from frisket.training.trainer import Trainer

PAPER = Paper(
    card=109, arxiv="2112.01527", year=2022,
    title="Masked-attention Mask Transformer for Universal Image Segmentation",
    authors="Bowen Cheng, Ishan Misra, Alexander G. Schwing, Alexander Kirillov and Rohit Girdhar",
    does="queries name classes and draw masks, and attend only inside the mask they drew one layer before",
    claim="cross-attention inside each query's own predicted mask gives better segments than plain cross-attention",
)  # fmt: skip


def published(depth: int = 50) -> QuerySegmenter:
    """The COCO panoptic model with a ResNet-50 or ResNet-101 trunk: 80 things, then 53 kinds of stuff."""
    return QuerySegmenter(
        classes=133, stuff=tuple(range(80, 133)), queries=100, width=256, heads=8, layers=9, hidden=8.0,
        trunk=resnet(depth), pixels=Deformable(layers=6, norm=GroupNorm(groups=32)),
    )  # fmt: skip


COUNTS = tuple(
    Count(name=f"R{depth} panoptic, millions of parameters", published=millions, tolerance=0.5 / millions,
          compute=lambda depth=depth: parameters_of_size(published(depth)) / 1e6)
    for depth, millions in ((50, 44), (101, 63))
)  # fmt: skip
PARITY = Parity(kind="module", difference=heads_difference)
VARIANTS = {
    "R50": "published(50): the COCO panoptic model",
    "R101": "published(101)",
    "FPN": "model.pixels = pixels/pyramid: the feature pyramid alone in place of deformable attention",
    "semantic": "data without the view `instances`: a segment is a class",
}

STUDY = Study(
    arms={
        "everywhere": {"model.focus": Everywhere()},
        "predicted": {"model.focus": Predicted()},
        "displaced": {"model.focus": Displaced()},
    },
    bench={"training.steps": 1000, "n_samples": 256},
    measures=("pq", "ap", "miou"),
    expect=(
        more("pq", "predicted", "everywhere"),
        more("ap", "predicted", "everywhere"),
        more("miou", "predicted", "everywhere"),
        more("pq", "predicted", "displaced"),
    ),
    note="The paper's ablation of masked attention at equal steps; the displaced mask has the shape and area of the "
         "predicted one and lies half a map away.",
)  # fmt: skip


def scenes(side: int) -> Scenes:
    """One to three overlapping shapes on a textured ground."""
    dial = Dial(objects=(1, 3), overlap=0.5, kinds=("shape",), sizes=(0.15, 0.28))
    return Scenes(size=(side, side), views=("semantic", "instances"), dial=dial)


def experiment(size: str) -> Experiment:
    if size == "paper":
        return paper()
    width, steps, batch, points = {"tiny": (32, 10, 4, 16), "small": (48, 1200, 16, 64)}[size]
    return Experiment(
        name="mask2former",
        data=scenes(32),
        codec=Pixels(),
        model=QuerySegmenter(
            classes=21, queries=12, width=width, heads=4, layers=3, score=0.5,
            trunk=Residual(widths=(24, 32, 48, 64), stem_width=24), pixels=Deformable(layers=1),
        ),
        task=Segmentation(matching=LeastCost(points=points), points=Uncertain(count=points)),
        training=Trainer(
            batch=batch, steps=steps, optimiser=AdamW(lr=2e-3, weight_decay=0.05), schedule=Cosine(warmup=100),
            emas=(Power(width=0.1),),
        ),
        looks=(SegmentLook(),),
        n_samples=512 if size == "small" else 8,
        study=STUDY,
    )  # fmt: skip


def paper() -> Experiment:
    """Mask2Former R50 for COCO panoptic: AdamW at 1e-4 (a tenth for the trunk), 12,544 points, gradients clipped at
    0.01, batch 16, 368,750 steps, the rate a tenth from step 327,778 and a hundredth from 355,092. Images are 1024 x 1024,
    normalised by ImageNet's statistics."""
    return Experiment(
        name="mask2former",
        data=replace(scenes(1024), dial=Dial(objects=(1, 16))),
        codec=Pixels(mean=(0.485, 0.456, 0.406), std=(0.229, 0.224, 0.225)),
        model=published(50),
        task=Segmentation(trunk=0.1, matching=LeastCost(points=12_544), points=Uncertain(count=12_544)),
        training=Trainer(
            batch=16, steps=368_750, clip=0.01, optimiser=AdamW(lr=1e-4, weight_decay=0.05, betas=(0.9, 0.999)),
            schedule=Stepped(warmup=10, at=(0.88889, 0.96296)), emas=(),
        ),
        looks=(SegmentLook(),),
        n_samples=5_000,
        study=replace(STUDY, bench={}),
    )  # fmt: skip
