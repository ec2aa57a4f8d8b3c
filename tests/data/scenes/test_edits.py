from dataclasses import replace

import pytest
import torch

from frisket.core import FrisketError
from frisket.data.scenes import Dial, Ground, Object, Scene, draw, scenes_of
from frisket.data.scenes.edits import VERBS, Change, draw_change, edit, instruction, pair
from frisket.data.scenes.outlines import instances

DIAL = Dial(objects=(1, 3), overlap=0.8)
SCENES = scenes_of(draw(4, torch.arange(12), "test", DIAL))


@pytest.mark.parametrize("verb", VERBS)
def test_the_unchanged_region_is_exact_and_the_rest_shows(verb):
    shown = 0
    for scene in SCENES:
        p = pair(scene, draw_change(scene, 1, (verb,), DIAL), (32, 32))
        differs = (p.before != p.after).any(0, keepdim=True)
        assert not (differs & p.unchanged).any()
        assert p.scenes[0] == scene
        shown += int(differs.any())
        if verb not in ("ground",):
            assert p.unchanged.float().mean() > 0.4
    assert shown >= 10


def test_changes_are_functions_of_scene_and_seed():
    again = [draw_change(s, 1) for s in SCENES]
    assert again == [draw_change(s, 1) for s in SCENES]
    assert again != [draw_change(s, 2) for s in SCENES]
    assert len({c.verb for c in again}) >= 4


def test_new_digits_of_a_test_edit_are_test_digits():
    known = set(torch.cat(instances("test")).tolist())
    new = [draw_change(s, seed, ("add", "replace")).to for s in SCENES for seed in range(3)]
    assert {o.instance for o in new if o.label < 10} <= known


def test_every_instruction_says_something_new():
    for scene in SCENES:
        for verb in ("recolour", "retexture", "move", "resize", "replace"):
            change = draw_change(scene, 3, (verb,))
            old = scene.objects[change.which]
            assert instruction(scene, change) != instruction(scene, replace(change, to=old))
            assert len(edit(scene, change).objects) == len(scene.objects)


def test_verbs_do_what_they_say():
    star = Object(label=14, colour=1, depth=0.5, size=0.2)
    scene = Scene(objects=(star,))
    near = Object(label=3, colour=0, depth=0.1)
    assert edit(scene, Change(verb="add", to=near)).objects == (near, star)
    assert edit(scene, Change(verb="remove", which=0)).objects == ()
    assert edit(scene, Change(verb="ground", to=Ground(colour=5))).ground.colour == 5
    assert instruction(scene, Change(verb="remove", which=0)) == "remove yellow star"
    assert instruction(scene, Change(verb="add", to=near)) == "add large red three at centre"
    assert (
        instruction(scene, Change(verb="recolour", which=0, to=replace(star, colour=2)))
        == "recolour yellow star to blue"
    )
    assert instruction(scene, Change(verb="ground", to=Ground(colour=5))) == "ground to sand"


def test_bad_changes_are_named():
    scene = Scene(objects=(Object(label=1),))
    with pytest.raises(FrisketError, match="verb"):
        edit(scene, Change(verb="explode"))
    with pytest.raises(FrisketError, match=r"change\.which"):
        edit(scene, Change(verb="remove", which=1))
    with pytest.raises(FrisketError, match=r"change\.to"):
        edit(scene, Change(verb="ground", to=Object(label=1)))
    with pytest.raises(FrisketError, match=r"change\.to"):
        edit(scene, Change(verb="move", which=0))
    with pytest.raises(FrisketError, match="verbs"):
        draw_change(Scene(), 0, ("remove",))
    with pytest.raises(FrisketError, match="verb"):
        draw_change(scene, 0, ("explode",))
    with pytest.raises(FrisketError, match="no scene of"):
        draw_change(scene, 0, ("ground",), Dial(grounds=1))
