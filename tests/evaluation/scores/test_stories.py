"""The score of told stories: what is exact by construction, and what it refuses."""

from __future__ import annotations

import pytest
from story_fakes import FILM, pipeline

from frisket.core import FrisketError
from frisket.data.scenes.shot_judge import ShotReader
from frisket.data.scenes.source import Scenes
from frisket.evaluation import stories
from frisket.evaluation.scores.stories import StoryScore, chances, of_the_truth


@pytest.fixture(autouse=True)
def _untrained(monkeypatch):
    monkeypatch.setattr(stories, "shot_reader", ShotReader)


def test_it_gives_what_it_says_and_leaves_what_is_given():
    found = StoryScore().take(pipeline(3), FILM, 3, 0)
    assert set(found) == set(StoryScore.gives)
    assert found["given_change"] == 0
    assert found["extension_gain"] == pytest.approx(found["free_distance"] - found["extension_distance"])
    kinds = [found[f"{name}_followed"] for name in ("size", "direction", "light")]
    assert found["words_followed"] == pytest.approx(sum(kinds) / 3)
    assert found == StoryScore().take(pipeline(3), FILM, 3, 0)


def test_a_scene_at_a_time_gains_nothing_from_what_is_given():
    assert StoryScore().take(pipeline(1), FILM, 2, 0)["extension_gain"] == pytest.approx(0, abs=1e-4)


def test_chance_is_one_in_so_many_words():
    assert chances() == {
        "size_followed": 0.5, "direction_followed": 0.25, "light_followed": 0.5,
        "words_followed": pytest.approx(1.25 / 3),
    }  # fmt: skip


def test_true_stories_are_measured_alike():
    truth = of_the_truth(FILM, 2)
    assert set(truth) <= set(StoryScore.gives)
    assert all(0 <= v <= 1 for v in truth.values())


def test_other_data_are_refused():
    with pytest.raises(FrisketError, match="data/stories"):
        StoryScore().take(pipeline(3), Scenes(), 2, 0)
