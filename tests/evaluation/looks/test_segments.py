"""The segmenter's look: overlays and scores as sections."""

from __future__ import annotations

import pytest
import torch

from frisket.core import FrisketError
from frisket.core.files import load_tensors
from frisket.evaluation.looks.segments import SegmentLook, colour_table, painted, stacked
from frisket.experiments.system import build
from frisket.recipes import mask2former


def test_sections_show_pairs_of_truth_and_finding(tmp_path):
    experiment = mask2former.experiment("tiny").fit()
    sections, results = SegmentLook(count=3).sections(build(experiment)[1], experiment.data, 4, tmp_path)
    assert [s.title for s in sections] == ["Segments", "Quality"]
    markup = sections[0].figures[0].markup
    for row in ("image", "true segments", "found segments", "true instances", "found instances"):
        assert f">{row}</th>" in markup
    assert markup.count("<img") == 15
    assert set(results["segments"]) == {"pq", "sq", "rq", "ap", "ap50", "miou"}
    assert [r[0] for r in sections[1].table.rows] == list(results["segments"])
    assert load_tensors(tmp_path / "shown.safetensors")["semantic"].shape == (3, 32, 32)


def test_a_map_is_painted_by_class_with_white_borders():
    image, named = torch.zeros(3, 2, 4), torch.tensor([[0, 0, 1, -1], [0, 0, 1, -1]])
    out = painted(image, named, torch.tensor([[1, 1, 2, 0], [1, 1, 2, 0]]))
    torch.testing.assert_close(out[:, 0, 0], 0.65 * colour_table(2)[0])
    assert out[:, 0, 2].tolist() == [1.0] * 3
    grey = painted(image, named, torch.zeros(2, 4, dtype=torch.int64))
    torch.testing.assert_close(grey[:, 0, 3], torch.full((3,), 0.65 * 0.5))


def test_the_first_instance_lies_on_top():
    image = torch.zeros(1, 1, 3)
    masks = torch.tensor([[[True, True, False]], [[False, True, False]]])
    out = stacked(image, torch.tensor([0, 1]), masks)
    torch.testing.assert_close(out[:, 0, 1], 0.7 * colour_table(2)[0])
    assert torch.equal(stacked(image, torch.zeros(0, dtype=torch.int64), masks[:0]), torch.zeros(3, 1, 3))


def test_a_class_has_one_colour_whatever_their_number():
    assert torch.equal(colour_table(5)[:3], colour_table(3)[:3])
    assert len({tuple(c) for c in colour_table(21).tolist()}) == 22


def test_a_look_at_nothing_is_refused():
    with pytest.raises(FrisketError, match="look.count"):
        SegmentLook(count=0)
