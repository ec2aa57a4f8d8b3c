"""What a report shows of a trained pipeline."""

from __future__ import annotations

import torch

from frisket.core.files import load_tensors
from frisket.data.base import Info
from frisket.data.digits import Digits
from frisket.data.text import Text
from frisket.experiments.showcase import filled, repainted, show_numbers, text_bound
from frisket.experiments.system import load
from frisket.sampling.pipeline import Pipeline


def test_real_images_keep_their_upper_half(dit_run):
    before, known, after = repainted(load(dit_run), Digits(), 3)
    assert torch.equal(before, Digits().open("test").batch(torch.arange(3))["x"])
    assert torch.equal(before[:, :, :4], after[:, :, :4])
    assert not torch.equal(before[:, :, 4:], after[:, :, 4:])
    assert known[:, :, :4].all()
    assert not known[:, :, 4:].any()


def test_the_middle_third_of_a_text_is_filled_in(mdlm_run):
    pairs = filled(load(mdlm_run), Text(length=16), 2)
    assert [label for label, _ in pairs] == ["original", "filled in"] * 2
    for (_, original), (_, made) in zip(pairs[::2], pairs[1::2], strict=True):
        assert original[:6] == made[:6]
        assert original.index("[") == made.index("[") == 5
        assert original.index("]") == made.index("]") == 11


def test_the_bound_stands_beside_its_baselines(mdlm_run):
    found, table = text_bound(load(mdlm_run), Text(length=16), 4)
    assert [row[0] for row in table.rows] == ["unigram", "bigram", "this model (at most; 4 items)"]
    assert float(table.rows[2][1]) == round(found["bits"]["value"], 3)


def test_states_that_are_neither_are_saved(dit_run, tmp_path):
    pipeline = load(dit_run)
    other = Pipeline(pipeline.model, pipeline.process, pipeline.codec, pipeline.sampler,
                     Info(kind="series", shape=(1, 8, 8)))  # fmt: skip
    sections, numbers = show_numbers(other, Digits(), 3, tmp_path)
    assert load_tensors(tmp_path / "shown.safetensors")["samples"].shape == (3, 1, 8, 8)
    assert numbers == {}
    assert sections[0].text.startswith("3 samples")
