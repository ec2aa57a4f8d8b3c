import pytest
import torch

from frisket.core import FrisketError, from_config, to_config
from frisket.data.scenes import draw, render_table
from frisket.data.scenes.arrange import FarHalves, Free, Sides, right_half
from frisket.data.scenes.draw import Dial
from frisket.data.scenes.source import Scenes
from frisket.data.scenes.vocabulary import CLASSES


def test_free_is_as_drawn():
    table = draw(0, torch.arange(3), "train")
    assert Free()(table) is table
    assert Free().most(4) == 4


@pytest.mark.parametrize("aspect", [1.0, 2.0])
def test_far_halves_agree_and_leave_the_middle_empty(aspect):
    table = FarHalves(gap=0.5)(draw(0, torch.arange(40), "train", aspect=aspect))
    size = (32, int(32 * aspect))
    r = render_table(table, size, ("alpha", "semantic"))
    w = size[1]
    middle = slice(w // 4, w - w // 4)
    assert r["alpha"][..., middle].eq(0).all()
    left, right = r["semantic"][..., : w // 4], r["semantic"][..., -(w // 4) :]
    assert torch.equal(left.flatten(1).amax(1), right.flatten(1).amax(1))
    assert (left.flatten(1).amax(1) > 0).all()
    for name in ("label", "instance", "colour", "size", "angle", "texture.seed", "y"):
        assert torch.equal(table.objects[name][:, 0], table.objects[name][:, 1])


def test_the_right_half_holds_the_twin_alone():
    table = FarHalves()(draw(0, torch.arange(40), "train"))
    inside = right_half((32, 32))
    i = render_table(table, (32, 32), ("instances",))["instances"]
    assert set(i[:, inside[0]].unique().tolist()) == {0, 2}
    assert not (i[:, ~inside[0]] == 2).any()


def test_it_is_a_config():
    assert from_config(to_config(FarHalves(gap=0.3))) == FarHalves(gap=0.3)
    with pytest.raises(FrisketError, match=r"arrange\.gap"):
        FarHalves(gap=1.0)


def test_sides_stand_in_the_order_of_their_caption_and_do_not_meet():
    data = Scenes(size=(12, 24), dial=Dial(objects=(2, 3), sizes=(0.3, 0.45)), arrange=Sides(), facts=())
    table = data.open().table(torch.arange(32))
    o, k = table.objects, table.present.sum(1)
    assert bool((o["x"].diff(dim=1)[table.present[:, 1:]] > 0).all())
    reach = o["size"] * (o["angle"].cos().abs() + o["angle"].sin().abs())
    assert bool((reach <= (1 / k)[:, None] + 1e-6)[table.present].all())
    assert bool((reach + o["y"].abs() <= 0.5 + 1e-6)[table.present].all())
    batch = data.open().batch(torch.arange(4))
    assert batch["caption"][0].split(", ")[0] == CLASSES[int(batch["labels"][0, 0])]
