"""`frisket sample`."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from PIL import Image

from frisket.cli.sample_verb import suffixes
from frisket.codecs.pixels import Pixels
from frisket.codecs.readers import Reader
from frisket.codecs.sentences import Sentences
from frisket.data.base import Info
from frisket.experiments.system import load
from frisket.models.backbones.transformer import Transformer
from frisket.models.doors import Door
from frisket.models.layers.embedders import ClassIds
from frisket.processes.gaussian import Gaussian
from frisket.sampling.pipeline import Pipeline
from frisket.sampling.sampler import Sampler
from run_folders import frisket, refused


def test_a_sheet_of_one_class(dit_run, tmp_path):
    assert frisket("sample", dit_run, "--class", 3, "--n", 4, "--steps", 2, "--out", tmp_path / "deep" / "a.png") == 0
    with Image.open(tmp_path / "deep" / "a.png") as sheet:
        values = np.asarray(sheet)
    made = load(dit_run).sample(4, steps=2, label=3)
    first = (made[0, 0] * 255).round().byte().repeat_interleave(8, 0).repeat_interleave(8, 1)
    assert np.array_equal(values[:64, :64], first.numpy())


def test_an_array_for_the_published_suite(dit_run, tmp_path):
    out = tmp_path / "a.npz"
    assert frisket("sample", dit_run, "--n", 12, "--steps", 1, "--out", out) == 0
    assert [p.name for p in tmp_path.iterdir()] == ["a.npz"]
    with np.load(out, allow_pickle=False) as held:
        images, labels = held["arr_0"], held["arr_1"]
    assert images.shape == (12, 8, 8, 3)
    assert images.dtype == np.uint8
    assert labels.tolist() == [*range(10), 0, 1]
    made = load(dit_run).sample(12, steps=1, label=torch.arange(12) % 10)
    assert np.array_equal(images[..., 0], np.floor(made[:, 0].numpy() * 255 + 0.5).astype(np.uint8))


def test_one_class_as_an_array(dit_run, tmp_path):
    assert frisket("sample", dit_run, "--n", 2, "--steps", 1, "--class", 3, "--out", tmp_path / "a.npz") == 0
    with np.load(tmp_path / "a.npz", allow_pickle=False) as held:
        images = held["arr_0"]
    made = load(dit_run).sample(2, steps=1, label=3)
    assert np.array_equal(images[..., 0], np.floor(made[:, 0].numpy() * 255 + 0.5).astype(np.uint8))


def test_text_goes_to_a_text_file(mdlm_run, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert frisket("sample", mdlm_run, "--n", 3, "--steps", 2) == 0
    assert (tmp_path / "samples.txt").read_text() == "\n".join(load(mdlm_run).sample(3, steps=2)) + "\n"


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--class", 10], "between 0 and 9"),
        (["--class", -1], "between 0 and 9"),
        (["--class", "cat"], "unknown class 'cat'"),
        (["--class", 10, "--out", "a.npz"], "between 0 and 9"),
        (["--out", "a.jpg"], ".png or .npz"),
        (["--n", 0], "--n = 0"),
        (["--n", "few"], "invalid literal for int"),
        (["--steps", 0], "sampler.steps = 0"),
        (["--stpes", 3], "did you mean '--steps'"),
        (["--device", "tpu"], "tpu"),
        (["--procs", 0], "--procs = 0"),
    ],
)
def test_bad_input_is_one_line(words, said, dit_run, tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert said in refused(capsys, "sample", dit_run, *words)
    assert list(tmp_path.iterdir()) == []


def test_a_model_without_classes_takes_none(mdlm_run, capsys):
    assert "label" in refused(capsys, "sample", mdlm_run, "--class", 3, "--steps", 1)


def test_a_missing_folder_is_one_line(capsys):
    assert "runs/none" in refused(capsys, "sample", "runs/none")


def test_what_is_neither_picture_nor_text_goes_to_tensors():
    assert suffixes(Info(kind="image", shape=(3, 8, 8)))[0] == ".png"
    assert suffixes(Info(kind="image", shape=(4, 8, 8))) == (".safetensors",)
    assert suffixes(Info(kind="ids", shape=(9,))) == (".safetensors",)
    assert suffixes(Info(kind="text")) == (".txt",)


def test_a_caption_is_read_by_the_models_own_words(tmp_path, capsys):
    info = Info(kind="image", shape=(1, 8, 8), classes=("cat", "dog"))
    reader = Reader(codec=Sentences(words=("red", "one"), length=2))
    config = Transformer(width=16, heads=2).with_depth(1).fit(Pixels().spec(info), 1, {})
    model = replace(config, doors=(Door(name="caption", embedder=ClassIds(classes=4)),)).build()
    draw = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for value in model.parameters():
            value.add_(0.2 * torch.randn(value.shape, generator=draw))
    pipeline = Pipeline(model, Gaussian(), Pixels(), Sampler(steps=2), info, reads={"caption": reader})
    folder = pipeline.save_pretrained(tmp_path / "model")
    for said, out in (("red one", "a.npz"), ("one", "b.npz"), (None, "c.npz")):
        words = () if said is None else ("--caption", said)
        assert frisket("sample", folder, "--n", 2, "--out", tmp_path / out, *words) == 0
        with np.load(tmp_path / out, allow_pickle=False) as held:
            made = pipeline.sample(2, caption=said)
            assert np.array_equal(held["arr_0"][..., 0], np.floor(made[:, 0].numpy() * 255 + 0.5).astype(np.uint8))
            assert held["arr_1"].tolist() == [0, 0], "the set has classes, but this model reads none"
    assert frisket("sample", folder, "--n", 2, "--caption", "red", "--out", tmp_path / "a.png") == 0
    assert "did you mean 'red'" in refused(capsys, "sample", folder, "--caption", "rad", "--out", tmp_path / "d.png")
