"""Moving scenes: objects go by their velocities and turn back at the border; one actor may obey keyboard-like actions.

Shapes: b scenes, f frames, k objects, h w pixels.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
from jaxtyping import Float, Int
from torch import Tensor

from frisket.core import random
from frisket.core.errors import check, unknown
from frisket.data.scenes.draw import whole
from frisket.data.scenes.layers import layers
from frisket.data.scenes.render import NAMES, render_table
from frisket.data.scenes.scene import Scene
from frisket.data.scenes.table import Table, half_of, table_of
from frisket.data.scenes.views import flow
from frisket.data.scenes.vocabulary import ACTIONS

STRIDE = 0.05  # units that an action moves the actor
MOVES = ((0, 0), (-1, 0), (1, 0), (0, -1), (0, 1))  # of `ACTIONS`


@dataclass(frozen=True, kw_only=True)
class Clip:
    """scenes: one a frame. actions: what the actor did between frames (one fewer), () when it moved freely."""

    scenes: tuple[Scene, ...]
    actions: tuple[str, ...] = ()
    actor: int = 0


def clip(scene: Scene, frames: int, actions: Sequence[str] = (), actor: int = 0, stride: float = STRIDE) -> Clip:
    """The scene through `frames` frames, the first as it is. actions: of `ACTIONS`, frames - 1 of them, or none.

    Raises `FrisketError` on an unknown action, a wrong number of them, or an actor that is not there.
    """
    for action in actions:
        if action not in ACTIONS:
            raise unknown("action", action, ACTIONS)
    check(frames >= 1, "frames", frames, "at least 1")
    check(not actions or len(actions) == frames - 1, "actions", len(actions), f"frames - 1 = {frames - 1} of them")
    check(not actions or 0 <= actor < len(scene.objects), "actor", actor, f"one of {len(scene.objects)} objects")
    ids = torch.tensor([[ACTIONS.index(a) for a in actions]]) if actions else None
    path = paths(table_of([scene]), frames, ids, actor, stride)[0].tolist()
    moved = [
        replace(scene, objects=tuple(replace(o, centre=tuple(p)) for o, p in zip(scene.objects, row, strict=False)))
        for row in path
    ]
    return Clip(scenes=tuple(moved), actions=tuple(actions), actor=actor)


def paths(
    table: Table, frames: int, actions: Int[Tensor, "b g"] | None = None, actor: int = 0, stride: float = STRIDE
) -> Float[Tensor, "b f k 2"]:
    """Centres of all objects in all frames. With actions (b, frames - 1) the actor obeys and stops at the border."""
    steps = [table.at(f).objects for f in range(frames)]
    out = torch.stack([torch.stack([o["x"], o["y"]], -1) for o in steps], 1)
    if actions is None:
        return out
    limit = torch.tensor(half_of(table.aspect), dtype=torch.float64) - table.objects["size"][:, actor, None] / 2
    limit = torch.maximum(limit, out[:, 0, actor].abs())
    moves = stride * torch.tensor(MOVES, dtype=torch.float64)[actions]
    for f in range(1, frames):
        out[:, f, actor] = (out[:, f - 1, actor] + moves[:, f - 1]).clamp(-limit, limit)
    return out


def draw_actions(seed: int, ids: Int[Tensor, "b"], frames: int, hold: float = 0.6) -> Int[Tensor, "b g"]:
    """frames - 1 actions a row; each is kept from the frame before with probability `hold`."""
    u = random.uniform(random.key(seed, ids, random.hash_text("actions")), 2 * max(1, frames - 1))
    new = whole(u[:, 0::2], 0, len(ACTIONS) - 1)
    for f in range(1, frames - 1):
        new[:, f] = torch.where(u[:, 2 * f + 1] < hold, new[:, f - 1], new[:, f])
    return new[:, : frames - 1]


def render_paths(
    table: Table, path: Float[Tensor, "b f k 2"], size: tuple[int, int], views: Sequence[str] = ("rgb",)
) -> dict[str, Tensor]:
    """Views of moving scenes: time stands after the channels, (b, c, f, h, w), or second where there are none.

    "flow" of the last frame is zero: nothing follows it.
    """
    for name in views:
        if name not in NAMES:
            raise unknown("view", name, NAMES)
    shown = [replace(table, objects=table.objects | {"x": p[..., 0], "y": p[..., 1]}) for p in path.unbind(1)]
    still = tuple(name for name in views if name != "flow")
    frames = [render_table(t, size, still) for t in shown]
    out = {n: torch.stack([f[n] for f in frames], 1 if frames[0][n].ndim == 3 else 2) for n in still}
    if "flow" in views:
        seen = [layers(t, size) for t in shown]
        out["flow"] = torch.stack([flow(a, b) for a, b in zip(seen, [*seen[1:], seen[-1]], strict=True)], 2)
    return out


def render_clip(made: Clip, size: tuple[int, int], view: str = "rgb") -> Tensor:
    """One view of a clip: rgb (3, f, h, w), semantic (f, h, w) ..."""
    centres = [[[*o.centre] for o in s.objects] or [[0.0, 0.0]] for s in made.scenes]
    path = torch.tensor([centres], dtype=torch.float64)
    return render_paths(table_of(made.scenes[:1]), path, size, (view,))[view][0]
