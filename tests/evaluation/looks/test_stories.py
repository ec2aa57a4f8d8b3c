"""The boards of told stories: a row a scene beside its prompt, and the scores with chance and truth."""

from __future__ import annotations

import pytest
from story_fakes import FILM, TALES, pipeline

from frisket.core import FrisketError
from frisket.core.files import load_tensors
from frisket.data.scenes.shot_judge import ShotReader
from frisket.evaluation import stories
from frisket.evaluation.looks.stories import StoryBoards


@pytest.fixture(autouse=True)
def _untrained(monkeypatch):
    monkeypatch.setattr(stories, "shot_reader", ShotReader)


def test_sections_show_every_scene_beside_its_prompt(tmp_path):
    sections, results = StoryBoards(count=2).sections(pipeline(3), FILM, 2, tmp_path)
    told, turned, further, true, scores = sections
    assert [len(s.figures) for s in (told, turned, further, true)] == [2, 2, 2, 2]
    first, second = TALES.prompts[0][:2]
    assert f"1. {first}" in told.figures[0].markup
    assert f"1. {second}" in turned.figures[0].markup
    assert f"3. {TALES.prompts[0][2]} (given)" in further.figures[0].markup
    assert f"4. {TALES.prompts[0][3]}<" in further.figures[0].markup
    assert told.figures[0].markup.count("<img") == 3 * TALES.frames
    assert further.figures[0].markup.count("<img") == 5 * TALES.frames
    rows = {row[0]: row[1:] for row in scores.table.rows}
    assert rows["direction_followed"][1] == "0.25"
    assert rows["swapped"][1:] == ("", "")
    assert set(results["stories"]) == set(rows)
    assert set(load_tensors(tmp_path / "shown.safetensors")) == {"told", "exchanged", "continued"}


def test_no_story_is_refused():
    with pytest.raises(FrisketError, match="look.count"):
        StoryBoards(count=0)
