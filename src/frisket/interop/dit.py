"""Official DiT and SiT weights (facebookresearch/DiT and willisma/SiT models.py, read for facts).

The two share every name and shape. SiT keeps DiT's variance half of the head and its forward leaves it out. Official
times: DiT's step number 0..999; SiT's t in [0, 1] with 0 noise and 1 data, fed as it is.
"""

from __future__ import annotations

import math

from torch import Tensor, nn

from frisket.codecs.base import CodecConfig
from frisket.codecs.pixels import Pixels
from frisket.codecs.vae import VAE, VAECodec
from frisket.core.errors import check
from frisket.data.base import Info
from frisket.interop.official import Taken, official, published_heads, renamed, wires
from frisket.models.backbones.sizes import DIT
from frisket.models.backbones.transformer import Transformer
from frisket.models.block import Block, repeat
from frisket.models.doors import Door
from frisket.models.layers.embedders import ClassIds, Timestep
from frisket.models.layers.ends import Patches, PatchesOut
from frisket.processes.base import Process
from frisket.processes.densities import Steps
from frisket.processes.gaussian import Gaussian
from frisket.processes.model_times import Reversed, Thousand
from frisket.processes.paths import VPLinear
from frisket.processes.predictions import Eps, VelocityToData
from frisket.processes.variances import FixedLarge, LearnedRange
from frisket.sampling.grids import Respaced
from frisket.sampling.guidance import cfg
from frisket.sampling.pipeline import Pipeline
from frisket.sampling.sampler import Sampler
from frisket.sampling.solvers.ancestral import Ancestral
from frisket.sampling.solvers.heun import Heun

BLOCK = {
    "attn.qkv": "branches.attn.mixer.qkv", "attn.proj": "branches.attn.mixer.inner.out",
    "mlp.fc1": "branches.ffn.mixer.up", "mlp.fc2": "branches.ffn.mixer.down",
    "adaLN_modulation.1": "modulation.linear",
}  # fmt: skip
ENDS = {
    "t_embedder.mlp.0": "time.mlp.up", "t_embedder.mlp.2": "time.mlp.out",
    "final_layer.linear": "output.linear", "final_layer.adaLN_modulation.1": "final_modulation.linear",
}  # fmt: skip


@official("dit")
def load_dit(
    weights: Taken, /, *, num_heads: int | None = None, input_size: int | None = None, learn_sigma: bool | None = None
) -> tuple[Transformer, dict[str, Tensor]]:
    """num_heads: of attention; that of the published size of this depth and width if None. input_size: the state's side;
    found from the positions if None. learn_sigma: checked against the head's rows if given."""
    return _load(weights, num_heads, input_size, learn_sigma, drop_variance=False)


@official("sit")
def load_sit(
    weights: Taken, /, *, num_heads: int | None = None, input_size: int | None = None, learn_sigma: bool | None = None
) -> tuple[Transformer, dict[str, Tensor]]:
    """As `dit`; the head's second half stays in the weights and out of the prediction."""
    return _load(weights, num_heads, input_size, learn_sigma, drop_variance=True)


def _load(
    weights: Taken, heads: int | None, size: int | None, learn_sigma: bool | None, drop_variance: bool
) -> tuple[Transformer, dict[str, Tensor]]:
    patches, table = weights("x_embedder.proj.weight"), weights("pos_embed")
    width, channels, patch, _ = patches.shape
    side = math.isqrt(table.shape[1]) * patch
    check(size is None or size == side, "input_size", size, f"{side}, by the positions in the weights")
    depth, classes = weights.depth("blocks."), weights("y_embedder.embedding_table.weight").shape[0] - 1
    out = weights("final_layer.linear.weight").shape[0] // patch**2
    check(out in (channels, 2 * channels), "channels of the head", out, f"{channels} or {2 * channels}")
    twice = out == 2 * channels
    check(learn_sigma is None or learn_sigma == twice, "learn_sigma", learn_sigma, f"{twice}, by the head's rows")
    unused = channels if twice and drop_variance else 0
    config = Transformer(
        width=width,
        heads=published_heads(DIT, depth, width) if heads is None else heads,
        input=Patches(channels=channels, size=(side, side), patch=patch),
        output=PatchesOut(channels=out - unused, unused=unused),
        time=Timestep(frequencies=weights("t_embedder.mlp.0.weight").shape[1]),
        doors=(Door(name="label", embedder=ClassIds(classes=classes)),),
        blocks=repeat(Block(), depth),
    )
    ours = renamed(weights, ENDS)
    for i in range(depth):
        ours |= renamed(weights, BLOCK, f"blocks.{i}.", f"blocks.{i}.")
    ours["input.linear.weight"] = patches.flatten(1)
    ours["input.linear.bias"] = weights("x_embedder.proj.bias")
    ours["positions.table"] = table[0]
    ours["doors.embedders.label.table.weight"] = weights("y_embedder.embedding_table.weight")
    return config, ours


@wires("dit")
def dit_pipeline(model: nn.Module, /, *, vae: str | None = None) -> Pipeline:
    """As trained: 1,000 steps of linear betas, the noise predicted; as sampled: 250 ancestral steps, guidance 1.5 on the
    first three channels. vae: folder or hub name of the autoencoder whose latents these are."""
    config: Transformer = model.config  # type: ignore[assignment]
    ends: tuple = (config.input, config.output)
    variance = LearnedRange() if ends[1].channels == 2 * ends[0].channels else FixedLarge()
    process = Gaussian(path=VPLinear(), prediction=Eps(), density=Steps(steps=1000), variance=variance, time=Thousand())
    sampler = Sampler(steps=250, update=Ancestral(), grid=Respaced(), guidance=cfg(1.5, channels=3))
    return wired(model, process, sampler, vae)


@wires("sit")
def sit_pipeline(model: nn.Module, /, *, vae: str | None = None) -> Pipeline:
    """As trained: straight paths and their velocity, in a time that runs from noise to data. The official samplers are
    an adaptive solver and Euler-Maruyama; here 50 steps of Heun, with the guidance of `dit`."""
    process = Gaussian(prediction=VelocityToData(), time=Reversed())
    return wired(model, process, Sampler(steps=50, update=Heun(), guidance=cfg(1.5, channels=3)), vae)


def wired(model: nn.Module, process: Process, sampler: Sampler, vae: str | None) -> Pipeline:
    """The pipeline. Without an autoencoder a state of three channels is taken for pixels in [-1, 1], and any other is
    passed on as it is: then samples are latents."""
    config: Transformer = model.config  # type: ignore[assignment]
    state: tuple[int, ...] = (config.input.channels, *config.input.size)  # type: ignore[attr-defined]
    shape, codec = state, _as_it_is(state[0])
    if vae is not None:
        codec = VAE(target=vae)
        coder: VAECodec = codec.build()
        check(coder.latent_channels == state[0], "vae", vae, f"an autoencoder of {state[0]} latent channels")
        shape = (coder.channels, *(side * coder.factor for side in state[1:]))
    classes: int = config.doors[0].embedder.classes  # type: ignore[attr-defined]
    info = Info(kind="image", shape=shape, classes=tuple(map(str, range(classes))))
    return Pipeline(model, process, codec, sampler, info)


def _as_it_is(channels: int) -> CodecConfig:
    return Pixels() if channels == 3 else Pixels(mean=(0.0,), std=(1.0,), clamp=False)
