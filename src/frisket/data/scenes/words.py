"""Captions of scenes and their exact inverse: `parse(words(scene)) == describe(scene)` for any choice of facts.

    large red striped three at top left, small blue plain star at centre, on navy

Objects are named nearest first, so the order of a caption states the order in depth. Every word has one role only, so a
caption may leave out any of the `FACTS`. `caption_ids` turns captions into word ids for models without a text encoder.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Int
from torch import Tensor

from frisket.core.errors import FrisketError, check, unknown
from frisket.data.scenes.scene import Scene
from frisket.data.scenes.table import Table, half_of
from frisket.data.scenes.vocabulary import CLASSES, COLOURS, GROUNDS, PLACES, SIZE_LIMITS, SIZES, TEXTURES

FACTS = ("size", "colour", "texture", "place", "ground")
SIMPLE = tuple(dict.fromkeys(word for place in PLACES for word in place.split()))
VOCABULARY = ("<pad>", ",", "at", "on", "nothing", *SIZES, *COLOURS, *TEXTURES, *CLASSES, *SIMPLE, *GROUNDS)
WORD_ID = {word: i for i, word in enumerate(VOCABULARY)}


@dataclass(frozen=True, kw_only=True)
class Said:
    """What a caption says of one object; None where it is silent."""

    name: str
    size: str | None = None
    colour: str | None = None
    texture: str | None = None
    place: str | None = None


@dataclass(frozen=True, kw_only=True)
class Statement:
    """What a caption says of a scene."""

    objects: tuple[Said, ...] = ()
    ground: str | None = None


def describe(scene: Scene, facts: Sequence[str] = FACTS) -> Statement:
    """What is true of `scene`, restricted to `facts`. Raises `FrisketError` on an unknown fact."""
    for fact in facts:
        if fact not in FACTS:
            raise unknown("fact", fact, FACTS)
    held = set(facts)
    return Statement(
        objects=tuple(
            _said((o.label, o.size, o.colour, o.texture.kind, *o.centre), scene.half, held) for o in scene.objects
        ),
        ground=GROUNDS[scene.ground.colour] if "ground" in held else None,
    )


def _said(seen: tuple[int, float, int, int, float, float], half: tuple[float, float], held: set[str]) -> Said:
    """seen: label, size, colour, texture, x, y of an object."""
    label, size, colour, texture, x, y = seen
    return Said(
        name=CLASSES[label],
        size=size_word(size) if "size" in held else None,
        colour=COLOURS[colour] if "colour" in held else None,
        texture=TEXTURES[texture] if "texture" in held else None,
        place=place_word((x, y), half) if "place" in held else None,
    )


def captions(table: Table, facts: Sequence[str] = FACTS) -> list[str]:
    """`words` of every row, without making records of them."""
    held, half = set(facts), half_of(table.aspect)
    columns = [table.objects[n].tolist() for n in ("label", "size", "colour", "texture.kind", "x", "y")]
    out = []
    for i, (on, ground) in enumerate(zip(table.present.tolist(), table.ground["colour"].tolist(), strict=True)):
        seen = [tuple(c[i][j] for c in columns) for j, there in enumerate(on) if there]
        objects = tuple(_said(o, half, held) for o in seen)  # type: ignore[arg-type]
        out.append(say(Statement(objects=objects, ground=GROUNDS[ground] if "ground" in held else None)))
    return out


def say(statement: Statement) -> str:
    """The caption of a statement."""
    parts = []
    for o in statement.objects:
        words_ = [w for w in (o.size, o.colour, o.texture, o.name) if w is not None]
        parts.append(" ".join([*words_, *(["at", o.place] if o.place is not None else [])]))
    if not parts:
        parts.append("nothing")
    return ", ".join([*parts, *([f"on {statement.ground}"] if statement.ground is not None else [])])


def words(scene: Scene, facts: Sequence[str] = FACTS) -> str:
    """The caption of a scene."""
    return say(describe(scene, facts))


def parse(caption: str) -> Statement:
    """What a caption says; the inverse of `say`. Raises `FrisketError` on a word or an order that `say` never uses."""
    parts = caption.strip().split(", ")
    ground = None
    if parts[-1].startswith("on "):
        ground = _one_of(parts.pop().removeprefix("on "), GROUNDS, "ground")
    if parts == ["nothing"]:
        parts = []
    elif not parts:
        raise FrisketError(f"caption {caption!r} names neither an object nor 'nothing'")
    statement = Statement(objects=tuple(_parse_object(part) for part in parts), ground=ground)
    check(say(statement) == caption.strip(), "caption", caption, f"in the caption grammar, such as {say(statement)!r}")
    return statement


def _parse_object(part: str) -> Said:
    head, at, place = part.partition(" at ")
    found: dict[str, str] = {}
    roles = {"size": SIZES, "colour": COLOURS, "texture": TEXTURES, "name": CLASSES}
    for word in head.split():
        role = next((r for r, known in roles.items() if word in known), None)
        if role is None:
            raise unknown("word", word, VOCABULARY[1:])
        check(role not in found, f"{role} of {part!r}", word, "said once")
        found[role] = word
    check("name" in found, "object", part, "named by a digit or a shape")
    return Said(**found, place=_one_of(place, PLACES, "place") if at else None)  # type: ignore[arg-type]


def _one_of(word: str, accepted: Sequence[str], what: str) -> str:
    if word not in accepted:
        raise unknown(what, word, accepted)
    return word


def size_word(size: float) -> str:
    """ "small", "medium" or "large"."""
    return SIZES[sum(size >= limit for limit in SIZE_LIMITS)]


def place_word(centre: tuple[float, float], half: tuple[float, float]) -> str:
    """Which ninth of the frame holds `centre`."""
    column, row = (1 + (c > h / 3) - (c < -h / 3) for c, h in zip(centre, half, strict=True))
    return PLACES[3 * row + column]


def longest(objects: int) -> int:
    """Words of the longest caption of that many objects: seven each, the commas between all parts, "on", the ground."""
    return 8 * objects + 2


def caption_ids(captions: Sequence[str], length: int) -> Int[Tensor, "b n"]:
    """Word ids, 0 behind the end. Raises `FrisketError` on an unknown word or a caption longer than `length`."""
    rows = []
    for caption in captions:
        split = caption.replace(",", " ,").split()
        for word in split:
            if word not in WORD_ID:
                raise unknown("word", word, VOCABULARY[1:])
        check(len(split) <= length, "words of a caption", len(split), f"at most length = {length}")
        rows.append([WORD_ID[word] for word in split] + [0] * (length - len(split)))
    return torch.tensor(rows, dtype=torch.int64).view(len(rows), length)


def caption_text(ids: Int[Tensor, "b n"]) -> list[str]:
    """Captions from word ids; the inverse of `caption_ids`."""
    return [" ".join(VOCABULARY[i] for i in row if i).replace(" ,", ",") for row in ids.tolist()]
