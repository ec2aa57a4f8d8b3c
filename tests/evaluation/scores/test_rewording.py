import pytest
import torch

from frisket.core.errors import FrisketError
from frisket.data.digits import Digits
from frisket.data.scenes.judge import Judge
from frisket.evaluation.scores import rewording
from frisket.evaluation.scores.rewording import InversionScore, RewordingScore, graded, psnr, task_of
from frisket.recipes.dit4edit import captioned, experiment


@pytest.fixture
def judged(monkeypatch):
    """A reader that was never trained: its answers are whatever its first weights say."""
    from frisket.data.scenes.judge import Reader

    monkeypatch.setattr(rewording, "reader", lambda role: Reader(Judge(role=role)).eval())


def task(n=6, seed=0):
    return task_of(captioned("tiny").data, n, seed)


def test_one_word_is_exchanged_and_the_rest_of_the_scene_stays():
    found = task()
    for before, after in zip(found.before, found.after, strict=True):
        old, new = before.split(", "), after.split(", ")
        assert old[0] != new[0]
        assert old[1:] == new[1:]
    assert found.x.shape == (6, 3, 8, 16)


def test_ground_and_other_digits_are_apart_and_leave_the_edited_digit():
    found = task()
    assert not bool((found.ground & found.others).any())
    rest = ~(found.ground | found.others)
    assert bool(rest.flatten(1).any(1).all())
    assert not bool(rest[..., 10:].any())  # the edited digit stands at the left
    assert not bool(found.others[..., :6].any())


def test_the_drawn_class_depends_on_the_seed_and_not_on_how_many():
    assert task(3).after == task(6).after[:3]
    assert task(6, seed=1).after != task(6).after


def test_other_data_is_refused():
    with pytest.raises(FrisketError, match="score/rewording"):
        task_of(Digits(), 2, 0)


def test_psnr_in_closed_form():
    a, b = torch.zeros(1, 3, 2, 2), torch.zeros(1, 3, 2, 2)
    b[..., 0] = 0.1
    left = torch.tensor([[[[True, False], [True, False]]]])
    assert psnr(b, a, left) == pytest.approx(20.0, abs=1e-3)
    assert psnr(b, a, ~left) == 99.0


def test_the_image_itself_is_kept_perfectly(judged):
    found = task()
    grade = graded(found, found.x)
    assert grade["ground_psnr"] == grade["other_psnr"] == 99.0
    assert set(grade) == set(RewordingScore.gives)


def test_scores_of_a_tiny_pipeline(judged, tmp_path):
    from frisket.experiments.system import train

    tiny = experiment("tiny")
    pipeline = train(tiny, tmp_path / "run", quiet=True)
    data = tiny.data
    edits = RewordingScore().take(pipeline, data, 3, 0)
    assert 0 <= edits["edit_accuracy"] <= 1
    assert 0 < edits["ground_psnr"] < 99
    assert RewordingScore().take(pipeline, data, 3, 0) == edits
    error = InversionScore().take(pipeline, data, 3, 0)["inversion_mse"]
    assert 0 < error < 1

    from frisket.evaluation.looks.rewording import EditTable

    sections, numbers = EditTable(steps=(2, 4), shown=2, merging=(0.5,)).sections(pipeline, data, 3, tmp_path)
    assert [s.title for s in sections] == ["Inversion", "Edits", "Edited images"]
    assert set(numbers["inversion_mse"]) == {"steps", "DDIM", "DPM-Solver++ 2M"}
    assert list(numbers["edits"])[:5] == ["unedited", "no control", "cross", "self", "both"]
    assert numbers["edits"]["unedited"]["ground_psnr"] == 99.0
    assert (tmp_path / "edits.safetensors").is_file()
