"""A vector-quantised autoencoder: images as a grid of ids of learned vectors, and back.

Source: VQ-VAE (arXiv 1711.00937; the codebook as a running mean of what it stands for is its appendix A.1), with the
convolutional residual encoder and decoder of VQGAN (arXiv 2012.09841) without attention, as Muse's (arXiv 2301.00704).
The gradient passes the quantiser unchanged (straight through); the commitment term keeps the encoder near its codes. Left
open: how codes that nothing chooses return; here they restart at what the encoder just gave.
Shapes: b batch, c channels, h w pixels, y x cells, d width of a code, k codes, n cells of a batch.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Protocol

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn
from torch.nn import functional

from frisket.codecs.base import Spec
from frisket.core.errors import FrisketError, check
from frisket.core.random import generator
from frisket.core.registry import register
from frisket.data.base import Info, Source, Stream

CITE = "van den Oord, Vinyals, Kavukcuoglu. Neural Discrete Representation Learning. 2017. arXiv:1711.00937"


@register("codec/vq", cite=CITE)
@dataclass(frozen=True, kw_only=True)
class VQ:
    """codes: size of the codebook. dim: width of a code. width, multipliers: channels at each resolution, the first at
    the image's own; every further one halves the sides. blocks: residual blocks a resolution. groups: of the norms."""

    channels: int = 3
    codes: int = 64
    dim: int = 16
    width: int = 32
    multipliers: tuple[int, ...] = (1, 2)
    blocks: int = 1
    groups: int = 8

    def __post_init__(self):
        check(self.codes >= 2, "codec.codes", self.codes, "at least 2")
        check(bool(self.multipliers), "codec.multipliers", self.multipliers, "one or more")
        fits = all(self.width * m % self.groups == 0 for m in self.multipliers)
        check(
            fits, "codec.groups", self.groups, f"a divisor of the channels {[self.width * m for m in self.multipliers]}"
        )

    @property
    def factor(self) -> int:
        """Pixels along the side of a cell."""
        return 2 ** (len(self.multipliers) - 1)

    def fit(self, source: Source | Stream) -> VQ:
        """A copy for the channels of the source's images."""
        return replace(self, channels=source.info.shape[0])

    def build(self) -> VQCodec:
        """The module, with fresh weights of seed 0; `fresh`, training or a checkpoint give it others."""
        with torch.device("meta"):  # so that torch's layers draw nothing from the global generator
            codec = VQCodec(self)
        return codec.to_empty(device="cpu").fresh(0)


@dataclass(frozen=True, kw_only=True)
class Quantised:
    """ids (b, y, x); z (b, d, y, x) the codes with the encoder's gradient; raw: what the encoder gave; commitment (b,):
    mean squared distance of raw to its codes."""

    ids: Int[Tensor, "b y x"]
    z: Float[Tensor, "b d y x"]
    raw: Float[Tensor, "b d y x"]
    commitment: Float[Tensor, "b"]


class VQCodec(nn.Module):
    """A built `VQ`. codebook (k, d) is a buffer: it follows the encoder (`follow`), no gradient moves it."""

    codebook: Tensor
    counts: Tensor

    def __init__(self, config: VQ):
        super().__init__()
        self.config = config
        sizes = [config.width * m for m in config.multipliers]
        self.encoder = nn.Sequential(*down(config, sizes), conv(sizes[-1], config.dim, 1))
        self.decoder = nn.Sequential(conv(config.dim, sizes[-1], 3), *up(config, sizes))
        self.register_buffer("codebook", torch.empty(config.codes, config.dim))
        self.register_buffer("counts", torch.empty(config.codes))

    @torch.no_grad()
    def fresh(self, seed: int) -> VQCodec:
        """New weights, in place: Xavier's, zero biases, norms that do nothing, and codes on the unit sphere, each as if
        it had been chosen once. Keyed by (seed, name)."""
        refill(self, f"{seed}/vq")
        drawn = torch.empty(self.codebook.shape).normal_(generator=generator(f"{seed}/vq/codebook"))
        self.codebook.copy_(functional.normalize(drawn, dim=1))
        self.counts.fill_(1.0)
        return self

    def encode(self, x: Float[Tensor, "b c h w"], draw: Tensor | None = None) -> Int[Tensor, "b y x"]:
        """x in [0, 1] to the ids of the nearest codes. Raises `FrisketError` on a shape it was not made for."""
        return self.nearest(self.features(x))

    def decode(self, state: Int[Tensor, "b y x"]) -> Float[Tensor, "b c h w"]:
        """Images in [0, 1]; differentiable in the decoder's weights, and through `decode_codes` in the codes."""
        k = len(self.codebook)
        if state.numel() and not 0 <= int(state.min()) <= int(state.max()) < k:
            raise FrisketError(f"ids {int(state.min())}..{int(state.max())} are not all in 0..{k - 1}")
        return self.decode_codes(self.codebook[state].movedim(-1, 1)).clamp(0, 1)

    def features(self, x: Float[Tensor, "b c h w"]) -> Float[Tensor, "b d y x"]:
        """What the encoder gives, before it is quantised."""
        self._check(tuple(x.shape[1:]))
        return self.encoder(2 * x - 1)

    def nearest(self, z: Float[Tensor, "b d y x"]) -> Int[Tensor, "b y x"]:
        """The nearest code of every cell; the first of equals."""
        flat = z.detach().movedim(1, -1)
        distance = self.codebook.square().sum(1) - 2 * flat @ self.codebook.T  # |z|^2 is the same for all codes
        return distance.argmin(-1)

    def quantise(self, z: Float[Tensor, "b d y x"]) -> Quantised:
        """The nearest codes, as if the way to them were the identity."""
        ids = self.nearest(z)
        codes = self.codebook[ids].movedim(-1, 1)
        commitment = (z - codes).square().flatten(1).mean(1)
        return Quantised(ids=ids, z=z + (codes - z).detach(), raw=z, commitment=commitment)

    def decode_codes(self, z: Float[Tensor, "b d y x"]) -> Float[Tensor, "b c h w"]:
        """The decoder, on codes or anything near them; not clamped."""
        return self.decoder(z) / 2 + 0.5

    @torch.no_grad()
    def follow(self, chosen: Float[Tensor, "k"], sums: Float[Tensor, "k d"], decay: float) -> None:
        """Move each code to the running mean of what chose it. chosen: how often; sums: of the encoder's outputs."""
        total = decay * self.counts[:, None] * self.codebook + (1 - decay) * sums
        self.counts.mul_(decay).add_(chosen, alpha=1 - decay)
        self.codebook.copy_(
            torch.where(self.counts[:, None] > 1e-6, total / self.counts[:, None].clamp(min=1e-6), self.codebook)
        )

    @torch.no_grad()
    def restart(self, least: float, pool: Float[Tensor, "n d"], u: Float[Tensor, "k"]) -> None:
        """Codes whose running count fell below `least` begin anew at rows of `pool` that the uniform numbers u pick."""
        dead = self.counts < least
        rows = pool[(u * len(pool)).long().clamp(max=len(pool) - 1)]
        self.codebook.copy_(torch.where(dead[:, None], rows, self.codebook))
        self.counts.masked_fill_(dead, 1.0)

    def spec(self, info: Info) -> Spec:
        self._check(info.shape)
        _, h, w = info.shape
        factor = self.config.factor
        return Spec(kind="ids", shape=(h // factor, w // factor), vocabulary=self.config.codes)

    def _check(self, shape: tuple[int, ...]) -> None:
        c, f = self.config.channels, self.config.factor
        fits = len(shape) == 3 and shape[0] == c and shape[1] % f == 0 and shape[2] % f == 0
        check(fits, "image shape", shape, f"({c}, h, w) with sides divisible by {f}")


class Residual(nn.Module):
    """norm, SiLU, convolution, twice; a 1 x 1 convolution on the way around where the channels change."""

    def __init__(self, fan_in: int, fan_out: int, groups: int):
        super().__init__()
        self.inner = nn.Sequential(
            norm(fan_in, groups), nn.SiLU(), conv(fan_in, fan_out, 3),
            norm(fan_out, groups), nn.SiLU(), conv(fan_out, fan_out, 3),
        )  # fmt: skip
        self.around = conv(fan_in, fan_out, 1) if fan_in != fan_out else nn.Identity()

    def forward(self, x: Float[Tensor, "b c h w"]) -> Float[Tensor, "b c2 h w"]:
        return self.around(x) + self.inner(x)


class Convolutions(Protocol):
    """What the two stacks read of a codec's config."""

    @property
    def channels(self) -> int: ...
    @property
    def blocks(self) -> int: ...
    @property
    def groups(self) -> int: ...


@torch.no_grad()
def refill(module: nn.Module, key: str) -> None:
    """New weights, in place: Xavier's, zero biases, norms that do nothing; each keyed by (key, name)."""
    for name, value in module.named_parameters():
        if value.ndim > 1:
            value.copy_(nn.init.xavier_uniform_(torch.empty(value.shape), generator=generator(f"{key}/{name}")))
        else:
            value.fill_(0.0 if name.endswith("bias") else 1.0)


def conv(fan_in: int, fan_out: int, side: int, stride: int = 1) -> nn.Conv2d:
    """A convolution that keeps the sides, or halves them."""
    return nn.Conv2d(fan_in, fan_out, side, stride=stride, padding=side // 2)


def norm(channels: int, groups: int) -> nn.GroupNorm:
    return nn.GroupNorm(groups, channels)


def down(config: Convolutions, sizes: list[int]) -> list[nn.Module]:
    """From an image to features of the last size; every size but the first halves the sides."""
    out: list[nn.Module] = [conv(config.channels, sizes[0], 3)]
    for i, size in enumerate(sizes):
        before = sizes[max(i - 1, 0)]
        out += [conv(before, before, 3, stride=2)] if i else []
        out += [Residual(before if j == 0 else size, size, config.groups) for j in range(config.blocks)]
    return [*out, norm(sizes[-1], config.groups), nn.SiLU()]


def up(config: Convolutions, sizes: list[int]) -> list[nn.Module]:
    """The way back."""
    out: list[nn.Module] = []
    for i, size in reversed(list(enumerate(sizes))):
        above = sizes[min(i + 1, len(sizes) - 1)]
        if i < len(sizes) - 1:
            out += [nn.Upsample(scale_factor=2.0), conv(above, above, 3)]
        out += [Residual(above if j == 0 else size, size, config.groups) for j in range(config.blocks)]
    return [*out, norm(sizes[0], config.groups), nn.SiLU(), conv(sizes[0], config.channels, 3)]
