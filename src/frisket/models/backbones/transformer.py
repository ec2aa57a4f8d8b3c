"""The isotropic transformer: patches or ids in, blocks of one width, modulated norm and a linear layer out.

With its defaults it is DiT (arXiv 2212.09748; facts from facebookresearch/DiT models.py). PiT is patch 1 with learned
positions, PixArt another block and a text door, MDLM's DDiT ids with rotary positions and a timeless embedding. The
time is the network's own. A time an element becomes one a token, the mean over its patch (papers that use local times
give them a token, so the mean is exact there). A plan names spans of blocks that some tokens skip, and owns what makes
the sequence whole behind them; long skips go by block number. With an encoder the blocks are a decoder, told of time
and conditions only by what the encoder makes of them, token by token.
Shapes: b batch, n tokens, d width, w width of the condition vector, k distinct times; `*s` the state's shape.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn

from frisket.codecs.base import Spec
from frisket.core.condition import Condition, Output
from frisket.core.errors import FrisketError, check
from frisket.core.registry import register
from frisket.core.sites import Dispatch
from frisket.core.state import State
from frisket.models.base import Keep
from frisket.models.block import Block, BlockModule, repeat
from frisket.models.doors import Door, Doors, counted
from frisket.models.encoders import SITE, Encoder
from frisket.models.grid import Grid
from frisket.models.init import build_real
from frisket.models.layers.base import Embedder, Side, Sizes
from frisket.models.layers.embedders import Timestep
from frisket.models.layers.ends import Head, Ids, Input, Logits, Patches, PatchesOut
from frisket.models.layers.entries import Entries, Entry, fitted
from frisket.models.layers.modulation import AdaLNZero, Modulation, modulate, shared_key, spread
from frisket.models.layers.norms import LayerNorm, NoNorm, Norm
from frisket.models.layers.positions import Positions, SinCos
from frisket.models.plans.base import TokenPlan
from frisket.models.segments import timed
from frisket.models.skips import LongSkip
from frisket.models.spans import span_sites
from frisket.models.tokens import Tags, Tokens
from frisket.models.trunk import Architecture

CITE = "Peebles, Xie. Scalable Diffusion Models with Transformers. 2023. arXiv:2212.09748"


@register("backbone/transformer", cite=CITE)
@dataclass(frozen=True, kw_only=True)
class Transformer:
    """width: of a token. heads: of every attention that names no other. condition: width of the condition vector (the
    token's if None). blocks: one by one. time: how the network's time is embedded (None: the network is blind to it).
    doors: the conditions it reads. encoder: blocks before these that give each token a condition vector of its own.
    plan: spans of blocks that some tokens may skip. skips: long ones, by block number. first_norm: of all tokens
    before the blocks. final_norm, final_modulation: before the output layer. beside: entries of the state beside the
    grid, one token each; `fit` adds those it needs."""

    width: int = 64
    heads: int = 4
    condition: int | None = None
    input: Input = Patches()
    output: Head = PatchesOut()
    positions: Positions = SinCos()
    time: Embedder | None = Timestep()
    doors: tuple[Door, ...] = ()
    encoder: Encoder | None = None
    blocks: tuple[Block, ...] = repeat(Block(), 6)
    plan: TokenPlan | None = None
    skips: tuple[LongSkip, ...] = ()
    first_norm: Norm = NoNorm()
    final_norm: Norm = LayerNorm()
    final_modulation: Modulation = AdaLNZero()
    beside: tuple[Entry, ...] = ()

    dials = ("depth",)

    @property
    def depth(self) -> int:
        """Number of blocks, those of an encoder left out."""
        return len(self.blocks)

    def with_depth(self, depth: int) -> Transformer:
        """A copy with `depth` blocks; only where all blocks are alike."""
        check(depth > 0, "depth", depth, "positive")
        alike = len(set(self.blocks)) == 1
        check(alike, "depth", depth, "set only where all blocks are alike; list the blocks instead")
        return replace(self, blocks=repeat(self.blocks[0], depth))

    def fit(self, spec: Spec, channels_out: int, classes: Mapping[str, int]) -> Transformer:
        """A copy for another state: input and output of the kind it asks for, and each class condition's number of
        classes (a name without a door gets one by `vector`; a door for classes that nobody counts is closed). Raises
        if the shape does not divide into patches."""
        inputs, outputs = self._ends(spec)
        doors = counted(self.doors, classes)
        ends = {"input": inputs.fit(spec), "output": outputs.fit(spec, channels_out)}
        return replace(self, **ends, doors=doors, beside=fitted(self.beside, spec.beside))

    def _ends(self, spec: Spec) -> tuple[Input, Head]:
        """The default ends give way to those for ids; chosen ends stay, and refuse a state they cannot read."""
        chosen = self.input != Patches() or self.output != PatchesOut()
        return (Ids(), Logits()) if spec.kind == "ids" and not chosen else (self.input, self.output)

    def build(self) -> TransformerModel:
        """The module, with fresh weights of seed 0; under `torch.device("meta")` the structure alone."""
        return build_real(lambda: TransformerModel(self))


class TransformerModel(nn.Module):
    """A built `Transformer`."""

    def __init__(self, config: Transformer):
        super().__init__()
        self.config = config
        condition = config.width if config.condition is None else config.condition
        grid, last = config.input.grid, config.final_modulation
        self.sizes = Sizes(width=config.width, heads=config.heads, condition=condition, grid=grid)
        extra = sum(_channels(door) for door in config.doors)
        self.input = config.input.build(config.width, extra)
        self.positions = config.positions.build(self.sizes)
        self.time: nn.Module | None = config.time.build(condition) if config.time is not None else None
        self.doors = Doors(config.doors, condition, config.width)
        self.shared = nn.ModuleDict()
        first = config.encoder.blocks if config.encoder is not None else ()
        for modulation, count in {(b.modulation, b.numbers): None for b in (*first, *config.blocks)} | {
            (last, 2): None
        }:
            self._share(modulation, count)
        self.encoder: nn.Module | None = None
        if config.encoder is not None:
            self._check_encoder()
            own = config.input.build(config.width, extra)
            self.encoder = config.encoder.build(own, [self.new_block(block) for block in first])
        self.blocks = nn.ModuleList([self.new_block(block) for block in config.blocks])
        spans = config.plan.spans if config.plan is not None else ()
        self.plan = Architecture(spans, config.skips, self.sizes, len(config.blocks))
        self.first_norm = config.first_norm.build(config.width)
        self.final_norm = config.final_norm.build(config.width)
        self.final_modulation = last.build(condition, config.width, 2)
        self._check_modulation(2, self.final_modulation)
        self.output = config.output.build(config.width, grid)
        self.beside = Entries(config.beside, config.width)
        self.grids: dict[tuple[Any, ...], Tags] = {}

    def new_block(self, block: Block) -> BlockModule:
        """A block of this model's sizes, on the default device and not yet initialised.

        Raises `FrisketError` if the model lacks what the block's modulation wants: a condition vector, or the layer
        that blocks of its kind share.
        """
        built = block.build(self.sizes)
        self._check_modulation(block.numbers, built.modulation)
        return built

    def _check_encoder(self) -> None:
        sizes, behind = self.sizes, [name for name, way in self.doors.ways.items() if way == "tokens"]
        check(sizes.condition == sizes.width, "condition", sizes.condition, f"the width {sizes.width} under an encoder")
        check(
            not self.config.beside,
            "model.beside",
            self.config.beside,
            "() under an encoder, which reads the grid alone",
        )
        check(not behind, "doors by tokens", behind, "none under an encoder, which has no vector for them")

    def _share(self, modulation: Modulation, count: int) -> None:
        shared = modulation.build_shared(self.sizes.condition, self.sizes.width, count)
        if shared is not None:
            self.shared[shared_key(modulation, count)] = shared

    def _check_modulation(self, count: int, built: nn.Module) -> None:
        blind = self.time is None and "vector" not in self.doors.ways.values()
        if blind and any(True for _ in built.parameters()):
            raise FrisketError("a modulation needs a time embedding or a condition by `vector`; use modulation/none")
        if getattr(built, "key", None) not in (None, *self.shared):
            raise FrisketError(f"this model's blocks share no modulation of {count} numbers, so none can be added to")

    def sites(self) -> list[str]:
        """Every addressable position of the call."""
        inner = [s for i, block in enumerate(self.blocks) for s in (f"block[{i}]", *block.sites(f"block[{i}]"))]  # type: ignore[operator]
        depth = len(self.blocks)
        before: list[str] = [] if self.encoder is None else self.encoder.sites()  # type: ignore[operator]
        return ["model", "embed", *before, *span_sites(depth, self.plan.runs(depth).values()), *inner, "head"]

    def forward(
        self, x_t: State, t: Tensor | None = None, cond: Condition | None = None, keep: Keep | None = None
    ) -> Output:
        """x_t (b, *s), or its entries by name; t (b,) or one an element, the network's own time; keep: span (a plan's, or
        any run "blocks[i:j]") -> who passes, state tokens int64 (b, m), a row of -1 or no column where a sample skips it;
        None: everybody.

        Raises `FrisketError` on condition names that no door reads or that are missing, a state of another kind, spans
        that do not exist or overlap, and ids that do not name tokens.
        """
        self.doors.check(cond)
        if keep:
            self.plan.check(keep, len(self.blocks))
        at = Dispatch(self)
        return at("model", partial(self._call, at), x_t, t, cond, keep)

    def _call(
        self, at: Dispatch, x_t: State, t: Tensor | None, cond: Condition | None = None, keep: Keep | None = None
    ) -> Output:
        tokens, side = at("embed", self.embed, x_t, t, cond)
        if self.encoder is not None:
            vectors = at(SITE, partial(self._encode, at), x_t, t, cond, tokens, side)
            tokens = self._guided_by(vectors, tokens, side)
        tokens = self.trunk(tokens, side, at, keep)
        return side.extras.on(at("head", self.head, tokens, side))

    def embed(self, x_t: State, t: Tensor | None, cond: Condition | None) -> tuple[Tokens, Side]:
        """The tokens of the state, then those that come in-sequence, and what travels beside them."""
        state, x_t = x_t, self.beside.main(x_t)
        grid, tags = self.config.input.grid_of(x_t), self.tags(state)
        h = self.input(self.doors.joined(x_t, cond), grid)
        h = self.beside(state, self.positions(h, self._grid_tags(x_t)))
        tokens = Tokens(h, tags)
        side = Side(grid=grid, state=tags.n, raw=x_t, context=self.doors.sequences(cond, "context"))
        vector, index = self._vector(t, cond, grid, x_t)
        extra = self.doors.sequences(cond, "tokens")
        if vector is not None:
            plain = self._own_times(vector, extra, cond)
            self._tell(side, nn.functional.silu(plain), plain)
        if index is not None:
            tokens = Tokens(tokens.h, tags.change(time=index))
            extra = {name: timed(more, tags, index) for name, more in extra.items()}
        tokens = Tokens.cat([tokens, *extra.values()]) if extra else tokens
        return tokens.with_h(self.first_norm(tokens.h)), side

    def _tell(self, side: Side, vector: Float[Tensor, "b *k w"], plain: Float[Tensor, "b *k w"] | None = None) -> None:
        """Give the blocks to come this condition vector, SiLU applied, and the same without it where it is known."""
        side.vector, side.plain = vector, plain
        side.shared = {key: module(side.vector) for key, module in self.shared.items()}

    def _encode(
        self, at: Dispatch, x_t: Tensor, t: Tensor | None, cond: Condition | None, tokens: Tokens, side: Side
    ) -> Float[Tensor, "b n w"]:
        """The condition vector of every token of the state: SiLU(time embedding + what the encoder makes)."""
        check(tokens.tags.n == side.state, "tokens behind the state's", tokens.tags.n - side.state, "none")
        assert self.encoder is not None

        def read(layer: nn.Module) -> Tokens:
            h = layer(self.doors.joined(x_t, cond), side.grid)
            return Tokens(self.positions(h, tokens.tags), tokens.tags)

        made = self.encoder(read, side, at, self.positions.placing)
        time, _ = self._times(t, side.grid, x_t)
        return nn.functional.silu(made if time is None else made + spread(time, tokens.tags))

    def _guided_by(self, vectors: Float[Tensor, "b n w"], tokens: Tokens, side: Side) -> Tokens:
        """The tokens, each naming its own of the vectors that the decoder is told."""
        self._tell(side, vectors)
        return Tokens(tokens.h, self.tags(side.raw))

    def _own_times(
        self, vector: Float[Tensor, "b *k w"], extra: dict[str, Tokens], cond: Condition | None
    ) -> Float[Tensor, "b *more w"]:
        """The condition vectors with one more for each time that sequences have of their own; these are tagged so."""
        times = self.doors.times if self.time is not None else {}
        distinct = sorted({times[name] for name in extra if name in times})
        if not distinct or self.time is None:
            return vector
        own = self.time(torch.tensor(distinct, device=vector.device), len(distinct), vector.device)  # (k, w)
        more = self.doors.vector(cond)
        own = own.expand(len(vector), -1, -1) if more is None else own + more.unsqueeze(1)
        before = vector if vector.ndim == 3 else vector.unsqueeze(1)
        for name in set(extra) & set(times):
            tags = extra[name].tags
            index = torch.full((tags.n,), before.shape[1] + distinct.index(times[name]), device=vector.device)
            extra[name] = Tokens(extra[name].h, tags.change(time=index))
        return torch.cat([before, own], 1)

    def trunk(self, tokens: Tokens, side: Side, at: Dispatch, keep: Keep | None = None) -> Tokens:
        """All blocks, in spans where a plan, a call or a handler stands on one."""
        return self.plan.run(self.blocks, tokens, side, at, self.positions.placing, keep or {})  # type: ignore[arg-type]

    def head(self, tokens: Tokens, side: Side) -> Output:
        """The prediction from the state's tokens."""
        if tokens.tags.n > side.state:
            tokens = Tokens(tokens.h[:, : side.state], tokens.tags.narrow(side.state))
        n = side.grid.tokens
        h = self.final_norm(tokens.h)
        numbers = self.final_modulation(side)
        if numbers is not None:
            shift, scale = numbers.chunk(2, dim=-1)
            h = modulate(h, spread(shift, tokens.tags), spread(scale, tokens.tags))
        return Output(self.beside.read(self.output(h[:, :n], side.grid), h[:, n:]))

    def tags(self, x_t: State) -> Tags:
        """The tags of a state's tokens, those of the grid first; made once for a grid, so that what is derived from them
        is too."""
        tags, more = self._grid_tags(self.beside.main(x_t)), len(self.config.beside)
        if not more:
            return tags
        key = ("beside", tags.whole, more, tags.coords.device)  # type: ignore[union-attr]
        if key not in self.grids:
            with torch.inference_mode(False):
                coords = nn.functional.pad(tags.coords, (0, 0, 0, more))  # type: ignore[arg-type]
                self.grids[key] = Tags(n=tags.n + more, coords=coords, whole=tags.whole)
        return self.grids[key]

    def _grid_tags(self, x_t: Tensor) -> Tags:
        grid, device = self.config.input.grid_of(x_t), x_t.device
        key = (grid, device)
        if key not in self.grids:
            with torch.inference_mode(False):  # kept for later passes, which may train
                own = None if self.encoder is None else torch.arange(grid.tokens, device=device)
                segments = getattr(self.config.input, "segments", None)
                self.grids[key] = Tags(
                    n=grid.tokens, coords=grid.coords(device), extent=grid.axes, whole=grid.axes, time=own,
                    segment=None if segments is None else segments(grid).to(device),
                )  # fmt: skip
        return self.grids[key]

    def _vector(
        self, t: Tensor | None, cond: Condition | None, grid: Grid, x_t: Tensor
    ) -> tuple[Float[Tensor, "b *k w"] | None, Tensor | None]:
        """The condition vector, and each token's time index when times differ inside a sample."""
        more = self.doors.vector(cond)
        time, index = self._times(t, grid, x_t)
        if time is None or more is None:
            return (more if time is None else time), index
        return time + (more if time.ndim == 2 else more.unsqueeze(1)), index

    def _times(self, t: Tensor | None, grid: Grid, x_t: Tensor) -> tuple[Float[Tensor, "b *k w"] | None, Tensor | None]:
        """The embedding of the time, or of each distinct one and the index of every token's."""
        if self.time is None:
            return None, None
        if t is None or t.ndim == 1:
            return self.time(t, len(x_t), x_t.device), None
        check(not self.config.beside, "times", "one an element", "one a sample, where the state has further entries")
        local = grid.per_token(t if t.ndim > len(grid.axes) + 1 else t.unsqueeze(1)).expand(len(x_t), -1)  # (b, n)
        distinct, index = torch.unique(local, return_inverse=True)
        if len(distinct) <= grid.tokens:
            return self.time(distinct, len(distinct), x_t.device).expand(len(x_t), -1, -1), index  # (b, k, w)
        flat = self.time(local.flatten(), local.numel(), x_t.device)
        return flat.unflatten(0, local.shape), torch.arange(grid.tokens, device=x_t.device)


def _channels(door: Door) -> int:
    return door.embedder.channels if door.way == "channels" else 0  # type: ignore[attr-defined]
