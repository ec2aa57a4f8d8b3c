import importlib.util
import sys

import pytest
import torch

from frisket.core import FrisketError, MissingExtra
from frisket.data.digits import Digits
from frisket.evaluation.features.dinov2 import Dinov2


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A tiny random DINOv2 on disk; skipped where transformers cannot be imported."""
    try:
        import torchvision  # noqa: F401
    except (ImportError, RuntimeError):  # absent, or built for another torch: transformers must not meet it
        sys.modules["torchvision"] = None  # type: ignore[assignment]
    transformers = pytest.importorskip("transformers")
    config = transformers.Dinov2Config(
        hidden_size=16, num_hidden_layers=2, num_attention_heads=2, image_size=28, patch_size=14
    )
    path = tmp_path_factory.mktemp("dino")
    transformers.Dinov2Model(config).save_pretrained(path)
    yield path
    if sys.modules.get("torchvision", 0) is None:
        del sys.modules["torchvision"]


def test_class_token_of_a_local_folder(folder):
    extractor = Dinov2(model=str(folder), size=28).build(Digits())
    x = torch.rand(3, 1, 8, 8)
    features, probabilities = extractor(x)
    assert features.shape == (3, 16)
    assert probabilities is None
    assert torch.allclose(features.mean(1), torch.zeros(3), atol=1e-4)  # it comes from a fresh layer norm
    assert torch.allclose(extractor(x[1:2])[0], features[1:2], atol=1e-5)
    assert not torch.allclose(features[0], features[1])


def test_refuses_sizes_and_models_that_do_not_fit(folder):
    with pytest.raises(FrisketError, match="multiple of 14"):
        Dinov2(model=str(folder), size=30).build(Digits())
    with pytest.raises(FrisketError, match="local folder"):
        Dinov2(model=str(folder / "nothing")).build(Digits())


def test_missing_library_names_the_extra(monkeypatch):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(MissingExtra, match=r"frisket\[diffusers\]"):
        Dinov2().build(Digits())
