import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from frisket.core import FrisketError
from frisket.data.scenes import Dial, Ground, Object, Scene, Texture, draw, scenes_of
from frisket.data.scenes.vocabulary import PLACES
from frisket.data.scenes.words import (
    FACTS,
    VOCABULARY,
    caption_ids,
    caption_text,
    captions,
    describe,
    longest,
    parse,
    place_word,
    say,
    size_word,
    words,
)  # fmt: skip

SCENES = scenes_of(draw(0, torch.arange(200), "train", Dial(objects=(1, 4), palette=10)))


def test_the_caption_of_a_known_scene():
    first = Object(label=3, colour=0, size=0.22, centre=(-0.3, -0.3), depth=0.2, texture=Texture(kind=1))
    scene = Scene(objects=(first, Object(label=14, colour=2, size=0.13)), ground=Ground(colour=0))
    assert words(scene) == "large red striped three at top left, small blue plain star at centre, on navy"
    assert words(scene, ("colour",)) == "red three, blue star"
    assert words(scene, ()) == "three, star"
    assert words(Scene()) == "nothing, on navy"


@settings(max_examples=50, deadline=None)
@given(st.sampled_from(SCENES), st.sets(st.sampled_from(FACTS)))
def test_parse_is_the_inverse(scene, facts):
    facts = tuple(facts)
    said = describe(scene, facts)
    assert parse(words(scene, facts)) == said
    assert say(parse(words(scene, facts))) == words(scene, facts)
    assert parse(words(Scene(), facts)) == describe(Scene(), facts)


@pytest.mark.parametrize("facts", [FACTS, ("place",), ()])
def test_tables_and_records_are_described_alike(facts):
    table = draw(1, torch.arange(40), "test", aspect=2.0)
    assert captions(table, facts) == [words(s, facts) for s in scenes_of(table)]


def test_ids_hold_every_caption():
    captions = [words(s) for s in SCENES]
    ids = caption_ids(captions, longest(4))
    assert caption_text(ids) == captions
    assert ids.max() < len(VOCABULARY)
    assert len(set(VOCABULARY)) == len(VOCABULARY)


@pytest.mark.parametrize(
    "caption",
    ["crimson three", "red blue three", "red", "three at nowhere", "three, on mars", "", "striped red three",
     "nothing, three", "on navy", "red  three", "three at"],
)  # fmt: skip
def test_what_say_never_says_is_refused(caption):
    with pytest.raises(FrisketError):
        parse(caption)


def test_unknown_words_and_facts_are_named():
    with pytest.raises(FrisketError, match="did you mean 'yellow'"):
        parse("yelow three")
    with pytest.raises(FrisketError, match="fact"):
        words(SCENES[0], ("mood",))
    with pytest.raises(FrisketError, match="length"):
        caption_ids(["red three"], 1)
    with pytest.raises(FrisketError, match="word"):
        caption_ids(["crimson"], 4)


def test_places_are_ninths_and_sizes_thirds():
    spots = [(x, y) for y in (-0.4, 0.0, 0.4) for x in (-0.4, 0.0, 0.4)]
    assert tuple(place_word(c, (0.5, 0.5)) for c in spots) == PLACES
    assert place_word((0.4, 0.0), (1.5, 0.5)) == "centre"
    assert [size_word(s) for s in (0.1, 0.16, 0.19, 0.2)] == ["small", "medium", "medium", "large"]
