"""One pass through a backbone's blocks: spans that some tokens skip, long skips, handlers on runs of blocks.

A span's return runs in every pass; where a call names nobody, all tokens pass and the return finishes the dense pass.
Runs `blocks[i:j]` that no plan owns can be named too: their tokens wait and come back as they were.
Shapes: b batch, n tokens, d width.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial

from torch import nn

from frisket.core.sites import Dispatch
from frisket.core.step import use_rows
from frisket.models.attend import Placing
from frisket.models.base import Keep
from frisket.models.block import BlockModule
from frisket.models.layers.base import Side, Sizes
from frisket.models.plans.base import Kept, Span, SpanEnd, asked, kept_of, runs_of
from frisket.models.plans.routing import BypassModule
from frisket.models.skips import Held, LongSkip, Skips
from frisket.models.spans import run_spans
from frisket.models.tokens import Tokens

BYPASS = BypassModule()


class Architecture(nn.Module):
    """What spans and skips own, beside the blocks."""

    def __init__(self, spans: tuple[Span, ...], skips: tuple[LongSkip, ...], sizes: Sizes, depth: int):
        super().__init__()
        self.spans = spans
        runs = runs_of(spans, depth)
        self.returns = nn.ModuleDict({span.name: span.back.build(sizes) for span in spans})
        self.skips = Skips(skips, sizes.width, depth, runs)

    def runs(self, depth: int) -> dict[str, tuple[int, int]]:
        """The plan's spans among the blocks that there are now: edits may have added or removed some."""
        return runs_of(self.spans, depth)

    def check(self, keep: Keep, depth: int) -> None:
        """Raise `FrisketError` on names in `keep` that are no span."""
        asked(keep, self.runs(depth), depth)

    def run(
        self, blocks: nn.ModuleList, tokens: Tokens, side: Side, at: Dispatch, placing: Placing | None, keep: Keep
    ) -> Tokens:
        """All blocks on all tokens, each span on those that `keep` names."""
        depth = len(blocks)
        owned = self.runs(depth)
        named = {**owned, **asked(keep, owned, depth)}
        trunk = _Pass(blocks=blocks, at=at, placing=placing, side=side, skips=self.skips, held=self.skips.start())
        trunk.held.keep(-1, tokens.h, None)
        around = {
            run: partial(trunk.span, name, self.returns[name] if name in owned else BYPASS, keep)
            for name, run in named.items()
            if name in keep or not isinstance(self.returns[name], BypassModule)
        }
        return run_spans(trunk.block, 0, depth, tokens, at, around)


@dataclass(kw_only=True)
class _Pass:
    """The state of one pass. side, kept: of the tokens now passing."""

    blocks: nn.ModuleList
    at: Dispatch
    placing: Placing | None
    side: Side
    skips: Skips
    held: Held
    kept: Kept | None = field(default=None)

    def block(self, i: int, tokens: Tokens) -> Tokens:
        site = f"block[{i}]"
        tokens = self.skips.join(i, tokens, self.held, self.kept)
        module: BlockModule = self.blocks[i]  # type: ignore[assignment]
        tokens = self.at(site, partial(module, site, self.side, self.at, self.placing), tokens)
        self.held.keep(i, tokens.h, self.kept)
        return tokens

    def span(self, name: str, back: nn.Module, keep: Keep, call: Callable[[Tokens], Tokens], tokens: Tokens) -> Tokens:
        """One span: who takes part goes through, and the return makes the sequence whole."""
        kept, inner = None, None
        if name not in keep:
            inner = call(tokens)
        else:
            kept = kept_of(name, keep[name], len(tokens.h), tokens.tags.n, self.side.state)
            inner = None if kept is None else self._inside(kept, call, tokens)
        end = SpanEnd(before=tokens, inner=inner, kept=kept, side=self.side, at=self.at, positions=self.placing)
        return tokens.with_h(back(end))

    def _inside(self, kept: Kept, call: Callable[[Tokens], Tokens], tokens: Tokens) -> Tokens:
        whole = self.side
        if kept.rows is not None:
            self.side = whole.rows(kept.rows)
        self.kept = kept
        try:
            with use_rows(kept.rows):
                return call(kept.take(tokens))
        finally:
            self.side, self.kept = whole, None
