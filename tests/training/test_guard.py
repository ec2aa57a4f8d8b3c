from pathlib import Path

import pytest
import torch

from frisket.training.guard import Guard, stop


@pytest.mark.parametrize("bad", [float("nan"), float("inf"), -float("inf")])
def test_the_first_bad_step_is_remembered(bad):
    guard = Guard(torch.device("cpu"))
    guard.watch(0, torch.tensor(1.0), torch.tensor(2.0))
    assert guard.first.item() == -1
    guard.watch(1, torch.tensor(1.0), torch.tensor(bad))
    guard.watch(2, torch.tensor(bad))
    guard.watch(3, torch.tensor(1.0))
    assert guard.first.item() == 1


def test_the_error_names_step_samples_and_checkpoint():
    said = str(stop(12, (88, 96), range(30, 38), Path("run/step-00000010")))
    assert "step 12" in said
    assert "samples 88..95 (items 30, 31, 32, 33, 34, 35, 36, 37 of the training set)" in said
    assert "run/step-00000010" in said


def test_many_items_are_cut_short_and_a_stream_names_none():
    assert "62, 63 and 136 more of the training set" in str(stop(1, (0, 200), range(200), None))
    assert "items" not in str(stop(1, (0, 8), (), None))
