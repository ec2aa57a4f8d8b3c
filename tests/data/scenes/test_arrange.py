import pytest
import torch

from frisket.core import FrisketError, from_config, to_config
from frisket.data.scenes import draw, render_table
from frisket.data.scenes.arrange import FarHalves, Free, right_half


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
