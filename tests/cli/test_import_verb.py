"""`frisket import`: from golden weights to a model folder."""

from __future__ import annotations

import json
import pickle

import pytest
import torch

from frisket.core.condition import Condition
from frisket.core.files import save_tensors
from frisket.experiments.system import load
from frisket.interop.golden import golden
from frisket.interop.official import load_official
from run_folders import frisket, refused


def official(name):
    weights, inputs, _ = golden(name)
    return weights, inputs["x"], inputs["t"], Condition.of(label=inputs["y"])


@pytest.mark.parametrize("wrap", [lambda w: w, lambda w: {"ema": w, "model": {}}, lambda w: {"state_dict": w}])
def test_a_torch_file_becomes_the_same_model(wrap, tmp_path):
    weights, *inputs = official("dit")
    torch.save(wrap(weights), tmp_path / "a.pt")
    assert frisket("import", "dit", tmp_path / "a.pt", tmp_path / "out", "--num-heads", 4) == 0
    ours = load(tmp_path / "out").model(*inputs).pred
    assert torch.equal(ours, load_official("dit", weights, num_heads=4)(*inputs).pred)


def test_a_safetensors_file_becomes_the_same_model_and_can_be_sampled(tmp_path):
    weights, *inputs = official("sit")
    save_tensors(tmp_path / "a.safetensors", weights)
    facts = json.dumps({"num_heads": 4, "input_size": 8})
    assert frisket("import", "sit", tmp_path / "a.safetensors", tmp_path / "out", "--facts", facts) == 0
    ours = load(tmp_path / "out").model(*inputs).pred
    assert torch.equal(ours, load_official("sit", weights, num_heads=4)(*inputs).pred)
    words = ["--n", 2, "--steps", 2, "--class", 7, "--out", tmp_path / "a.png"]
    assert frisket("sample", tmp_path / "out", *words) == 0


class Code:
    def __reduce__(self):
        return print, ("this must not be printed",)


def test_what_must_not_or_cannot_be_imported_is_one_line(tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    weights = official("dit")[0]
    torch.save(weights, "good.pt")
    torch.save({**weights, "extra": Code()}, "code.pt")
    (tmp_path / "plain.pt").write_bytes(pickle.dumps(Code()))
    (tmp_path / "cut.pt").write_bytes((tmp_path / "good.pt").read_bytes()[:2000])
    save_tensors("good.safetensors", weights)
    (tmp_path / "cut.safetensors").write_bytes((tmp_path / "good.safetensors").read_bytes()[:2000])
    heads = ["--num-heads", 4]
    for words, said in (
        (["dit", "code.pt", "out", *heads], "code in it is never run"),
        (["dit", "plain.pt", "out", *heads], "code in it is never run"),
        (["dit", "cut.pt", "out", *heads], "cannot be read"),
        (["dit", "cut.safetensors", "out", *heads], "not a whole safetensors file"),
        (["dit", "none.pt", "out", *heads], "none.pt does not exist"),
        (["dti", "good.pt", "out", *heads], "did you mean 'dit'"),
        (["dit", "good.pt", "out"], "give num_heads"),
        (["dit", "good.pt", "out", "--num-haeds", 4], "did you mean 'num_heads'"),
        (["dit", "good.pt", "out", "--facts", "{"], "is not JSON"),
        (["dit", "good.pt", "out", "--facts", "[4]"], "a JSON object"),
        (["mdlm", "good.pt", "out", *heads], "length"),
    ):
        assert said in refused(capsys, "import", *words)
        assert "this must not be printed" not in capsys.readouterr().out
    assert not (tmp_path / "out").exists()
