import re

import numpy as np
import pytest
import torch

from frisket.codecs.palette import Palette
from frisket.core import FrisketError, Output
from frisket.data.base import Info
from frisket.evaluation.compare import compare
from frisket.evaluation.heldout import HeldoutLoss
from frisket.evaluation.intervals import bootstrap_mean
from frisket.evaluation.plots import image_table
from frisket.evaluation.sections import (
    comparison_section,
    film_of,
    film_section,
    heldout_section,
    inpainting_section,
    loss_section,
    metrics_section,
    samples_section,
)  # fmt: skip
from frisket.processes.masked import Masked
from frisket.sampling.decoding.decoder import Ordered
from frisket.sampling.pipeline import Pipeline
from frisket.sampling.sampler import Sampler


def test_samples_are_sorted_into_rows_by_class():
    labels = torch.tensor([1, 0, 1, 2, 1])
    (figure,) = samples_section(torch.rand(5, 1, 8, 8), labels, ("zero", "one"), columns=2).figures
    rows = figure.markup.split("<tr>")[1:]
    assert [row.count("<img") for row in rows] == [1, 2, 1]
    assert [name in row for name, row in zip(("zero", "one", ">2<"), rows, strict=True)] == [True] * 3
    (plain,) = samples_section(torch.rand(5, 1, 8, 8), columns=2).figures
    assert [row.count("<img") for row in plain.markup.split("<tr>")[1:]] == [2, 2, 1]
    with pytest.raises(FrisketError, match="labels"):
        samples_section(torch.rand(5, 1, 8, 8), labels[:3])


def test_film_keeps_both_ends():
    times = np.linspace(1, 0, 21).tolist()
    (figure,) = film_section([torch.rand(3, 1, 8, 8) for _ in times], times, most=5).figures
    assert figure.markup.count("<img") == 15
    assert [f"t = {t:.2f}" in figure.markup for t in (1.0, 0.75, 0.5, 0.25, 0.0)] == [True] * 5
    (short,) = film_section([torch.rand(1, 1, 8, 8)] * 2, [1.0, 0.0]).figures
    assert short.markup.count("<img") == 2
    with pytest.raises(FrisketError):
        film_section([torch.rand(1, 1, 8, 8)], [1.0])


def test_a_film_of_hidden_symbols_begins_with_the_first_one():
    info, codec = Info(kind="image", shape=(1, 4, 4)), Palette(colours=((0.0,), (1.0,)))
    model = torch.nn.Module()
    model.forward = lambda x, t, cond=None: Output(torch.tensor([-9.0, 9.0]).expand(*x.shape, 2))
    pipeline = Pipeline(model, Masked(vocabulary=2), codec, Sampler(steps=3, update=Ordered()), info)
    section = film_of(pipeline, 2)
    pictures = re.findall(r"<img[^>]*src='?([^' >]+)", section.figures[0].markup)
    first, last = (image_table([("", [torch.full((1, 4, 4), v)])]).markup for v in (0.0, 1.0))
    assert len(pictures) == 8
    assert pictures[0] in first
    assert pictures[3] in last
    assert "hidden" in section.text


def test_inpainting_says_whether_the_given_is_unchanged():
    x, known = torch.rand(2, 1, 8, 8), torch.rand(2, 1, 8, 8) > 0.5
    after = x.where(known, torch.rand(2, 1, 8, 8))
    assert "unchanged" in inpainting_section(x, known, after).figures[0].caption
    assert "differ" in inpainting_section(x, known, after + 0.1).figures[0].caption


def test_metrics_show_value_interval_floor():
    results = {
        "n": 1000, "n_real": 360, "n_floor": 900, "confidence": 0.95, "features": "pixels", "feature_accuracy": None,
        "metrics": {"frechet": {"title": "Frechet distance", "value": 2.5, "low": 2.0, "high": 3.25, "floor": 1.75,
                                "unit": "u", "better": "less"}},
    }  # fmt: skip
    table = metrics_section(results).table
    assert table.rows == (("Frechet distance", "2.5", "2 to 3.25", "1.75", "lower", "u"),)
    assert "1,000 samples" in table.note
    assert "900 training items" in table.note
    assert len(table.marks) == 1


def test_losses_heldout_and_comparison_draw():
    assert "<svg" in loss_section([1.0, 2.0, 3.0], {"loss": [3.0, 2.0, 1.0]}).figures[0].markup
    each = np.random.default_rng(0).random((6, 3))
    one = HeldoutLoss(times=(0.2, 0.5, 0.8), each=each, mean=bootstrap_mean(each.mean(1)),
                      curve=tuple(bootstrap_mean(each[:, k]) for k in range(3)))  # fmt: skip
    section = heldout_section({"dense": one})
    assert section.table.rows[0][0] == "dense"
    assert section.table.rows[0][3] == "6"
    arms = {"dense": {"loss": [1.0, 1.1, 1.2]}, "ours": {"loss": [0.9, 1.0, 1.1]}}
    shown = comparison_section(compare(arms, "dense"))
    assert len(shown.figures) == 1
    assert "difference to dense" in shown.figures[0].markup
