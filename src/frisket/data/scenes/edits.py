"""Edits of a scene: a changed record rendered again, with an instruction and the region that provably stays as it is.

A region is unchanged where the thing edited is seen neither before nor after; there both images agree bit for bit.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from frisket.core import random
from frisket.core.errors import FrisketError, check, unknown
from frisket.data.scenes.draw import Dial, draw_scene
from frisket.data.scenes.layers import layers
from frisket.data.scenes.scene import Ground, Object, Scene, by_depth
from frisket.data.scenes.table import table_of
from frisket.data.scenes.views import rgb
from frisket.data.scenes.vocabulary import CLASSES, COLOURS, GROUNDS, TEXTURES
from frisket.data.scenes.words import place_word, size_word

VERBS = ("recolour", "retexture", "move", "resize", "replace", "remove", "add", "ground")


@dataclass(frozen=True, kw_only=True)
class Change:
    """verb: of `VERBS`. which: the object changed (None for "add" and "ground"). to: what stands there afterwards."""

    verb: str
    which: int | None = None
    to: Object | Ground | None = None


@dataclass(frozen=True, kw_only=True)
class Pair:
    """before, after: float32 (3, h, w). unchanged: bool (1, h, w), True where the edit cannot be seen."""

    before: Tensor
    after: Tensor
    unchanged: Tensor
    instruction: str
    scenes: tuple[Scene, Scene]


def edit(scene: Scene, change: Change) -> Scene:
    """The changed scene. Raises `FrisketError` on an unknown verb or an object that is not there."""
    if change.verb not in VERBS:
        raise unknown("verb", change.verb, VERBS)
    if change.verb == "ground":
        check(isinstance(change.to, Ground), "change.to", change.to, "a Ground")
        return replace(scene, ground=change.to)
    if change.verb == "add":
        check(isinstance(change.to, Object), "change.to", change.to, "an Object")
        return replace(scene, objects=by_depth([*scene.objects, change.to]))  # type: ignore[list-item]
    there = change.which is not None and 0 <= change.which < len(scene.objects)
    check(there, "change.which", change.which, f"one of the scene's {len(scene.objects)} objects")
    rest = [o for i, o in enumerate(scene.objects) if i != change.which]
    if change.verb == "remove":
        return replace(scene, objects=tuple(rest))
    check(isinstance(change.to, Object), "change.to", change.to, "an Object")
    return replace(scene, objects=by_depth([*rest, change.to]))  # type: ignore[list-item]


def instruction(scene: Scene, change: Change) -> str:
    """The edit in words. An object is called by its colour and name."""
    to = change.to
    if isinstance(to, Ground):
        return f"ground to {GROUNDS[to.colour]}"
    if change.verb == "add" and to is not None:
        return f"add {size_word(to.size)} {_call(to)} at {place_word(to.centre, scene.half)}"
    old = scene.objects[change.which or 0]
    if to is None:
        return f"remove {_call(old)}"
    said = {
        "recolour": COLOURS[to.colour], "retexture": TEXTURES[to.texture.kind], "move": place_word(to.centre, scene.half),
        "resize": size_word(to.size), "replace": CLASSES[to.label],
    }  # fmt: skip
    return f"{change.verb} {_call(old)} to {said[change.verb]}"


def draw_change(scene: Scene, seed: int, verbs: Sequence[str] = VERBS, dial: Dial | None = None) -> Change:
    """A change that shows: the new value differs from the old, and an instruction could tell them apart.

    It takes its new values from another scene of the same split, so test edits hold test digits only. Verbs that need
    an object are left out of an empty scene, which then must allow "add" or "ground".
    """
    for verb in verbs:
        if verb not in VERBS:
            raise unknown("verb", verb, VERBS)
    able = [v for v in verbs if scene.objects or v in ("add", "ground")]
    check(bool(able), "verbs", tuple(verbs), "'add' or 'ground' for a scene without objects")
    key = random.key(seed, torch.tensor([scene.index]), random.hash_text(f"edit/{scene.split}"))
    a, b, c, d = random.uniform(key, 4)[0].tolist()
    verb = able[int(a * len(able))]
    dial = dial or Dial()
    for attempt in range(64):
        donor = draw_scene(random.hash_text(f"donor/{seed}/{attempt}"), scene.index, scene.split, dial, scene.aspect)
        if verb == "ground":
            if donor.ground.colour != scene.ground.colour:
                return Change(verb=verb, to=donor.ground)
            continue
        new = replace(donor.objects[int(d * len(donor.objects))], depth=0.02 + 0.16 * c)
        if verb == "add":
            return Change(verb=verb, to=new)
        which = int(b * len(scene.objects))
        if verb == "remove":
            return Change(verb=verb, which=which)
        to = _changed(scene.objects[which], new, verb)
        change = Change(verb=verb, which=which, to=to)
        if instruction(scene, change) != instruction(scene, replace(change, to=scene.objects[which])):
            return change
    raise FrisketError(f"no scene of {dial} offers another value for the edit {verb!r}")


def pair(scene: Scene, change: Change, size: tuple[int, int]) -> Pair:
    """Both images of an edit, its instruction and the unchanged region."""
    after = edit(scene, change)
    both = layers(table_of([scene, after]), size)
    image = rgb(both)
    touched = torch.zeros(size, dtype=torch.bool)
    if change.verb == "ground":
        touched |= both.ground[0] > 0
    if change.which is not None:
        touched |= both.visible[0, change.which] > 0
    if isinstance(change.to, Object):
        touched |= both.visible[1, after.objects.index(change.to)] > 0
    return Pair(
        before=image[0], after=image[1], unchanged=~touched[None],
        instruction=instruction(scene, change), scenes=(scene, after),
    )  # fmt: skip


def _call(o: Object) -> str:
    return f"{COLOURS[o.colour]} {CLASSES[o.label]}"


def _changed(old: Object, new: Object, verb: str) -> Object:
    if verb == "recolour":
        return replace(old, colour=new.colour)
    if verb == "retexture":
        return replace(old, texture=new.texture)
    if verb == "move":
        return replace(old, centre=new.centre)
    if verb == "resize":
        return replace(old, size=new.size)
    return replace(old, label=new.label, instance=new.instance)
