"""The continuous autoencoder of latent diffusion, loaded from a diffusers `AutoencoderKL`.

state = (z - shift) * scale with z from the encoder's normal posterior, and scale and shift (0 where there is none)
from the autoencoder's own config; a decoder is given state / scale + shift. Latent diffusion: Rombach et al.,
arXiv 2112.10752; the shift as in Stable Diffusion 3's autoencoder, read in the diffusers pipelines.
Shapes: b images, c latent channels, f the factor by which sides shrink.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn

from frisket.codecs.base import Spec
from frisket.core.errors import FrisketError, MissingExtra, check
from frisket.core.registry import register
from frisket.data.base import Info, Source, Stream


@register("codec/vae")
@dataclass(frozen=True, kw_only=True)
class VAE:
    """A pretrained autoencoder, from a folder or a name on the hub; weights in safetensors only.

    subfolder: where it lies in a pipeline's repository, often "vae". Needs the extra `diffusers`.
    """

    target: str
    subfolder: str = ""
    revision: str | None = None

    def fit(self, source: Source | Stream) -> VAE:
        return self

    def build(self) -> VAECodec:
        """Load it in float32. Raises `FrisketError` if there is no such autoencoder or no safetensors file."""
        try:
            from diffusers import AutoencoderKL
        except ImportError as error:
            raise MissingExtra("diffusers", "diffusers", f"the autoencoder {self.target!r}") from error
        except RuntimeError as error:
            raise FrisketError(f"diffusers cannot be imported: {' '.join(str(error).split())}") from error
        try:
            model = AutoencoderKL.from_pretrained(
                self.target, subfolder=self.subfolder or None, revision=self.revision, use_safetensors=True,
                low_cpu_mem_usage=False, torch_dtype=torch.float32,
            )  # fmt: skip
        except (OSError, ValueError, RuntimeError) as error:
            reason = " ".join(str(error).split())
            raise FrisketError(f"codec.target = {self.target!r}: no autoencoder can be loaded: {reason}") from error
        return VAECodec(model)


class VAECodec(nn.Module):
    """A loaded autoencoder in evaluation mode with frozen weights; gradients still pass through to its input."""

    def __init__(self, model: Any):
        super().__init__()
        self.model = model.eval().requires_grad_(False)
        config = model.config
        self.channels, self.latent_channels = int(config.in_channels), int(config.latent_channels)
        self.factor = 2 ** (len(config.block_out_channels) - 1)
        self.scale, self.shift = float(config.scaling_factor), float(getattr(config, "shift_factor", None) or 0.0)

    def encode(self, x: Float[Tensor, "b c h w"], draw: Tensor | None = None) -> Float[Tensor, "b k y x"]:
        """x in [0, 1]. The posterior's mode, or mean + std * draw for a state-shaped standard normal `draw`."""
        self._check(tuple(x.shape[1:]))
        posterior = self.model.encode(x * 2 - 1).latent_dist
        z = posterior.mode() if draw is None else posterior.mean + posterior.std * draw.to(posterior.mean)
        return (z - self.shift) * self.scale

    def decode(self, state: Float[Tensor, "b k y x"]) -> Float[Tensor, "b c h w"]:
        """Images in [0, 1]; what the decoder puts outside is clamped."""
        return (self.model.decode(state / self.scale + self.shift).sample / 2 + 0.5).clamp(0, 1)

    def spec(self, info: Info) -> Spec:
        self._check(info.shape)
        _, height, width = info.shape
        shape = (self.latent_channels, height // self.factor, width // self.factor)
        return Spec(kind="continuous", shape=shape)

    def _check(self, shape: tuple[int, ...]) -> None:
        f = self.factor
        fits = len(shape) == 3 and shape[0] == self.channels and shape[1] % f == 0 and shape[2] % f == 0
        check(fits, "image shape", shape, f"({self.channels}, h, w) with sides divisible by {f}")
