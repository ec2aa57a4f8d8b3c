"""The film strips of a report."""

from __future__ import annotations

import pytest
from video_pipeline import DATA, video_pipeline

from frisket.core import FrisketError
from frisket.core.files import load_tensors
from frisket.evaluation.completions import KINDS
from frisket.evaluation.looks.completions import CompletionFilms
from frisket.testing import check_config


def test_a_strip_a_kind_and_the_scores(tmp_path):
    check_config(CompletionFilms())
    sections, found = CompletionFilms(count=1).sections(video_pipeline(), DATA, 2, tmp_path)
    assert len(sections) == len(KINDS) + 1
    assert "known_change" in found["completions"]
    shown = load_tensors(tmp_path / "shown.safetensors")
    assert {name: tuple(v.shape) for name, v in shown.items()} == dict.fromkeys(KINDS, (1, 3, 8, 8, 8))
    with pytest.raises(FrisketError, match=r"look\.count"):
        CompletionFilms(count=0)
