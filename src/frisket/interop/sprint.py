"""Official SPRINT weights (snap-research/Sprint src/models/sit.py, read for facts).

Encoder, middle and decoder blocks become one list; the mask token and the fusion belong to the span of the middle ones.
Official times are t itself, 0 data and 1 noise. The official head orders a patch's outputs (channel, place), ours (place,
channel), so its rows are permuted. Projectors of the optional alignment loss are left out.
"""

from __future__ import annotations

from torch import Tensor, nn

from frisket.core.errors import check
from frisket.interop.dit import BLOCK, ENDS, wired
from frisket.interop.official import Taken, official, published_heads, renamed, wires
from frisket.models.backbones.sizes import DIT
from frisket.models.backbones.transformer import Transformer
from frisket.models.block import Block, Branch, repeat
from frisket.models.doors import Door
from frisket.models.layers.attention import Attention
from frisket.models.layers.embedders import ClassIds, Timestep
from frisket.models.layers.ends import Patches, PatchesOut
from frisket.models.layers.ffn import Gelu
from frisket.models.layers.norms import RMSNorm
from frisket.models.layers.positions import Rotary
from frisket.models.plans.fusion import Fused
from frisket.processes.densities import LogitNormal
from frisket.processes.gaussian import Gaussian
from frisket.sampling.guidance import path_drop
from frisket.sampling.pipeline import Pipeline
from frisket.sampling.sampler import Sampler
from frisket.sampling.solvers.sde_euler import SDEEuler

NORMS = {"attn.q_norm": "branches.attn.mixer.inner.q_norm", "attn.k_norm": "branches.attn.mixer.inner.k_norm"}
PARTS = ("encoder_blocks.", "middle_blocks.", "decoder_blocks.")
PROCESS = Gaussian(density=LogitNormal())


def sprint_block() -> Block:
    """DiT's block with normalised queries and keys."""
    attention = Attention(qk_norm=RMSNorm())
    return Block(branches=(Branch(name="attn", mixer=attention), Branch(name="ffn", mixer=Gelu())))


def sprint_transformer(
    width: int, heads: int, depths: tuple[int, int, int], *, patch: int = 2, channels: int = 4, side: int = 32,
    classes: int = 1000,
) -> Transformer:  # fmt: skip
    """depths: of the blocks before, inside and behind the span. Rotary positions alone."""
    return Transformer(
        width=width, heads=heads, input=Patches(channels=channels, size=(side, side), patch=patch),
        output=PatchesOut(channels=channels), positions=Rotary(layout="interleaved"),
        doors=(Door(name="label", embedder=ClassIds(classes=classes)),), time=Timestep(),
        blocks=repeat(sprint_block(), sum(depths)), plan=Fused(low=depths[0], high=-depths[2]),
    )  # fmt: skip


@official("sprint")
def load_sprint(
    weights: Taken, /, *, num_heads: int | None = None, input_size: int = 32, patch: int = 2
) -> tuple[Transformer, dict[str, Tensor]]:
    """num_heads: that of the published width (28 blocks of 1,152) if None. input_size: the state's side. patch: its
    patches' (neither is told by the weights)."""
    before, inside, behind = (weights.depth(part) for part in PARTS)
    depths = (before, inside, behind)
    embed, width = weights("x_embedder.proj.weight"), weights("x_embedder.proj.weight").shape[0]
    channels, rest = divmod(embed.shape[1], patch**2)
    check(rest == 0, "patch", patch, f"one whose square divides {embed.shape[1]}")
    heads = published_heads(DIT, sum(depths), width) if num_heads is None else num_heads
    classes = weights("y_embedder.embedding_table.weight").shape[0] - 1
    config = sprint_transformer(
        width, heads, depths, patch=patch, channels=channels, side=input_size, classes=classes
    )  # fmt: skip
    ours = renamed(weights, ENDS)
    number = 0
    for part, depth in zip(PARTS, depths, strict=True):
        for i in range(depth):
            ours |= renamed(weights, BLOCK | NORMS, f"{part}{i}.", f"blocks.{number}.")
            number += 1
    for kind in ("weight", "bias"):
        ours[f"input.linear.{kind}"] = weights(f"x_embedder.proj.{kind}")
        rows = weights(f"final_layer.linear.{kind}").unflatten(0, (channels, patch**2))
        ours[f"output.linear.{kind}"] = rows.transpose(0, 1).flatten(0, 1).contiguous()
    ours["doors.embedders.label.table.weight"] = weights("y_embedder.embedding_table.weight")
    ours |= renamed(weights, {"renoise_linear": "plan.returns.middle.linear"})
    ours["plan.returns.middle.mask.token"] = weights("mask_token").flatten()
    weights.ignore(*(name for name in weights.weights if name.startswith("projectors.")))
    return config, ours


@wires("sprint")
def sprint_pipeline(model: nn.Module, /, *, vae: str | None = None) -> Pipeline:
    """As trained: straight paths, times denser in the middle; as sampled: 250 steps of the reverse stochastic equation
    with path-drop guidance 3 (the official last step starts at t = 0.04; here all steps are equal)."""
    return wired(model, PROCESS, Sampler(steps=250, update=SDEEuler(churn=1.0), guidance=path_drop(3.0)), vae)
