import pytest

from frisket.core import FrisketError
from frisket.data.scenes.clips import render_clip
from frisket.data.scenes.story import LIGHTS, RADII, ShotWords, medley, parse_shot, story
from frisket.data.scenes.vocabulary import CLASSES


def test_a_story_keeps_its_character_and_ground():
    for index in range(10):
        shots = story(0, index, "train")
        assert len(shots) == 3
        heroes = {(o.label, o.instance, o.colour, o.texture) for s in shots for o in s.scene.objects}
        assert len(heroes) == 1
        assert len({s.scene.ground for s in shots}) == 1


def test_a_medley_changes_it():
    shots = medley(0, 3, "train", shots=6)
    assert len({(s.scene.objects[0].instance, s.scene.ground.colour) for s in shots}) == 6


def test_captions_say_what_is_seen():
    seen = set()
    for index in range(20):
        for shot in story(1, index, "test"):
            said = parse_shot(shot.caption)
            assert said == shot.said
            hero = shot.scene.objects[0]
            assert (said.name, RADII[said.size]) == (CLASSES[hero.label], hero.size)
            assert shot.scene.light.level == LIGHTS[said.light]
            seen.add((said.size, said.direction, said.light))
    assert len(seen) > 10


def test_shots_move_as_they_say():
    for shot in story(2, 0, "train", shots=8):
        first, last = (shot.clip(4).scenes[i].objects[0].centre for i in (0, -1))
        wanted = {"left": (-1, 0), "right": (1, 0), "up": (0, -1), "down": (0, 1)}[shot.said.direction]
        moved = [b - a for a, b in zip(first, last, strict=True)]
        assert moved == pytest.approx([0.15 * w for w in wanted])
    assert render_clip(shot.clip(4), (16, 16)).shape == (3, 4, 16, 16)


def test_other_words_are_refused():
    assert parse_shot("large three moves left, dim") == ShotWords(
        name="three", size="large", direction="left", light="dim"
    )
    for caption in ("large three walks left, dim", "large three moves left dim", "huge three moves left, dim", ""):
        with pytest.raises(FrisketError):
            parse_shot(caption)
    with pytest.raises(FrisketError, match="shots"):
        story(0, 0, "train", shots=0)
