import pytest
import torch

from frisket.core import FrisketError
from frisket.data.scenes import Object, Scene, draw, draw_scene, render, scenes_of, table_of
from frisket.data.scenes.clips import clip, draw_actions, paths, render_clip, render_paths
from frisket.data.scenes.vocabulary import ACTIONS

ACTOR = Object(label=3, depth=0.2, size=0.1, velocity=(0.2, 0.2))
OTHER = Object(label=12, depth=0.6, size=0.1, centre=(-0.3, 0.0), velocity=(0.02, 0.0))
SCENE = Scene(objects=(ACTOR, OTHER))


def test_the_actor_obeys_and_the_others_go_their_way():
    made = clip(SCENE, 6, ("left", "left", "up", "right", "stay"))
    assert [s.objects[0].centre for s in made.scenes] == [
        pytest.approx(p) for p in [(0, 0), (-0.05, 0), (-0.1, 0), (-0.1, -0.05), (-0.05, -0.05), (-0.05, -0.05)]
    ]
    assert made.scenes[5].objects[1].centre == pytest.approx((-0.2, 0.0))
    assert made.scenes[0] == SCENE


def test_the_actor_stops_at_the_border():
    made = clip(SCENE, 20, ("down",) * 19)
    assert made.scenes[-1].objects[0].centre == pytest.approx((0.0, 0.45))


def test_without_actions_everything_moves_by_its_velocity():
    made = clip(SCENE, 3)
    assert made.scenes[2].objects[0].centre == pytest.approx((0.4, 0.4))
    assert torch.equal(render_clip(made, (24, 24))[:, 2], render(SCENE, (24, 24), frame=2))


@pytest.mark.parametrize(
    ("view", "shape"),
    [("rgb", (3, 4, 16, 20)), ("semantic", (4, 16, 20)), ("flow", (2, 4, 16, 20)), ("depth", (1, 4, 16, 20))],
)
def test_frames_stand_after_the_channels(view, shape):
    assert render_clip(clip(SCENE, 4), (16, 20), view).shape == shape


def test_flow_of_a_clip_follows_the_actor():
    f = render_clip(clip(SCENE, 3, ("right", "up")), (40, 40), "flow")
    at = [(20, 20), (20, 22)]
    semantic = render_clip(clip(SCENE, 3, ("right", "up")), (40, 40), "semantic")
    for t, wanted in enumerate([(2.0, 0.0), (0.0, -2.0)]):
        moved = f[:, t][:, semantic[t] == 4]
        torch.testing.assert_close(moved, torch.tensor(wanted)[:, None].expand_as(moved))
        assert moved.shape[1] > 5, at
    assert f[:, 2].eq(0).all()


def test_records_and_tables_move_alike():
    table = draw(0, torch.arange(5), "train")
    actions = draw_actions(0, torch.arange(5), 6)
    together = render_paths(table, paths(table, 6, actions), (16, 16))["rgb"]
    for i, scene in enumerate(scenes_of(table)):
        made = clip(scene, 6, [ACTIONS[a] for a in actions[i]])
        torch.testing.assert_close(render_clip(made, (16, 16)), together[i], atol=1e-6, rtol=0)


def test_actions_are_held_and_do_not_depend_on_the_batch():
    a = draw_actions(0, torch.arange(300), 9)
    assert a.shape == (300, 8)
    assert torch.equal(draw_actions(0, torch.tensor([7]), 9)[0], a[7])
    assert a.unique().tolist() == [0, 1, 2, 3, 4]
    assert 0.6 < (a[:, 1:] == a[:, :-1]).double().mean() < 0.76  # hold + (1 - hold) / 5 = 0.68


def test_an_empty_scene_makes_an_empty_clip():
    assert render_clip(clip(Scene(), 2), (8, 8)).shape == (3, 2, 8, 8)


@pytest.mark.parametrize(
    ("frames", "actions", "actor", "match"),
    [(0, (), 0, "frames"), (3, ("up",), 0, "actions"), (2, ("jump",), 0, "action"), (2, ("up",), 5, "actor")],
)
def test_bad_clips_are_named(frames, actions, actor, match):
    with pytest.raises(FrisketError, match=match):
        clip(draw_scene(0, 0, "train"), frames, actions, actor)
    with pytest.raises(FrisketError, match="view"):
        render_paths(table_of([SCENE]), paths(table_of([SCENE]), 2), (8, 8), ("smell",))
