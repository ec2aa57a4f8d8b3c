"""Official Mask^2DiT weights (Tianhao-Qi/Mask2DiT videox_fun/models/cogvideox_transformer3d.py, read for facts).

They are CogVideoX's under its own names: the masks have no weights. Official states are (b, frames, channels, h, w),
ours (b, channels, frames, h, w), with the frames of all scenes one behind the other; official times are 0 to 999. Texts
stand behind the scenes here, before them there, which attention does not see. Shift, scale and gate of a block's two
branches come from one layer here; the head orders a patch's outputs (channel, place), ours (place, channel). There
`clip_idx` names the one scene that is noised and every other is told time 0; here times are given an element, and a
prompt is told its scene's.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from frisket.codecs.pixels import Pixels
from frisket.core.errors import check
from frisket.data.base import Info
from frisket.interop.official import Taken, official, renamed, wires
from frisket.models.backbones.transformer import Transformer
from frisket.models.block import Block, Branch, repeat
from frisket.models.doors import Door
from frisket.models.layers.attention import Attention
from frisket.models.layers.base import Mixer
from frisket.models.layers.embedders import Features, Timestep
from frisket.models.layers.ends import Patches, PatchesOut
from frisket.models.layers.ffn import Gelu
from frisket.models.layers.norms import Chain, LayerNorm
from frisket.models.layers.rotary_shares import RotaryShares
from frisket.models.layers.segment_attention import SegmentAttention
from frisket.models.layers.stream_modulation import ByStream
from frisket.models.segments import Prompts, Segmented
from frisket.processes.clocks import CleanKnown
from frisket.processes.densities import Steps
from frisket.processes.gaussian import Gaussian
from frisket.processes.model_times import Thousand
from frisket.processes.predictions import V
from frisket.processes.zero_terminal import VPZeroTerminal
from frisket.sampling.corrections import ImposeKnown
from frisket.sampling.guidance import cfg
from frisket.sampling.pipeline import Pipeline
from frisket.sampling.sampler import Sampler
from frisket.sampling.solvers.ddim import DDIM

VERSIONS = (2, 5)  # of the attention mask, as released: scenes and their prompts; none
NORM = LayerNorm(eps=1e-5, affine="both")
PROCESS = Gaussian(
    path=VPZeroTerminal(), prediction=V(), density=Steps(steps=1000), time=Thousand(), clock=CleanKnown()
)
ENDS = {
    "patch_embed.text_proj": "doors.embedders.text.inner.linear",
    "time_embedding.linear_1": "time.mlp.up", "time_embedding.linear_2": "time.mlp.out",
    "norm_final": "final_norm.0", "norm_out.norm": "final_norm.1", "norm_out.linear": "final_modulation.linear",
}  # fmt: skip
BLOCK = {
    "norm1.norm": "branches.attn.norm", "norm2.norm": "branches.ffn.norm",
    "ff.net.0.proj": "branches.ffn.mixer.up", "ff.net.2": "branches.ffn.mixer.down",
}  # fmt: skip


def mask2dit_block(scenes: int, version: int = 2) -> Block:
    """CogVideoX's block; texts and scenes share all weights but the modulation's."""
    check(version in VERSIONS, "version", version, f"one of {VERSIONS}: no other is released")
    plain = Attention(qk_norm=LayerNorm(eps=1e-6, affine="both"))
    mixer: Mixer = plain if version == 5 else SegmentAttention(attention=plain, count=scenes)
    return Block(
        branches=(Branch(name="attn", mixer=mixer, norm=NORM), Branch(name="ffn", mixer=Gelu(), norm=NORM)),
        modulation=ByStream(),
    )


def mask2dit_transformer(
    width: int = 3072, heads: int = 48, depth: int = 42, *, scenes: int = 3, size: tuple[int, int, int] = (39, 60, 90),
    channels: int = 16, condition: int = 512, features: int = 4096, patch: int = 2, version: int = 2,
) -> Transformer:  # fmt: skip
    """By default CogVideoX-5B for three scenes of 49 frames of 480 x 720. size: latent frames of all scenes, height and
    width. condition: width of the time embedding. features: of the text. version: of the attention mask."""
    patches = Patches(channels=channels, size=size, patch=(1, patch, patch))
    told = Prompts(of=Features(features=features), count=scenes)
    return Transformer(
        width=width, heads=heads, condition=condition, input=Segmented(of=patches, count=scenes),
        output=PatchesOut(channels=channels), positions=RotaryShares(), time=Timestep(frequencies=width),
        doors=(Door(name="text", way="tokens", embedder=told),),
        blocks=repeat(mask2dit_block(scenes, version), depth), final_norm=Chain(norms=(NORM, NORM)),
    )  # fmt: skip


@official("mask2dit")
def load_mask2dit(
    weights: Taken, /, *, num_heads: int = 48, scenes: int = 3, size: tuple[int, int, int] = (39, 60, 90),
    version: int = 2,
) -> tuple[Transformer, dict[str, Tensor]]:  # fmt: skip
    """size: latent frames of all scenes, height and width. version: of the attention mask. None of these is told by the
    weights. The null of the text, which the official code has no weight for, is zero: pass the empty text's features."""
    embed, text = weights("patch_embed.proj.weight"), weights("patch_embed.text_proj.weight")
    width, channels, patch, _ = embed.shape
    depth, condition = weights.depth("transformer_blocks."), weights("time_embedding.linear_2.weight").shape[0]
    config = mask2dit_transformer(
        width, num_heads, depth, scenes=scenes, size=size, channels=channels, condition=condition,
        features=text.shape[1], patch=patch, version=version,
    )  # fmt: skip
    ours = renamed(weights, ENDS)
    ours |= {"input.linear.weight": embed.flatten(1), "input.linear.bias": weights("patch_embed.proj.bias")}
    ours["doors.embedders.text.inner.null"] = embed.new_zeros(width)
    for kind in ("weight", "bias"):
        rows = weights(f"proj_out.{kind}").unflatten(0, (channels, patch**2))
        ours[f"output.linear.{kind}"] = rows.transpose(0, 1).flatten(0, 1).contiguous()
    for i in range(depth):
        ours |= _block(weights, f"transformer_blocks.{i}.", f"blocks.{i}.", version)
    return config, ours


def _block(weights: Taken, theirs: str, place: str, version: int) -> dict[str, Tensor]:
    attention = f"{place}branches.attn.mixer." + ("" if version == 5 else "attention.")
    ours = renamed(weights, BLOCK, theirs, place)
    pairs = {"attn1.to_out.0": "inner.out", "attn1.norm_q": "inner.q_norm", "attn1.norm_k": "inner.k_norm"}
    ours |= renamed(weights, pairs, theirs, attention)
    for kind in ("weight", "bias"):
        ours[f"{attention}qkv.{kind}"] = torch.cat([weights(f"{theirs}attn1.to_{x}.{kind}") for x in "qkv"])
        both = [weights(f"{theirs}{norm}.linear.{kind}").chunk(2) for norm in ("norm1", "norm2")]
        ours[f"{place}modulation.linear.{kind}"] = torch.cat([half[i] for i in range(2) for half in both])
    return ours


@wires("mask2dit")
def mask2dit_pipeline(model: nn.Module, /) -> Pipeline:
    """As trained: 1,000 steps of CogVideoX's betas that end in noise alone, v predicted, given scenes clean and told
    so; as sampled: 50 DDIM steps with guidance 6. Samples are latents, scaled as the network has them."""
    config: Transformer = model.config  # type: ignore[assignment]
    patches: Patches = config.input.of  # type: ignore[attr-defined]
    info = Info(kind="video", shape=(patches.channels, *patches.size))
    return Pipeline(model, PROCESS, Pixels(mean=(0.0,), std=(1.0,), clamp=False), mask2dit_sampler(), info)


def mask2dit_sampler(steps: int = 50) -> Sampler:
    """The released one. It puts given scenes in at the noise level of the last of 1,000 steps, here they are clean."""
    return Sampler(
        steps=steps, update=DDIM(), guidance=cfg(6.0, absent=("text",)), corrections=(ImposeKnown(how="clean"),)
    )
