import re

import pytest
import torch

from frisket.core.files import load_tensors
from frisket.data.base import Info
from frisket.data.digits import Digits
from frisket.data.text import Text
from frisket.experiments.showcase import filled, repainted, show, text_bound
from frisket.experiments.system import load
from frisket.sampling.pipeline import Pipeline


@pytest.fixture(scope="module")
def texts(mdlm_run):
    return load(mdlm_run), Text(length=16)


def test_images_get_samples_film_edit_and_scores(dit_run, tmp_path):
    sections, results = show(load(dit_run), Digits(), 8, tmp_path)
    assert [s.title for s in sections] == ["Samples", "From noise to samples", "Inpainting", "Quality"]
    assert results["samples"]["n"] == 8
    assert load_tensors(tmp_path / "shown.safetensors")["samples"].shape == (100, 1, 8, 8)


def test_the_known_half_is_returned_exactly(dit_run):
    before, known, after = repainted(load(dit_run), Digits(), 3)
    assert torch.equal(after[known], before[known])
    assert not torch.equal(after[~known], before[~known])
    assert known[:, :, :4].all()
    assert not known[:, :, 4:].any()


def test_text_is_filled_between_the_brackets_only(texts):
    pairs = filled(*texts, count=2)
    for (first, original), (second, made) in zip(pairs[::2], pairs[1::2], strict=True):
        assert (first, second) == ("original", "filled in")
        assert len(original) == len(made) == 18
        assert (original[:6], original[11:]) == (made[:6], made[11:])


def test_the_bound_stands_beside_counting(texts):
    found, table = text_bound(*texts, 4)
    assert [row[0].split(" (")[0] for row in table.rows] == ["unigram", "bigram", "this model"]
    assert 0 < found["baselines"]["bigram"] < found["baselines"]["unigram"] < 7
    assert re.fullmatch(r"\d\.\d{3}", table.rows[-1][1])


def test_text_sections_name_both_decoders(texts, tmp_path):
    sections, results = show(*texts, 4, tmp_path)
    assert [s.title for s in sections] == ["Likelihood", "Samples", "Filled in"]
    assert {name for name, _ in results["decoded"]} == {"ancestral", "confidence"}


def test_states_that_are_neither_images_nor_text_are_saved(dit_run, tmp_path):
    own = load(dit_run)
    info = Info(kind="series", shape=(1, 8, 8))
    sections, results = show(Pipeline(own.model, own.process, own.codec, own.sampler, info), Digits(), 3, tmp_path)
    assert load_tensors(tmp_path / "shown.safetensors")["samples"].shape == (3, 1, 8, 8)
    assert (len(sections), results) == (1, {})
