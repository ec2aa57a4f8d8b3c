"""Muse: text to image by masked ids, in two stages, with MaskGIT's parallel decoding.

The base model fills a coarse grid of ids from a caption, a few moves at a time, the surest ids first; a second model
fills a finer grid and reads the finished coarse one beside the caption. Guidance grows while sampling. `small` learns
drawn scenes on grids of named colours (8 x 8, then 16 x 16), with words read by two blocks in the place of the frozen
text encoder; `paper` has the published sizes and reads T5-XXL features. Left open by the paper: which multi-axis
attention the second stage uses; here blocks of the grid, then strided, as MaxViT (arXiv 2204.01697) does.
Facts of the decoder as in google-research/maskgit `libml/parallel_decode.py` (MaskGIT, arXiv 2202.04200).
"""

from frisket.codecs.palette import Palette
from frisket.codecs.readers import Reader
from frisket.codecs.sentences import Sentences
from frisket.codecs.vq import VQ
from frisket.data.scenes.draw import Dial
from frisket.data.scenes.source import Scenes
from frisket.data.scenes.vocabulary import COLOUR_RGB, GROUND_RGB
from frisket.data.wds import WebDataset
from frisket.evaluation.compare import more, same
from frisket.evaluation.looks.captions import Captioned
from frisket.experiments.experiment import Experiment, Study
from frisket.experiments.paper import Count, Paper, Parity
from frisket.interop.maskgit import decode_difference
from frisket.models.backbones.transformer import Transformer
from frisket.models.block import Block, Branch, repeat
from frisket.models.count import parameters_of_size
from frisket.models.doors import Door
from frisket.models.layers.attention import Attention, Cross
from frisket.models.layers.base import Embedder
from frisket.models.layers.embedders import Features
from frisket.models.layers.ends import Ids, Logits
from frisket.models.layers.ffn import Gelu
from frisket.models.layers.grid_ids import GridIds
from frisket.models.layers.modulation import Unmodulated
from frisket.models.layers.norms import LayerNorm
from frisket.models.layers.positions import Learned, Positions, SinCos
from frisket.models.masks.local import Partition
from frisket.models.masks.strided import Strided
from frisket.processes.densities import Uniform
from frisket.processes.hidden_weights import Plain
from frisket.processes.masked import Masked
from frisket.processes.schedules import Cosine as CosineMask
from frisket.sampling.decoding.decoder import Ordered
from frisket.sampling.decoding.orders import Confidence, Order, Random, Raster
from frisket.sampling.decoding.selects import Budget, CosineCurve, PowerCurve
from frisket.sampling.guidance import cfg
from frisket.sampling.sampler import Sampler
from frisket.sampling.scales import Constant as Always
from frisket.sampling.scales import Linear as Rising
from frisket.sampling.stages import Stage
from frisket.tasks.diffusion import Diffusion
from frisket.training.ema import Fixed, Power
from frisket.training.optimisers import AdamW
from frisket.training.schedules import Cosine
from frisket.training.trainer import Trainer

PAPER = Paper(
    card=13, arxiv="2301.00704", year=2023,
    title="Muse: Text-To-Image Generation via Masked Generative Transformers",
    authors="Huiwen Chang, Han Zhang, Jarred Barber, AJ Maschinot, Jose Lezama, Lu Jiang, Ming-Hsuan Yang, Kevin Murphy, "
            "William T. Freeman, Michael Rubinstein, Yuanzhen Li and Dilip Krishnan",
    does="text to image on ids: the surest first in a few parallel moves, then a second stage on a finer grid",
    claim="parallel decoding of masked ids follows the text as well as one id at a time, in a fraction of the forwards",
)  # fmt: skip

NORM = LayerNorm(eps=1e-6, affine="both")
PLACES = SinCos()
FINE_PLACES = SinCos(base=50.0, scale=0.06)  # no larger than the vectors of ids, which must be read from the first step


def block(ratio: float = 4.0, multi_axis: int = 0) -> Block:
    """Self-attention, attention to everything in the context, feed-forward; nothing modulates them. multi_axis: side of
    the boxes that the self-attention is cut into before it goes strided, 0 for full attention."""
    masks = {"attn": Attention()}
    if multi_axis:
        masks = {
            "near": Attention(mask=Partition(size=float(multi_axis))),
            "far": Attention(mask=Strided(stride=multi_axis)),
        }
    looks = tuple(Branch(name=name, mixer=mixer, norm=NORM) for name, mixer in masks.items())
    cross = Branch(name="cross", mixer=Cross(), norm=NORM)
    return Block(
        branches=(*looks, cross, Branch(name="ffn", mixer=Gelu(ratio=ratio), norm=NORM)), modulation=Unmodulated()
    )


def plain(ratio: float = 4.0) -> Block:
    """Self-attention and feed-forward: what reads words, or the finished coarse grid."""
    attn, ffn = (
        Branch(name="attn", mixer=Attention(), norm=NORM),
        Branch(name="ffn", mixer=Gelu(ratio=ratio), norm=NORM),
    )
    return Block(branches=(attn, ffn), modulation=Unmodulated())


def maskgit(temperature: float = 4.5, *more: Order) -> Ordered:
    """MaskGIT's decoder: ids drawn at temperature 1, the surest kept, with noise on the choice that ends with the time."""
    orders = (Confidence(), Random(scale=temperature, anneal=1.0), *more)
    return Ordered(orders=orders, select=Budget(curve=CosineCurve(), least=1, kept=1))


def network(
    width: int, blocks: tuple[Block, ...], doors: tuple[Door, ...], heads: int, positions: Positions = PLACES
) -> Transformer:
    """A masked-id transformer that is told no time: how much is hidden it sees. Positions are sines of the coordinates,
    where the paper's are learned: in few steps a fine grid must find its place in the coarse one."""
    return Transformer(
        width=width, heads=heads, time=None, input=Ids(), output=Logits(), positions=positions, doors=doors,
        blocks=blocks, final_norm=NORM, final_modulation=Unmodulated(),
    )  # fmt: skip


def caption(embedder: Embedder) -> Door:
    return Door(name="caption", way="context", embedder=embedder)


def low(embedder: Embedder) -> Door:
    return Door(name="low", way="context", embedder=embedder)


MASKED = Masked(schedule=CosineMask(), density=Uniform(), weight=Plain())
DATA = Scenes(
    size=(16, 16), facts=("colour", "place", "ground"),
    dial=Dial(objects=(1, 1), palette=4, grounds=3, kinds=("shape",), textures=("plain",), sizes=(0.26, 0.34), tilt=0.0),
)  # fmt: skip
COLOURS = GROUND_RGB + COLOUR_RGB
SIZES = {  # width, depth, low depth, batch, steps; of the base and of the second stage
    "tiny": ((16, 1, 0, 8, 4), (16, 1, 1, 4, 4)),
    "small": ((64, 4, 0, 32, 600), (64, 3, 2, 16, 300)),
}


def trainer(batch: int, steps: int) -> Trainer:
    return Trainer(
        batch=batch,
        steps=steps,
        optimiser=AdamW(lr=2e-3),
        schedule=Cosine(warmup=min(100, steps)),
        emas=(Power(width=0.1),),
    )


def base(size: str = "small", longer: float = 1.0) -> Experiment:
    """The first stage by itself: a caption to the 8 x 8 grid. longer: times the size's own steps."""
    width, depth, _, batch, steps = SIZES[size][0]
    words = GridIds(blocks=repeat(plain(), 2))
    return Experiment(
        name="muse-base",
        data=DATA,
        codec=Palette(colours=COLOURS, patch=2),
        process=MASKED,
        model=network(width, repeat(block(), depth), (caption(words),), heads=4),
        reads={"caption": Reader(codec=Sentences())},
        training=trainer(batch, round(longer * steps)),
        sampler=Sampler(steps=8, update=maskgit(), guidance=cfg(Rising(first=1.0, last=3.0))),
        looks=(Captioned(),),
        n_samples=256 if size == "small" else 8,
    )


ONE = Ordered(orders=(Raster(),), select=Budget(curve=PowerCurve(), least=1))


def study(size: str) -> Study:
    """One trained first stage a seed, sampled in five ways."""
    return Study(
        bench={
            "start": base(size, longer=2.0), "needs": {}, "prepare": (), "codec": None, "process": None, "model": None,
            "reads": {}, "training": None, "sampler": base(size).sampler, "task": Diffusion(), "looks": (),
            "n_samples": 256 if size == "small" else 8,
        },
        arms={
            "by confidence, 8 moves": {},
            "at random, 8 moves": {"sampler.update": Ordered(select=Budget(curve=CosineCurve(), least=1, kept=1))},
            "one by one, 64 moves": {"sampler.steps": 64, "sampler.update": ONE},
            "unguided": {"sampler.guidance": cfg(Always(value=1.0))},
            "constant scale": {"sampler.guidance": cfg(Always(value=3.0))},
        },
        measures=("agreement", "spread", "rows"),
        expect=(
            more("agreement", "by confidence, 8 moves", "at random, 8 moves"),
            same("agreement", "by confidence, 8 moves", "one by one, 64 moves", margin=0.05),
            more("agreement", "by confidence, 8 moves", "unguided"),
            more("spread", "by confidence, 8 moves", "constant scale"),
        ),
        note="Forwards are not held equal, they are what is compared: see `rows`, model rows a sample with both branches "
             "of guidance counted. Agreement is judged on the coarse grid, on which the true images reach less than 1.",
    )  # fmt: skip


def experiment(size: str) -> Experiment:
    """The second stage, with the first before it."""
    if size == "paper":
        return paper()
    width, depth, reads, batch, steps = SIZES[size][1]
    words, coarse = (
        GridIds(blocks=repeat(plain(), 2)),
        GridIds(positions=FINE_PLACES, stride=2.0, blocks=repeat(plain(), reads)),
    )
    return Experiment(
        name="muse",
        data=DATA,
        codec=Palette(colours=COLOURS),
        process=MASKED,
        model=network(width, repeat(block(), depth), (caption(words), low(coarse)), heads=4, positions=FINE_PLACES),
        reads={
            "caption": Reader(codec=Sentences()),
            "low": Reader(key="x", codec=Palette(colours=COLOURS, patch=2)),
        },
        task=Diffusion(drops={"low": 0.0}),
        needs={"base": base(size)},
        prepare=(Stage(),),
        training=trainer(batch, steps),
        sampler=Sampler(steps=8, update=maskgit(), guidance=cfg(Rising(first=1.0, last=2.0), absent=("caption",))),
        looks=(Captioned(),),
        n_samples=128 if size == "small" else 8,
        study=study(size),
    )  # fmt: skip


def published(width: int, depth: int, *, tokens: int, vocabulary: int = 8192, coarse: int = 0) -> Transformer:
    """A published stage. tokens: side of its grid; coarse: layers that read the 16 x 16 grid of the stage before, 0 for
    the first stage. Heads of 64 features, which the paper does not state."""
    doors = [caption(Features(features=4096))]
    if coarse:
        heads = width // 64
        doors.append(low(GridIds(vocabulary=vocabulary, size=(16, 16), heads=heads, blocks=repeat(plain(), coarse))))
    return Transformer(
        width=width, heads=width // 64, time=None, input=Ids(vocabulary=vocabulary, size=(tokens, tokens)),
        output=Logits(vocabulary=vocabulary), positions=Learned(), doors=tuple(doors),
        blocks=repeat(block(multi_axis=8 if coarse else 0), depth), final_norm=NORM, final_modulation=Unmodulated(),
    )  # fmt: skip


def paper() -> Experiment:
    """The 3-billion model and its second stage: VQGANs of 8,192 codes at f = 16 and f = 8, T5-XXL features, 24 + 8
    moves. Not here, so it builds but does not train as it stands: the frozen text encoder whose features (b, n, 4096)
    "caption" must be, the adversarial terms of the VQGANs, and Adafactor, for which AdamW stands with its numbers."""
    vq16 = VQ(codes=8192, dim=256, width=128, multipliers=(1, 1, 2, 2, 4), blocks=2)
    vq8 = VQ(codes=8192, dim=256, width=128, multipliers=(1, 2, 2, 4), blocks=2)
    training = Trainer(
        batch=512, steps=1_000_000, optimiser=AdamW(lr=1e-4, betas=(0.9, 0.96), weight_decay=0.045),
        schedule=Cosine(warmup=5000), emas=(Fixed(rate=0.9999),),
    )  # fmt: skip
    guided = cfg(Rising(first=1.0, last=6.0), absent=("caption",))
    data = WebDataset(target="muse/{00000..99999}.tar")
    process = Masked(vocabulary=8192, schedule=CosineMask(), density=Uniform(), weight=Plain())
    first = Experiment(
        name="muse-base", data=data, codec=vq16, process=process, model=published(2048, 48, tokens=16), training=training,
        sampler=Sampler(steps=24, update=maskgit(), guidance=guided),
    )  # fmt: skip
    return Experiment(
        name="muse", data=data, codec=vq8, process=process, model=published(1024, 32, tokens=64, coarse=16),
        reads={"low": Reader(key="x", codec=vq16)}, task=Diffusion(drops={"low": 0.0}), needs={"base": first},
        prepare=(Stage(),), training=training, sampler=Sampler(steps=8, update=maskgit(), guidance=guided),
    )  # fmt: skip


COUNTS = (
    Count(name="base, billions of parameters", published=3.0, tolerance=0.1,
          compute=lambda: parameters_of_size(published(2048, 48, tokens=16)) / 1e9),
)  # fmt: skip
PARITY = Parity(kind="functions", difference=decode_difference, limit=0.0)
VARIANTS = {
    "base": "the first stage by itself: muse.base(size)",
    "maskgit": "its decoder on any masked-id model: muse.maskgit(temperature)",
}
