"""What is measured of told stories: on readings made by hand, and on a model that was never trained."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from story_fakes import FILM, TALES, pipeline

from frisket.core import FrisketError
from frisket.data.scenes.shot_judge import ShotReader
from frisket.data.scenes.source import Scenes
from frisket.data.scenes.stories import NewCharacters, tale
from frisket.evaluation import stories
from frisket.evaluation.stories import among, anew, apart, continued, follows, read, swap_shares, swapped, tales, tell

F = TALES.frames


@pytest.fixture(autouse=True)
def _untrained(monkeypatch):
    monkeypatch.setattr(stories, "shot_reader", ShotReader)


def certain(places, words):
    return torch.nn.functional.one_hot(torch.tensor(places), words).float()


def test_tales_are_test_stories_of_one_character_however_they_were_trained():
    one, other = tales(FILM, 2), tales(replace(FILM, shots=1, cast=NewCharacters()), 2)
    assert one.prompts == other.prompts
    assert torch.equal(one.batch["x"], other.batch["x"])
    assert [len(row) for row in one.prompts] == [5, 5]
    with pytest.raises(FrisketError, match="data/stories"):
        tales(Scenes(), 2)


def test_every_scene_is_told_in_its_place_and_by_the_same_noise():
    whole, single = pipeline(3), pipeline(1)
    first = [row[:3] for row in TALES.prompts]
    film = tell(whole, first, F, 0)
    assert torch.equal(film, whole.sample(2, seed=0, caption=[tale(row) for row in first]))
    apart_ = tell(single, first, F, 0)
    assert apart_.shape == film.shape
    assert torch.equal(apart_[:, :, F : 2 * F], single.sample(2, seed=0, caption=[tale(row[1:2]) for row in first]))
    again = tell(single, [(row[0],) * 3 for row in first], F, 0)
    assert torch.equal(again[:, :, :F], again[:, :, F : 2 * F])
    with pytest.raises(FrisketError, match="scenes to tell"):
        tell(whole, [row[:2] for row in first], F, 0)


def test_what_was_told_stays_when_the_story_goes_on():
    whole = pipeline(3)
    film = tell(whole, [row[:3] for row in TALES.prompts], F, 0)
    longer = continued(whole, film, TALES, 1)
    assert longer.shape[2] == 5 * F
    assert torch.equal(longer[:, :, : 3 * F], film)
    other = continued(whole, film.flip(2), TALES, 1)
    assert not torch.equal(longer[:, :, 3 * F :], other[:, :, 3 * F :])  # given scenes reach what is made
    assert anew(whole, TALES, 1).shape[2] == 2 * F


def test_a_scene_by_itself_goes_on_as_if_nothing_was_given():
    single = pipeline(1)
    film = tell(single, [row[:3] for row in TALES.prompts], F, 0)
    torch.testing.assert_close(
        continued(single, film, TALES, 1)[:, :, 3 * F :], anew(single, TALES, 1), atol=1e-4, rtol=0
    )


def test_readings_are_a_row_a_scene():
    seen = read(TALES.batch["x"], TALES.stories)
    assert seen["direction"].shape == (2, 5, 4)
    torch.testing.assert_close(seen["colour"].sum(-1), torch.ones(2, 5))
    right = follows({**seen, "light": certain(TALES.batch["light"].tolist(), 2)}, TALES.batch)
    assert right["light"].all()


def test_shares_of_swapped_words_count_only_where_prompts_differ():
    batch = {
        "id": torch.arange(3), "size": torch.tensor([[0, 1], [0, 0], [1, 1]]),
        "direction": torch.tensor([[2, 3], [1, 0], [1, 1]]), "light": torch.tensor([[0, 0], [1, 0], [0, 0]]),
    }  # fmt: skip
    seen = {
        "size": certain([[1, 0], [1, 1], [1, 1]], 2), "direction": certain([[3, 3], [0, 1], [1, 1]], 4),
        "light": certain([[1, 1], [1, 1], [0, 0]], 2),
    }  # fmt: skip
    shares = swap_shares(seen, batch)
    assert shares[:2].tolist() == [3 / 4, 3 / 4]
    assert shares[2].isnan()
    assert swapped([("a", "b", "c")]) == [("b", "a", "c")]


def test_distances_are_total_variation_between_scenes():
    p = certain([[0, 0, 0], [0, 1, 2], [0, 0, 1]], 3)
    assert among(p).tolist() == pytest.approx([0.0, 1.0, 2 / 3])
    assert apart(p[:, :1], p[:, 1:]).tolist() == pytest.approx([0.0, 1.0, 0.5])
    half = torch.tensor([[[0.5, 0.5, 0.0]]])
    assert apart(half, certain([[0]], 3)).item() == pytest.approx(0.5)


def test_a_model_without_captions_is_refused(monkeypatch):
    whole = pipeline(3)
    monkeypatch.setattr(whole, "readers", {})
    with pytest.raises(FrisketError, match="caption"):
        tell(whole, [row[:3] for row in TALES.prompts], F, 0)


def test_the_reader_is_that_of_the_stories():
    assert stories.shot_reader(TALES.stories).frames == F
