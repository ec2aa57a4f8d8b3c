"""Freely moving scenes: a set like any other, whose objects keep their speed until the border."""

from __future__ import annotations

import pytest
import torch

from frisket.core import FrisketError
from frisket.data.scenes.draw import Dial
from frisket.data.scenes.drifts import Drifts
from frisket.testing import check_config, check_data

IDS = torch.arange(5)


def test_it_is_a_data_set():
    check_config(Drifts())
    check_data(Drifts(size=(8, 8), frames=3), n=3, splits=8)


def test_a_batch_holds_what_is_promised():
    source = Drifts(size=(8, 12), frames=4, views=("semantic",)).open("test")
    batch = source.batch(IDS)
    assert batch["x"].shape == (5, *source.info.shape) == (5, 3, 4, 8, 12)
    assert batch["semantic"].shape == (5, 4, 8, 12)
    assert batch["track"].shape == (5, 4, 2, 2)
    assert source.info.kind == "video"
    assert source.info.classes == ()


def test_objects_move_on_and_turn_back():
    calm = Drifts(frames=12, dial=Dial(objects=(1, 1), speed=0.2, sizes=(0.1, 0.1))).open("train").batch(IDS)
    moves = calm["track"][:, :, 0].diff(dim=1)  # (b, f - 1, 2)
    assert calm["track"].abs().max() <= 0.5
    speeds = moves.abs().flatten(0, 1)
    assert speeds.max() <= 0.2 + 1e-6
    turned = (moves[:, 1:] * moves[:, :-1] < 0).any()
    assert bool(turned)
    assert not torch.equal(calm["x"][:, :, 0], calm["x"][:, :, 1])


def test_what_is_not_there_is_refused():
    with pytest.raises(FrisketError, match="view"):
        Drifts(views=("colour",))
    with pytest.raises(FrisketError, match="frames"):
        Drifts(frames=1)
    with pytest.raises(FrisketError, match=r"data\.size"):
        Drifts(size=(0, 4))
    with pytest.raises(FrisketError, match="ids"):
        Drifts().open("train").batch(torch.tensor([-1]))
