"""SR-DiT's network and official weights (SwayStar123/SpeedrunDiT models/sit.py and models/pos_embed.py, read for facts).

A SiT of RMS norms whose state is an image and a class vector; blocks behind the first mix the first one's values into
theirs, the middle blocks see a quarter of the tokens. Official tokens begin with the class token, ours end with it:
official token i is ours i - 1, and 0 is the last. The official norm of queries and keys has the machine epsilon of its
dtype, which here is that of float32. The official table of positions has a row of zeros for the class token, which ours
leaves out. Official times are t itself, 0 data and 1 noise. Projectors are read by `aligned.projectors("repa", ...)`.
"""

from __future__ import annotations

import math

import torch
from jaxtyping import Int
from torch import Tensor, nn

from frisket.codecs.beside import Beside
from frisket.codecs.summary import Sampled
from frisket.core.condition import Condition
from frisket.core.errors import check
from frisket.core.sites import install
from frisket.core.step import Step, use_step
from frisket.interop.aligned import projectors
from frisket.interop.dit import BLOCK, ENDS, wired
from frisket.interop.golden import stored
from frisket.interop.official import Taken, load_official, official, published_heads, renamed, wires
from frisket.models.backbones.sizes import DIT
from frisket.models.backbones.transformer import Transformer
from frisket.models.block import Block, Branch, repeat
from frisket.models.doors import Door
from frisket.models.layers.attention import Attention
from frisket.models.layers.embedders import ClassIds
from frisket.models.layers.ends import Patches, PatchesOut
from frisket.models.layers.entries import Vector
from frisket.models.layers.ffn import Gelu
from frisket.models.layers.norms import RMSNorm
from frisket.models.layers.positions import Rotary
from frisket.models.layers.values import Kept, Residual, Values
from frisket.models.plans.choose import SkipTogether, Uniform
from frisket.models.plans.fusion import Fused
from frisket.processes.gaussian import Gaussian
from frisket.processes.joint import Joint
from frisket.sampling.grids import Last, Shifted
from frisket.sampling.guidance import path_drop
from frisket.sampling.pipeline import Pipeline
from frisket.sampling.sampler import Sampler
from frisket.sampling.scales import Constant, Interval
from frisket.sampling.solvers.sde_euler import SDEEuler
from frisket.tasks.objectives.taps import tap

BASE = 4096  # numbers of a state whose times are not shifted
BARE = RMSNorm(affine="none")
HEADS = RMSNorm(eps=torch.finfo(torch.float32).eps)
INSIDE = {"attn.q_norm": "branches.attn.mixer.inner.q_norm", "attn.k_norm": "branches.attn.mixer.inner.k_norm"}
BESIDE = {
    "cls_projectors2": "beside.vectors.cls.embed", "wg_norm": "beside.vectors.cls.norm",
    "final_layer.linear_cls": "beside.vectors.cls.output", "fusion_proj": "plan.returns.middle.linear",
}  # fmt: skip


def shift_for(shape: tuple[int, ...]) -> float:
    """The published time shift of states of `shape`: sqrt(numbers / 4096); sqrt 2 for 32 x 16 x 16."""
    return math.sqrt(math.prod(shape) / BASE)


def process_for(shape: tuple[int, ...]) -> Joint:
    """Straight paths, one shifted time for both entries, the class vector's loss weighted by 0.03."""
    return Joint(entries={"x": Gaussian(shift=shift_for(shape)), "cls": Gaussian()}, weights={"cls": 0.03})


def sampler_for(shape: tuple[int, ...]) -> Sampler:
    """250 steps of the reverse stochastic equation on the shifted grid, path-drop guidance 2.5 up to t = 0.85."""
    scale = Interval(inside=Constant(value=2.5), low=0.0, high=0.85)
    grid = Shifted(shift=shift_for(shape), base=Last(last=0.04))
    return Sampler(steps=250, update=SDEEuler(churn=1.0), grid=grid, guidance=path_drop(scale))


def speedrun_block(values: Values) -> Block:
    """RMS norms throughout, rotary positions beside the added ones, values kept or mixed."""
    attention = Attention(qk_norm=HEADS, positions=Rotary(layout="interleaved"), values=values)
    return Block(
        branches=(Branch(name="attn", mixer=attention, norm=BARE), Branch(name="ffn", mixer=Gelu(), norm=BARE))
    )


def speedrun_blocks(depth: int) -> tuple[Block, ...]:
    """The first keeps its values, the others mix them into theirs."""
    return (speedrun_block(Kept()), *repeat(speedrun_block(Residual()), depth - 1))


def sparse_middle(drop: float = 0.75, rate: float = 0.05) -> Fused:
    """Two blocks, a middle that a quarter of all tokens pass, two blocks; at times a whole batch skips the middle."""
    chosen = SkipTogether(inner=Uniform(drop=drop, floor="kept"), rate=rate)
    return Fused(low=2, high=-2, token="learned", std=0.0, order="dense first", choose=chosen)


def speedrun_transformer(
    width: int, heads: int, depth: int, *, patch: int = 1, channels: int = 32, side: int = 16, classes: int = 1000,
    numbers: int = 768,
) -> Transformer:  # fmt: skip
    """numbers: of the class vector."""
    return Transformer(
        width=width, heads=heads, input=Patches(channels=channels, size=(side, side), patch=patch),
        output=PatchesOut(channels=channels), doors=(Door(name="label", embedder=ClassIds(classes=classes)),),
        blocks=speedrun_blocks(depth), plan=sparse_middle(), final_norm=BARE, beside=(Vector(numbers=numbers),),
    )  # fmt: skip


@official("sr-dit")
def load_sr_dit(
    weights: Taken, /, *, num_heads: int | None = None, input_size: int | None = None
) -> tuple[Transformer, dict[str, Tensor]]:
    """num_heads: that of the published size if None. input_size: the state's side, checked against the positions. The
    projectors, and tables of rotations, are left out."""
    patches, table = weights("x_embedder.proj.weight"), weights("pos_embed")
    width, channels, patch, _ = patches.shape
    side = math.isqrt(table.shape[1] - 1) * patch
    check(
        input_size is None or input_size == side, "input_size", input_size, f"{side}, by the positions in the weights"
    )
    check(not bool(table[0, 0].any()), "first row of pos_embed", "numbers", "zeros: the class token has no place")
    depth, labels = weights.depth("blocks."), weights("y_embedder.embedding_table.weight")
    heads = published_heads(DIT, depth, width) if num_heads is None else num_heads
    config = speedrun_transformer(
        width, heads, depth, patch=patch, channels=channels, side=side, classes=len(labels) - 1,
        numbers=weights("cls_projectors2.weight").shape[1],
    )  # fmt: skip
    ours = renamed(weights, ENDS | BESIDE)
    for i in range(depth):
        ours |= renamed(weights, BLOCK | INSIDE, f"blocks.{i}.", f"blocks.{i}.")
        if i:
            ours[f"blocks.{i}.branches.attn.mixer.values.share"] = weights(f"blocks.{i}.attn.v1_lambda")
    ours["input.linear.weight"], ours["input.linear.bias"] = patches.flatten(1), weights("x_embedder.proj.bias")
    ours["positions.table"] = table[0, 1:]
    ours["doors.embedders.label.table.weight"] = labels
    ours["plan.returns.middle.mask.token"] = weights("mask_token").flatten()
    weights.ignore(*(name for name in weights.weights if name.startswith(("projectors.", "feat_rope."))))
    return config, ours


@wires("sr-dit")
def sr_dit_pipeline(model: nn.Module, /, *, vae: str | None = None) -> Pipeline:
    """As trained and as sampled. The class vector is sampled and left; data cannot be encoded without DINOv2. vae: folder
    or hub name of the autoencoder in diffusers' form."""
    config: Transformer = model.config  # type: ignore[assignment]
    shape = (config.input.channels, *config.input.size)  # type: ignore[attr-defined]
    plain = wired(model, process_for(shape), sampler_for(shape), vae)
    codec = Beside(main=plain.codec, entries={"cls": Sampled(numbers=config.beside[0].numbers)})
    return Pipeline(model, plain.process, codec, plain.sampler, plain.info)


def ours(ids: Int[Tensor, "b m"], tokens: int) -> Int[Tensor, "b m"]:
    """Official numbers of tokens, the class token being 0, as ours, where it is the last of `tokens`."""
    return (ids - 1) % tokens


@torch.no_grad()
def speedrun_difference() -> float:
    """The largest absolute difference to official code on the stored arrays: both predictions of a sparse, a dense and a
    path-dropped pass, and the projected tokens of the second block."""
    arrays = stored("sr-dit")
    weights = {k.removeprefix("w/"): v for k, v in arrays.items() if k.startswith("w/")}
    model, taps = load_official("sr-dit", weights, num_heads=2), {}
    state, cond = {"x": arrays["in/x"], "cls": arrays["in/cls"]}, Condition.of(label=arrays["in/y"])
    keep = {"middle": ours(arrays["in/ids"], arrays["zs"].shape[1])}
    nobody = {"middle": torch.empty(len(arrays["in/y"]), 0, dtype=torch.int64)}
    gaps = []
    with use_step(Step(seed=0, sample=torch.arange(len(arrays["in/y"])))):
        for name, who, given in (("sparse", keep, cond), ("dense", None, cond), ("shallow", nobody, cond.without())):
            with install(model, {"block[1]": tap("block[1]", taps)}):
                pred = model(state, arrays["in/t"], given, who).pred
            gaps += [(pred["x"] - arrays[f"{name}/x"]).abs().max(), (pred["cls"] - arrays[f"{name}/cls"]).abs().max()]
            if name == "sparse":
                (projector,) = projectors("repa", weights)
                gaps.append((projector(taps["block[1]"].h).roll(1, 1) - arrays["zs"]).abs().max())
    return float(max(gaps))
