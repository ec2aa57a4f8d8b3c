"""The registry of official systems and the bookkeeping of names."""

from __future__ import annotations

import pytest
import torch

from frisket.core import FrisketError
from frisket.core.condition import Output
from frisket.core.files import save_tensors
from frisket.interop import official
from frisket.interop.golden import golden
from frisket.interop.official import Taken, import_official, load_official, published_heads, renamed
from frisket.models.backbones.sizes import DIT
from frisket.models.backbones.transformer import Transformer
from frisket.models.block import Block


def test_an_unknown_system_is_refused_by_name():
    with pytest.raises(FrisketError, match="official system 'dti'; did you mean 'dit'"):
        load_official("dti", {})


def test_taken_counts_numbered_layers():
    assert Taken({"a.0.w": torch.zeros(1), "a.1.w": torch.zeros(1), "b": torch.zeros(1)}).depth("a.") == 2
    with pytest.raises(FrisketError, match="expected 0, 1, 2"):
        Taken({"a.0.w": torch.zeros(1), "a.2.w": torch.zeros(1)}).depth("a.")


def test_renamed_takes_biases_where_there_are_some():
    weights = Taken({"x.a.weight": torch.ones(1), "x.a.bias": torch.zeros(1), "x.b.weight": torch.ones(1)})
    assert set(renamed(weights, {"a": "A", "b": "B"}, "x.", "y.")) == {"y.A.weight", "y.A.bias", "y.B.weight"}
    assert weights.used == set(weights.weights)


def test_a_new_system_is_one_function(monkeypatch):
    monkeypatch.setattr(official, "_loaders", dict(official._loaders))
    config = Transformer(width=8, heads=2, blocks=(Block(),))

    @official.official("mine")
    def load(weights, /, *, sign):
        return config, {k: sign * weights(k) for k in weights.weights}

    state = config.build().state_dict()
    loaded = load_official("mine", state, sign=-1).state_dict()
    assert all(torch.equal(loaded[k], -v) for k, v in state.items())
    short = {k: v for k, v in state.items() if k != "input.linear.bias"}
    with pytest.raises(FrisketError, match=r"unfilled input\.linear\.bias"):
        load_official("mine", short, sign=1)


@pytest.fixture
def file(tmp_path):
    def save(name):
        save_tensors(tmp_path / f"{name}.safetensors", golden(name)[0])
        return tmp_path / f"{name}.safetensors"

    return save


def test_an_imported_dit_is_wired_as_it_was_trained(file):
    pipeline = import_official("dit", file("dit"), num_heads=4)
    process = pipeline.process
    parts = [getattr(process, n).part_name for n in ("path", "prediction", "variance", "time")]
    assert parts == ["path/vp-linear", "prediction/eps", "variance/learned-range", "model-time/thousand"]
    assert process.model_time(torch.tensor([1.0, 0.001])).tolist() == pytest.approx([999.0, 0.0], abs=1e-6)
    assert pipeline.spec.shape == (3, 8, 8)
    assert len(pipeline.info.classes) == pipeline.model.config.doors[0].embedder.classes
    assert torch.isfinite(pipeline.sample(2, steps=3, label=[0, 9])).all()


def test_an_imported_sit_runs_from_noise_to_data(file):
    pipeline = import_official("sit", file("sit"), num_heads=4)
    assert pipeline.process.model_time(torch.tensor([1.0, 0.25])).tolist() == [0.0, 0.75]
    x, noise = torch.ones(1, 3, 8, 8), torch.zeros(1, 3, 8, 8)
    corrupted = pipeline.process.corrupt(x, torch.tensor([0.5]), noise)
    loss = pipeline.process.loss(Output(pred=x - noise), corrupted)
    assert loss["denoise"].item() == 0  # what SiT predicts is data minus noise
    assert torch.isfinite(pipeline.sample(2, steps=2, label=3)).all()


def test_an_imported_mdlm_makes_ids(file):
    pipeline = import_official("mdlm", file("mdlm"), num_heads=4, length=16)
    made = pipeline.sample(2, steps=4)
    assert made.shape == (2, 16)
    assert 0 <= int(made.min()) <= int(made.max()) < pipeline.process.vocabulary == 11
    with pytest.raises(FrisketError, match="conditioned on time"):
        import_official("mdlm", file("mdlm"), num_heads=4, length=16, time_conditioning=True)


def test_facts_are_checked_before_the_file_is_read():
    for facts, said in (
        ({"heads": 4}, "did you mean 'num_heads'"),
        ({"vae": "x", "side": 3}, "unknown fact of dit 'side'"),
    ):
        with pytest.raises(FrisketError, match=said):
            import_official("dit", "none.pt", **facts)
    with pytest.raises(FrisketError, match="do not tell length"):
        import_official("mdlm", "none.pt")
    with pytest.raises(FrisketError, match="unknown fact of dit 'vae'"):
        load_official("dit", {}, vae="x")


def test_heads_are_those_of_the_published_size(file):
    assert published_heads(DIT, 28, 1152) == 16
    with pytest.raises(FrisketError, match="2 blocks of width 24; give num_heads"):
        import_official("dit", file("dit"))


def test_a_system_without_a_wiring_says_so(monkeypatch):
    monkeypatch.setattr(official, "_loaders", {"mine": lambda weights, /: None})
    with pytest.raises(FrisketError, match="has no wiring"):
        import_official("mine", "none.pt")
