"""A masked encoder-decoder over continuous tokens, and a head for each level that denoises the hidden ones.

MAR (arXiv 2406.11838): the encoder sees what is visible and some buffer tokens that hold the class; the decoder fills
the hidden places with a mask token; every token's vector goes to the head. Hi-MAR (arXiv 2505.20288) makes two passes
with the same blocks: first the coarse level, then the fine one, which reads the coarse level's vectors ("pivots",
without gradient) where coarse tokens were hidden and learned tokens elsewhere. Facts from LTH14/mar models/mar.py and
HiDream-ai/himar models/himar.py. The official dropout inside attention and between the MLP's layers is left out; that
of a branch's output is the block's own. Left open: rows with different numbers of visible tokens; here they are padded.
Shapes: b batch, d numbers of a token, n tokens of all levels, m visible ones, r noised copies, w width.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import partial

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn

from frisket.codecs.base import Spec
from frisket.core.condition import Condition, Output
from frisket.core.errors import FrisketError, check
from frisket.core.nested import Nested, unpack
from frisket.core.registry import register
from frisket.core.sites import Dispatch
from frisket.core.step import current_step
from frisket.models.backbones.phased import PhasedStack, compact
from frisket.models.base import Keep
from frisket.models.block import Block, Branch, repeat
from frisket.models.doors import Door, Doors
from frisket.models.grid import Grid
from frisket.models.init import Normal, build_real, linear, parameter
from frisket.models.layers.attention import Attention
from frisket.models.layers.embedders import ClassIds
from frisket.models.layers.ffn import Gelu
from frisket.models.layers.modulation import Unmodulated
from frisket.models.layers.norms import LayerNorm, Norm
from frisket.models.layers.token_heads import EachToken, TokenHead
from frisket.models.tokens import gather

CITE = "Li, Tian, Li, Deng, He. Autoregressive Image Generation without Vector Quantization. 2024. arXiv:2406.11838"
AFFINE = LayerNorm(eps=1e-6, affine="both")
PLAIN = Block(
    branches=(
        Branch(name="attn", mixer=Attention(), norm=AFFINE),
        Branch(name="ffn", mixer=Gelu(approximate="none"), norm=AFFINE),
    ),
    modulation=Unmodulated(),
)


@register("level/network")
@dataclass(frozen=True, kw_only=True)
class TokenLevel:
    """axes: of the level's grid of tokens. head: what denoises them. given: how many numbers it gives a token; `fit`
    sets it where None."""

    axes: tuple[int, ...] = (8, 8)
    head: TokenHead = EachToken()
    given: int | None = None

    @property
    def grid(self) -> Grid:
        return Grid.of(self.axes)


@register("backbone/masked-tokens", cite=CITE)
@dataclass(frozen=True, kw_only=True)
class MaskedTokens:
    """numbers: of a token; `fit` sets it. levels: one, or a coarse and a fine one, in the order of the state. buffer:
    tokens that hold the condition. mask: one mask token for all places, or one a "place" and phase. pivots: the chance
    that a training sample reads any pivots; it is reached after the share `warmup` of the run. doors: by `vector`."""

    width: int = 64
    heads: int = 4
    numbers: int = 1
    given: int = 1
    levels: tuple[TokenLevel, ...] = (TokenLevel(),)
    encoder: tuple[Block, ...] = repeat(PLAIN, 2)
    decoder: tuple[Block, ...] = repeat(PLAIN, 2)
    buffer: int = 8
    mask: str = "one"
    pivots: float = 0.25
    warmup: float = 0.125
    doors: tuple[Door, ...] = ()
    norm: Norm = AFFINE

    def __post_init__(self):
        check(len(self.levels) in (1, 2), "model.levels", len(self.levels), "one or two levels")
        check(self.mask in ("one", "place"), "model.mask", self.mask, "'one' or 'place'")
        check(self.buffer >= 1, "model.buffer", self.buffer, "at least 1")
        check(0 <= self.pivots <= 1, "model.pivots", self.pivots, "a probability")
        ways = {door.way for door in self.doors} - {"vector"}
        check(not ways, "ways of model.doors", sorted(ways), "vector")

    @property
    def tokens(self) -> int:
        """Of all levels."""
        return sum(level.grid.tokens for level in self.levels)

    def fit(self, spec: Spec, channels_out: int, classes: Mapping[str, int]) -> MaskedTokens:
        """A copy for states (d, n) and classes. Raises `FrisketError` on a state with another number of tokens."""
        fits = spec.kind == "continuous" and len(spec.shape) == 2 and spec.shape[1] == self.tokens
        check(fits, "state", (spec.kind, spec.shape), f"continuous, of shape (d, {self.tokens})")
        doors = tuple(Door(name=name, embedder=ClassIds(classes=count)) for name, count in classes.items())
        return replace(self, numbers=spec.shape[0], given=channels_out, doors=doors or self.doors)

    def build(self) -> MaskedTokensModel:
        """The module, with fresh weights of seed 0; under `torch.device("meta")` the structure alone."""
        return build_real(lambda: MaskedTokensModel(self))


class MaskedTokensModel(nn.Module):
    """A built `MaskedTokens`."""

    masks: Tensor
    places: Tensor
    learned: Tensor

    def __init__(self, config: MaskedTokens):
        super().__init__()
        self.config = config
        width, n, phases = config.width, config.tokens, len(config.levels)
        self.starts = [0, *(level.grid.tokens for level in config.levels)][:-1]
        self.counts = [level.grid.tokens for level in config.levels]
        self.doors = Doors(config.doors, width, width)
        self.inputs = nn.ModuleList([linear(config.numbers, width, role="input") for _ in config.levels])
        self.encoder = PhasedStack(config.encoder, width, config.heads, phases, config.buffer + n, config.norm)
        self.encoder_input = config.norm.build(width)
        self.between = linear(width, width)
        self.decoder = PhasedStack(config.decoder, width, config.heads, phases, config.buffer + n, config.norm)
        parameter(self, "masks", (1 if config.mask == "one" else phases * n, width), Normal(0.02), "embedding")
        parameter(self, "places", (n, width), Normal(0.02), "embedding")
        if phases == 2:
            self.pivot = linear(width, width)
            parameter(self, "learned", (self.counts[0], config.numbers), Normal(0.02), "embedding")
        self.heads = nn.ModuleList(
            [one.head.build(config.numbers, one.given or config.given, width, one.grid) for one in config.levels]
        )

    def sites(self) -> list[str]:
        """`trunk` gives the vectors of each level that is asked for, `coarse` those of the coarse level for the pivots
        and where they are read; blocks of a second phase have sites of their own."""
        blocks = [s for k in range(len(self.counts)) for s in (*self.encoder.sites(k, 0), *self._later(k))]
        coarse = ["coarse"] if len(self.counts) == 2 else []
        return ["model", "trunk", *coarse, *blocks, *(f"head[{k}]" for k in range(len(self.counts)))]

    def _later(self, k: int) -> list[str]:
        return self.decoder.sites(k, len(self.encoder.blocks))

    def forward(
        self, x_t: Tensor, t: Tensor | None = None, cond: Condition | None = None, keep: Keep | None = None
    ) -> Output:
        """x_t (b, d + r (d + 1), n): see `core.nested`; the state alone (r = 0) is read as asking every head once, at
        time 0 and for zeros. t is not read. Raises `FrisketError` on conditions that do not fit and on a `keep`."""
        self.doors.check(cond)
        if keep:
            raise FrisketError("backbone/masked-tokens has no spans; what is hidden is left out of its encoder")
        at = Dispatch(self)
        return at("model", partial(self._call, at), x_t, t, cond)

    def _call(self, at: Dispatch, x_t: Tensor, t: Tensor | None, cond: Condition | None) -> Output:
        given = unpack(x_t, self.config.numbers)
        if given.noisy.shape[1] == 0:
            zeros = torch.zeros_like(given.shown)[:, None].nan_to_num()
            given = Nested(given.shown, zeros, zeros[..., 0])
        asked = ~torch.isnan(given.noisy[..., 0])  # (b, r, n)
        parts = [slice(s, s + c) for s, c in zip(self.starts, self.counts, strict=True)]
        wanted = [k for k, part in enumerate(parts) if asked.is_meta or bool(asked[..., part].any())]
        vectors: dict[int, Tensor] = at("trunk", partial(self.trunk, at), given.shown, cond, tuple(wanted))
        b, r, n = asked.shape
        out = given.shown.new_zeros(b, r, self.config.given, n)
        for k in wanted:
            flat = [v[:, :, parts[k]].flatten(0, 1) for v in (given.noisy, given.time, asked)]
            z = vectors[k].repeat_interleave(r, 0)
            made = at(f"head[{k}]", self.heads[k], flat[0], flat[1], z, flat[2])
            out[:, :, : made.shape[-1], parts[k]] = made.unflatten(0, (b, r)).transpose(2, 3)
        return Output(out.flatten(1, 2))

    def trunk(
        self, at: Dispatch, shown: Float[Tensor, "b n d"], cond: Condition | None, wanted: tuple[int, ...]
    ) -> dict[int, Tensor]:
        """The vectors (b, n of the level, w) of each level that is wanted."""
        visible, shown = ~torch.isnan(shown[..., 0]), shown.nan_to_num()
        vector = self.doors.vector(cond)
        if vector is None:
            vector = shown.new_zeros(len(shown), self.config.width)
        if len(self.counts) == 1:
            return {0: self.phase(0, self.inputs[0](shown), visible, vector, at)} if wanted else {}
        coarse, fine = shown.split(self.counts, 1)
        seen = visible[:, : self.counts[0]]
        vectors, read = at("coarse", partial(self._coarse, at, vector, fine), coarse, seen)
        out = {0: vectors}
        if 1 in wanted:
            slots = torch.cat([self._pivots(vectors, read), self.inputs[1](fine)], 1)
            seen = torch.cat([torch.ones_like(seen), visible[:, self.counts[0] :]], 1)
            out[1] = self.phase(1, slots, seen, vector, at)[:, self.counts[0] :]
        return out

    def _coarse(
        self, at: Dispatch, vector: Tensor, fine: Tensor, coarse: Float[Tensor, "b m d"], seen: Bool[Tensor, "b m"]
    ) -> tuple[Tensor, Tensor]:
        """The first phase: all fine tokens hidden. Its vectors, and where they are read as pivots."""
        visible = torch.cat([seen, seen.new_zeros(fine.shape[:2])], 1)
        slots = torch.cat([self.inputs[0](coarse), self.inputs[1](fine)], 1)
        return self.phase(0, slots, visible, vector, at)[:, : self.counts[0]], ~seen

    def _pivots(self, vectors: Float[Tensor, "b m w"], read: Bool[Tensor, "b m"]) -> Float[Tensor, "b m w"]:
        """What stands in the coarse places in the second phase; in training some samples read learned tokens only."""
        if self.training:
            step = current_step()
            ramp = min(1.0, step.index / max(1.0, self.config.warmup * step.total)) if self.config.warmup else 1.0
            drawn = step.draw("pivots", (), "uniform").to(read.device) < self.config.pivots * ramp
            read = read & drawn[:, None]
        learned = self.inputs[0](self.learned)
        return torch.where(read.unsqueeze(-1), self.pivot(vectors.detach()), learned)

    def phase(
        self, k: int, slots: Float[Tensor, "b n w"], visible: Bool[Tensor, "b n"], vector: Float[Tensor, "b w"],
        at: Dispatch,
    ) -> Float[Tensor, "b n w"]:  # fmt: skip
        """One pass through encoder and decoder: the vectors of all tokens."""
        buffer, n = self.config.buffer, slots.shape[1]
        x = torch.cat([vector.unsqueeze(1).expand(-1, buffer, -1), slots], 1)
        kept = torch.cat([visible.new_ones(len(x), buffer), visible], 1)
        x = self.encoder_input(x + self.encoder.places_of(k))
        ids, valid = compact(kept)
        h = self.between(self.encoder(k, gather(x, ids), valid, at, 0))
        masks = self.masks.expand(n, -1) if len(self.masks) == 1 else self.masks[k * n : (k + 1) * n]
        full = torch.cat([masks.new_zeros(buffer, masks.shape[1]), masks]).expand(len(x), -1, -1).to(h.dtype)
        if valid is not None:
            h = torch.where(valid.unsqueeze(-1), h, gather(full, ids))
        full = full.scatter(1, ids.unsqueeze(-1).expand_as(h), h)
        h = self.decoder(k, full + self.decoder.places_of(k), None, at, len(self.encoder.blocks))
        return h[:, buffer:] + self.places
