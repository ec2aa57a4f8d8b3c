import argparse
import pickle

import pytest
import torch
from safetensors.torch import save_file

from frisket.core.errors import FrisketError
from frisket.interop.checkpoints import read_weights

WEIGHTS = {"a.weight": torch.arange(6.0).view(2, 3), "b": torch.ones(2)}


class Payload:
    def __reduce__(self):
        return (print, ("run by a checkpoint",))


@pytest.mark.parametrize("wrap", [None, "ema", "model", "state_dict"])
def test_weights_are_found_under_the_usual_names(tmp_path, wrap):
    torch.save(WEIGHTS if wrap is None else {wrap: WEIGHTS, "steps": 3}, tmp_path / "c.pt")
    found = read_weights(tmp_path / "c.pt")
    assert {k: v.tolist() for k, v in found.items()} == {k: v.tolist() for k, v in WEIGHTS.items()}


def test_averages_come_before_raw_weights_and_a_wrapper_is_left_out(tmp_path):
    averaged = {f"module.{name}": value * 2 for name, value in WEIGHTS.items()}
    torch.save({"model": WEIGHTS, "ema": averaged}, tmp_path / "c.pth")
    assert read_weights(tmp_path / "c.pth")["b"].tolist() == [2.0, 2.0]


def test_safetensors_are_read_as_they_are(tmp_path):
    save_file(WEIGHTS, tmp_path / "c.safetensors")
    assert set(read_weights(tmp_path / "c.safetensors")) == set(WEIGHTS)


def test_code_in_a_checkpoint_is_refused_and_not_run(tmp_path, capsys):
    torch.save({"model": Payload()}, tmp_path / "c.pt")
    (tmp_path / "d.pt").write_bytes(pickle.dumps(Payload()))
    for name in ("c.pt", "d.pt"):
        with pytest.raises(FrisketError, match="never run"):
            read_weights(tmp_path / name)
    assert "run by a checkpoint" not in capsys.readouterr().out


@pytest.mark.parametrize(
    ("name", "held", "said"),
    [("none.pt", None, "does not exist"), ("a.txt", b"x", "or .safetensors"), ("b.pt", b"x", "cannot be read")],
)
def test_other_files_are_refused(tmp_path, name, held, said):
    if held is not None:
        (tmp_path / name).write_bytes(held)
    with pytest.raises(FrisketError, match=said):
        read_weights(tmp_path / name)


def test_a_file_without_weights_says_what_it_holds(tmp_path):
    torch.save({"epoch": 3}, tmp_path / "c.pt")
    with pytest.raises(FrisketError, match="it holds epoch"):
        read_weights(tmp_path / "c.pt")


@pytest.mark.parametrize(
    "held",
    [
        {"ema": WEIGHTS, "model": {}, "opt": {"step": 3}, "args": argparse.Namespace(depth=3)},
        {"state_dict": WEIGHTS, "ema": {"decay": 0.9, "shadow_params": [torch.zeros(1)]}},
    ],
)
def test_what_training_scripts_store_beside_the_weights_is_left_out(tmp_path, held):
    torch.save(held, tmp_path / "c.ckpt")
    assert set(read_weights(tmp_path / "c.ckpt")) == set(WEIGHTS)
