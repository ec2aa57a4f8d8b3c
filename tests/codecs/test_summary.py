"""One vector for an item: whose weights make it, and that there is no way back."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace

import pytest
import torch

from frisket.codecs.beside import Beside
from frisket.codecs.pixels import Pixels
from frisket.codecs.summary import Dinov2Class, Dinov2Codec, Sampled, Summary
from frisket.core import FrisketError
from frisket.data.digits import Digits
from frisket.models.backbones.patch_encoder import PatchEncoder
from frisket.models.backbones.transformer import Transformer
from frisket.processes.joint import Joint
from frisket.sampling.pipeline import Pipeline
from frisket.sampling.sampler import Sampler
from frisket.testing import check_config

SOURCE = Digits().open("train")
X = SOURCE.batch(torch.arange(6))["x"]
CONFIG = Summary(network=PatchEncoder(width=16, depth=1, patch=2))


def trained():
    """A pipeline of the same network with other weights."""
    fitted = CONFIG.fit(SOURCE)
    model = fitted.network.build()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.mul_(1.5)
    return fitted, SimpleNamespace(model=model)


def test_it_is_the_networks_summary_of_the_state_that_it_reads():
    check_config(CONFIG)
    fitted, given = trained()
    assert fitted.network.classes == 10
    codec = fitted.build()
    fresh = codec.encode(X)
    codec.take({"encoder": given})
    found = codec.encode(X)
    torch.testing.assert_close(found, given.model.eval().summary(Pixels().encode(X)))
    assert (found - fresh).abs().max() > 1e-3
    torch.testing.assert_close(found.square().mean(1), torch.ones(6), rtol=1e-3, atol=0)
    mean = given.model.features(Pixels().encode(X)).mean(1)
    torch.testing.assert_close(torch.nn.functional.cosine_similarity(found, mean), torch.ones(6))
    assert codec.spec(SOURCE.info).shape == (16,)
    assert not any(p.requires_grad for p in codec.parameters())


def test_weights_come_from_the_same_network_only():
    fitted = trained()[0]
    codec = fitted.build()
    with pytest.raises(FrisketError, match="encoder"):
        codec.take({})
    wider = SimpleNamespace(model=replace(fitted.network, width=24).build())
    with pytest.raises(FrisketError, match="needs"):
        codec.take({"encoder": wider})
    with pytest.raises(FrisketError, match="no way back"):
        codec.decode(torch.zeros(1, 16))


def test_its_weights_are_saved_with_the_pipeline(tmp_path):
    given = trained()[1]
    codec = Beside(entries={"cls": CONFIG}).fit(SOURCE)
    model = Transformer(width=16, blocks=Transformer().blocks[:1]).fit(
        codec.build().spec(SOURCE.info), 1, {"label": 10}
    )
    process = Joint(entries={"x": Joint().main, "cls": Joint().main})
    pipeline = Pipeline(model.build(), process, codec, Sampler(steps=2), SOURCE.info)
    pipeline.coder.take({"encoder": given})
    pipeline.save_pretrained(tmp_path / "p")
    again = Pipeline.from_pretrained(tmp_path / "p")
    assert again.codec == codec
    assert torch.equal(again.coder.encode(X)["cls"], pipeline.coder.encode(X)["cls"])
    mask = torch.zeros(2, 1, 8, 8, dtype=torch.bool)
    mask[:, :, 4:] = True
    edited = again.edit(X[:2], mask, label=1)
    assert torch.equal(edited[~mask], X[:2][~mask])
    redrawn = again.redraw(X[:2], strength=0.5, label=1)
    assert torch.equal(redrawn, pipeline.redraw(X[:2], strength=0.5, label=1))
    assert redrawn.shape == (2, 1, 8, 8)


def test_a_sampled_vector_cannot_be_encoded():
    check_config(Sampled())
    codec = Sampled(numbers=7).fit(SOURCE).build()
    assert codec.spec(SOURCE.info).shape == (7,)
    for call in (lambda: codec.encode(X), lambda: codec.decode(X)):
        with pytest.raises(FrisketError):
            call()


def test_the_class_token_of_dinov2_of_the_normalised_then_resized_image():
    check_config(Dinov2Class())

    class Network(torch.nn.Module):
        config = SimpleNamespace(hidden_size=3)

        def forward(self, pixel_values):
            assert pixel_values.shape[2:] == (28, 28)
            tokens = pixel_values.mean((2, 3))[:, None].expand(-1, 5, -1)
            return SimpleNamespace(last_hidden_state=tokens * torch.tensor([1.0, 0, 0, 0, 0])[:, None])

    codec = Dinov2Codec(Network(), 28)
    found = codec.encode(torch.full((2, 3, 14, 14), 0.5))
    wanted = (0.5 - torch.tensor([0.485, 0.456, 0.406])) / torch.tensor([0.229, 0.224, 0.225])
    torch.testing.assert_close(found, wanted.expand(2, 3))
    assert codec.spec(SOURCE.info).shape == (3,)
    with pytest.raises(FrisketError, match="no way back"):
        codec.decode(found)
    with pytest.raises(FrisketError, match="nowhere"):
        Dinov2Class(model="./nowhere").build()
