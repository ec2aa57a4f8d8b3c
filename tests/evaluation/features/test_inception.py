import sys

import pytest
import torch

from frisket.core import FrisketError, MissingExtra
from frisket.data.digits import Digits
from frisket.evaluation.features.inception import FILE, Inception, InceptionExtractor


def test_absent_weights_say_where_to_put_them(monkeypatch, tmp_path):
    monkeypatch.setenv("FRISKET_CACHE", str(tmp_path))
    with pytest.raises(FrisketError, match=r"get it from https://\S+ and put it there") as error:
        Inception().build(Digits())
    assert str(tmp_path / "features" / FILE) in str(error.value)


def test_other_weights_are_refused(tmp_path):
    file = tmp_path / "w.pth"
    torch.save({"a": torch.zeros(1)}, file)
    with pytest.raises(FrisketError, match="other weights"):
        Inception(weights=str(file)).build(Digits())


def test_code_in_the_file_never_runs(tmp_path):
    class Harm:
        def __reduce__(self):
            return (open, (str(tmp_path / "ran"), "w"))

    file = tmp_path / "w.pth"
    torch.save(Harm(), file)
    with pytest.raises(FrisketError, match="plain tensors"):
        Inception(weights=str(file), sha256="").build(Digits())
    assert not (tmp_path / "ran").exists()


def test_missing_library_names_the_extra(monkeypatch, tmp_path):
    file = tmp_path / "w.pth"
    torch.save({"a": torch.zeros(1)}, file)
    monkeypatch.setitem(sys.modules, "torch_fidelity", None)
    monkeypatch.setitem(sys.modules, "torch_fidelity.feature_extractor_inceptionv3", None)
    with pytest.raises(MissingExtra, match=r"frisket\[metrics\]"):
        Inception(weights=str(file), sha256="").build(Digits())


def test_images_go_in_as_bytes():
    seen = []

    def network(x):
        seen.append(x)
        return torch.zeros(len(x), 2048), torch.zeros(len(x), 1008)

    features, probabilities = InceptionExtractor(network, "x")(torch.tensor([0.0, 0.5, 1.2]).view(3, 1, 1, 1))
    assert seen[0].dtype == torch.uint8
    assert seen[0][:, :, 0, 0].tolist() == [[0] * 3, [128] * 3, [255] * 3]
    assert torch.allclose(probabilities, torch.full((3, 1008), 1 / 1008))
    assert features.shape == (3, 2048)
