"""Images as a grid of bits, and back: an autoencoder whose code is the sign of each feature (lookup-free quantisation).

MaskBit (arXiv 2409.16211; the quantiser as MAGVIT-v2's, 2310.05737; facts from markweberdev/maskbit
modeling/quantizer/lookup_free.py). The gradient passes the sign unchanged. Bits of a cell are cut into groups, each an
id, bit 0 the lowest. Encoder and decoder are those of `codec/vq`, not the official ones.
Shapes: b batch, c channels, h w pixels, y x cells, k bits of a cell, m groups, n cells of a batch.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from frisket.codecs.base import Spec
from frisket.codecs.vq import conv, down, refill, up
from frisket.core.errors import FrisketError, check
from frisket.core.registry import register
from frisket.data.base import Info, Source, Stream

CITE = "Weber et al. MaskBit: Embedding-free Image Generation via Bit Tokens. 2024. arXiv:2409.16211"
LEAST = 1e-5  # probabilities are raised to this in a logarithm, as in the official code


@register("codec/lfq", cite=CITE)
@dataclass(frozen=True, kw_only=True)
class LFQ:
    """bits: of a cell. splits: groups that they are cut into, each an id. width, multipliers, blocks, groups: of the
    convolutions, as in `codec/vq` (groups are the norms')."""

    channels: int = 3
    bits: int = 8
    splits: int = 2
    width: int = 32
    multipliers: tuple[int, ...] = (1, 2)
    blocks: int = 1
    groups: int = 8

    def __post_init__(self):
        check(self.bits >= 1, "codec.bits", self.bits, "at least 1")
        check(
            self.splits >= 1 and self.bits % self.splits == 0, "codec.splits", self.splits, f"a divisor of {self.bits}"
        )
        check(bool(self.multipliers), "codec.multipliers", self.multipliers, "one or more")
        fits = all(self.width * m % self.groups == 0 for m in self.multipliers)
        check(fits, "codec.groups", self.groups, "a divisor of the channels at every resolution")

    @property
    def factor(self) -> int:
        """Pixels along the side of a cell."""
        return 2 ** (len(self.multipliers) - 1)

    def fit(self, source: Source | Stream) -> LFQ:
        """A copy for the channels of the source's images."""
        return replace(self, channels=source.info.shape[0])

    def build(self) -> LFQCodec:
        """The module, with fresh weights of seed 0; `fresh`, training or a checkpoint give it others."""
        with torch.device("meta"):  # so that torch's layers draw nothing from the global generator
            codec = LFQCodec(self)
        return codec.to_empty(device="cpu").fresh(0)


class LFQCodec(nn.Module):
    """A built `LFQ`."""

    def __init__(self, config: LFQ):
        super().__init__()
        self.config = config
        sizes = [config.width * m for m in config.multipliers]
        self.encoder = nn.Sequential(*down(config, sizes), conv(sizes[-1], config.bits, 1))
        self.decoder = nn.Sequential(conv(config.bits, sizes[-1], 3), *up(config, sizes))

    def fresh(self, seed: int) -> LFQCodec:
        """New weights, in place: Xavier's, zero biases, norms that do nothing; keyed by (seed, name)."""
        refill(self, f"{seed}/lfq")
        return self

    def encode(self, x: Float[Tensor, "b c h w"], draw: Tensor | None = None) -> Int[Tensor, "b y x m"]:
        """x in [0, 1] to the ids of each cell's groups. Raises `FrisketError` on a shape it was not made for."""
        return self.ids(self.features(x))

    def decode(self, state: Int[Tensor, "b y x m"]) -> Float[Tensor, "b c h w"]:
        """Images in [0, 1]; differentiable in the decoder's weights."""
        return self.decode_bits(self.signs(state)).clamp(0, 1)

    def features(self, x: Float[Tensor, "b c h w"]) -> Float[Tensor, "b k y x"]:
        """What the encoder gives, before it is quantised."""
        self._check(tuple(x.shape[1:]))
        return self.encoder(2 * x - 1)

    def ids(self, z: Float[Tensor, "b k y x"]) -> Int[Tensor, "b y x m"]:
        """The ids of the groups of bits, a bit being set where a feature is positive."""
        bits = (z > 0).movedim(1, -1).unflatten(-1, (self.config.splits, -1)).long()
        return (bits << torch.arange(bits.shape[-1], device=z.device)).sum(-1)

    def signs(self, ids: Int[Tensor, "b y x m"]) -> Float[Tensor, "b k y x"]:
        """-1 and +1 for all bits of the cells. Raises `FrisketError` on ids that no bits have."""
        width = self.config.bits // self.config.splits
        if ids.numel() and not 0 <= int(ids.min()) <= int(ids.max()) < 2**width:
            raise FrisketError(f"ids {int(ids.min())}..{int(ids.max())} are not all in 0..{2**width - 1}")
        bits = (ids.unsqueeze(-1) >> torch.arange(width, device=ids.device)) & 1
        return (bits.flatten(-2).float() * 2 - 1).movedim(-1, 1)

    def decode_bits(self, signs: Float[Tensor, "b k y x"]) -> Float[Tensor, "b c h w"]:
        """The decoder, on signs or anything near them; not clamped."""
        return self.decoder(signs) / 2 + 0.5

    def spec(self, info: Info) -> Spec:
        self._check(info.shape)
        _, h, w = info.shape
        f, splits = self.config.factor, self.config.splits
        return Spec(kind="ids", shape=(h // f, w // f, splits), vocabulary=2 ** (self.config.bits // splits))

    def _check(self, shape: tuple[int, ...]) -> None:
        c, f = self.config.channels, self.config.factor
        fits = len(shape) == 3 and shape[0] == c and shape[1] % f == 0 and shape[2] % f == 0
        check(fits, "image shape", shape, f"({c}, h, w) with sides divisible by {f}")


def quantise(z: Float[Tensor, "b k y x"]) -> Float[Tensor, "b k y x"]:
    """The signs of z, 0 counting as -1, as if the way to them were the identity."""
    signs = torch.where(z > 0, 1.0, -1.0).to(z.dtype)
    return z + (signs - z).detach()


def split_ids(whole: Int[Tensor, "*g"], bits: int, splits: int) -> Int[Tensor, "*g m"]:
    """Ids of whole cells to those of their groups, the lowest bits first."""
    width = bits // splits
    return (whole.unsqueeze(-1) >> width * torch.arange(splits, device=whole.device)) & (2**width - 1)


def combine_ids(groups: Int[Tensor, "*g m"], bits: int) -> Int[Tensor, "*g"]:
    """The way back from `split_ids`."""
    m = groups.shape[-1]
    return (groups << bits // m * torch.arange(m, device=groups.device)).sum(-1)


def entropies(z: Float[Tensor, "b k y x"], temperature: float) -> tuple[Float[Tensor, ""], Float[Tensor, ""]]:
    """In nats: the mean entropy of a cell's soft code, and that of the mean soft code, over all 2^k codes. A soft code is
    softmax(2 z c / temperature) over codes c; it factorises into the bits, the mean does not."""
    flat = z.movedim(1, -1).flatten(0, -2)  # (n, k)
    p = torch.sigmoid(4 * flat / temperature)
    each = -(p * p.clamp(min=LEAST).log() + (1 - p) * (1 - p).clamp(min=LEAST).log()).sum(-1).mean()
    codes = torch.ones(len(flat), 1, device=z.device, dtype=z.dtype)
    for bit in p.unbind(1):  # the outer product of all bits' chances
        codes = torch.cat([codes * (1 - bit)[:, None], codes * bit[:, None]], 1)
    mean = codes.mean(0)
    return each, -(mean * mean.clamp(min=LEAST).log()).sum()
