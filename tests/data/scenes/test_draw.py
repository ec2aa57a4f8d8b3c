import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from jaxtyping import TypeCheckError

from frisket.core import FrisketError, from_config, to_config
from frisket.data.scenes import Dial, draw, draw_scene, scenes_of
from frisket.data.scenes.outlines import instances, outlines
from frisket.data.scenes.table import half_of


@settings(max_examples=25, deadline=None)
@given(
    st.integers(0, 2**40),
    st.lists(st.integers(0, 2**31 - 1), min_size=1, max_size=6),
    st.sampled_from(["train", "test"]),
)
def test_a_scene_depends_on_its_number_alone(seed, ids, split):
    together = scenes_of(draw(seed, torch.tensor(ids), split))
    assert together == [draw_scene(seed, i, split) for i in ids]


def test_seeds_splits_and_numbers_differ():
    scenes = {repr(draw_scene(s, i, split).objects) for s in (0, 1) for i in (0, 1) for split in ("train", "test")}
    assert len(scenes) == 8


@pytest.mark.parametrize("split", ["train", "test"])
def test_digits_come_from_the_split_and_bear_their_label(split):
    table = draw(0, torch.arange(2000), split)
    digit = table.present & (table.objects["label"] < 10)
    used = table.objects["instance"][digit]
    assert set(used.tolist()) <= set(torch.cat(instances(split)).tolist())
    assert torch.equal(outlines().labels[used], table.objects["label"][digit])
    assert len(used.unique()) > 0.5 * min(len(used), sum(map(len, instances(split))))


def test_the_dial_sets_what_is_drawn():
    dial = Dial(objects=(2, 4), palette=3, grounds=2, glyphs=1, kinds=("digit",), textures=("striped",), tilt=0.0)
    table = draw(0, torch.arange(500), "train", dial)
    o, on = table.objects, table.present
    assert set(on.sum(1).tolist()) == {2, 3, 4}
    assert o["colour"][on].unique().tolist() == [0, 1, 2]
    assert table.ground["colour"].unique().tolist() == [0, 1]
    assert len(o["instance"][on].unique()) == 10
    assert o["label"][on].max() == 9
    assert o["texture.kind"][on].unique().tolist() == [1]
    assert o["angle"].abs().max() == 0
    assert ((o["size"] >= 0.12) & (o["size"] <= 0.24)).all()


def test_overlap_zero_keeps_circles_apart_wherever_there_is_room():
    def touching(overlap):
        o = draw(0, torch.arange(400), "train", Dial(objects=(2, 2), overlap=overlap, sizes=(0.12, 0.18))).objects
        far = (o["x"][:, 0] - o["x"][:, 1]).hypot(o["y"][:, 0] - o["y"][:, 1])
        return (far < o["size"].sum(1)).double().mean()

    assert touching(0.0) < 0.01
    assert touching(1.0) > 0.2


@pytest.mark.parametrize("aspect", [0.5, 1.0, 2.0])
def test_centres_fill_the_frame(aspect):
    o = draw(0, torch.arange(1000), "train", aspect=aspect).objects
    for axis, half in zip("xy", half_of(aspect), strict=True):
        assert 0.75 * half < o[axis].abs().max() < half


def test_depths_are_distinct_and_ordered():
    depth = draw(0, torch.arange(300), "train", Dial(objects=(5, 5))).objects["depth"]
    assert (depth.diff(dim=1) > 0.05).all()


def test_dials_are_configs_and_refuse_what_they_cannot_be():
    dial = Dial(objects=(2, 2), glyphs=4)
    assert from_config(to_config(dial)) == dial
    for bad in (
        {"objects": (0, 2)}, {"objects": (3, 2)}, {"overlap": 2.0}, {"palette": 11}, {"grounds": 0}, {"glyphs": 0},
        {"kinds": ("cat",)}, {"textures": ()}, {"sizes": (0.3, 0.2)},
    ):  # fmt: skip
        with pytest.raises(FrisketError, match=f"dial.{next(iter(bad))}"):
            Dial(**bad)
    with pytest.raises((FrisketError, TypeCheckError), match="split"):
        draw(0, torch.arange(1), "valid")
