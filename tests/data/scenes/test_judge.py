from dataclasses import replace
from itertools import pairwise

import pytest
import torch
from jaxtyping import TypeCheckError

from frisket.core import FrisketError
from frisket.data.scenes import Dial, Object, Scene, draw, render_table, scenes_of, table_of
from frisket.data.scenes import judge as room
from frisket.data.scenes.judge import NONE, Judge, Reader, _halved, _lattice, _lesson, windows_of
from frisket.data.scenes.words import describe

EASY = Dial(objects=(1, 2), overlap=0.0, kinds=("shape",), textures=("plain",), sizes=(0.2, 0.24))


@pytest.fixture(scope="module")
def reader(tmp_path_factory):
    """A reader of few steps: enough for large plain shapes, trained from nothing."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("FRISKET_CACHE", str(tmp_path_factory.mktemp("judge")))
        first = Judge(steps=45).build()
        patch.setattr(room, "_train", lambda config: pytest.fail("the stored reader is not used"))
        again = Judge(steps=45).build()
    for a, b in zip(first.parameters(), again.parameters(), strict=True):
        assert torch.equal(a, b)
    return first


@pytest.fixture(scope="module")
def shown():
    table = draw(9, torch.arange(120), "test", EASY)
    return table, render_table(table, (32, 32))["rgb"]


def test_true_pictures_agree_and_others_do_not(reader, shown):
    table, x = shown
    right, wrong = reader.judge(x, table), reader.judge(x.roll(1, 0), table)
    count = table.present.sum()
    assert right.same_colour.sum() / count > 0.9
    assert right.same_class.sum() / count > 0.3  # chance is 0.05
    assert right.agreement.mean() > 5 * wrong.agreement.mean()
    assert torch.equal(right.present, table.present)
    assert not right.same_class[~table.present].any()


def test_the_likelihood_can_be_climbed(reader, shown):
    table, x = shown
    x = x[:4].clone().requires_grad_()
    before = reader.judge(x, table.__class__(**{**table.__dict__, **_rows(table, 4)})).likely.sum()
    before.backward()
    assert x.grad is not None
    assert x.grad.abs().sum() > 0


def _rows(table, n):
    cut = {name: {k: v[:n] for k, v in getattr(table, name).items()} for name in ("objects", "ground", "light")}
    return {"present": table.present[:n], "index": table.index[:n], **cut}


def test_captions_are_found_where_they_are_said(reader, shown):
    table, x = shown
    said = [describe(s, ("colour", "place")) for s in scenes_of(table)][:24]
    right = [p for row in reader.find(x[:24], said) for p in row]
    wrong = [p for row in reader.find(x[:24], said[5:] + said[:5]) for p in row]
    assert sum(right) / len(right) > 2 * sum(wrong) / len(wrong)


def test_windows_of_the_search_fit_objects_of_every_size():
    """A window much smaller than an object sees a piece of it, and true pictures then disagree with their captions."""
    spots, _, words = _lattice(0.5, 0.5)
    radii = spots[:, 2]
    for size in torch.linspace(0.13, 0.36, 24):
        assert ((radii / size - 1).abs() < 0.15).any(), float(size)
    assert all(bool(a <= b) for a, b in pairwise(words[radii.argsort()]))


def test_the_two_readers_learn_from_disjoint_digits_and_no_test_digit():
    used = {}
    for role in ("guide", "score"):
        table = _halved(draw(0, torch.arange(800), "train", Dial(kinds=("digit",))), role)
        assert torch.equal(room.outlines().labels[table.objects["instance"]], table.objects["label"])
        used[role] = set(table.objects["instance"].flatten().tolist())
    assert not used["guide"] & used["score"]
    assert not (used["guide"] | used["score"]) & set(torch.cat(room.instances("test")).tolist())
    a, b = (_lesson(Judge(role=role), 0)[0] for role in ("guide", "score"))
    assert a.shape != b.shape or not torch.equal(a, b)


def test_lessons_hold_objects_and_empty_places():
    windows, label, colour = _lesson(Judge(), 1)
    assert windows.shape == (len(label), 3, 16, 16)
    assert label.max() == NONE
    assert torch.equal(colour == -100, label == NONE)


def test_windows_show_what_stands_there():
    ramp = torch.linspace(0, 1, 65)[1::2][:32].expand(1, 3, 32, 32)  # x + 1/2 at pixel centres
    spot = torch.tensor([[[0.1, 0.0, 0.1]]])
    got = windows_of(ramp, spot)[0, 0, 0, 0]
    wanted = 0.6 + 0.1 * room.REACH * ((torch.arange(16) + 0.5) / 8 - 1)
    torch.testing.assert_close(got, wanted, atol=0.02, rtol=0)


def test_an_empty_scene_agrees(reader):
    assert reader.judge(torch.zeros(1, 3, 16, 16), table_of([Scene()])).agreement.tolist() == [1.0]


def test_bad_requests_are_named(reader):
    with pytest.raises((FrisketError, TypeCheckError), match="role"):
        Judge(role="both")  # type: ignore[arg-type]
    with pytest.raises(FrisketError, match=r"judge\.steps"):
        Judge(steps=0)
    with pytest.raises((FrisketError, TypeCheckError), match="image"):
        room.judge(torch.zeros(1, 8, 8), Scene(objects=(Object(label=1),)))
    with pytest.raises(FrisketError, match="statements"):
        reader.find(torch.zeros(2, 3, 8, 8), [])


def test_weights_start_from_the_config_alone():
    a, b, c = (Reader(Judge(seed=s)) for s in (0, 0, 1))
    assert torch.equal(a.conv1_weight, b.conv1_weight)
    assert not torch.equal(a.conv1_weight, c.conv1_weight)
    assert replace(Judge(), role="guide") != Judge()
