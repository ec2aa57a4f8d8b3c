"""The pictures of swaps: four rows each, the numbers of the score, tensors on disk."""

from dataclasses import replace

import torch

from frisket.core.files import load_tensors
from frisket.evaluation.looks.swaps import SwapPictures
from frisket.experiments.system import build
from frisket.recipes import mc_vton
from frisket.testing import check_config


def test_sections(tmp_path):
    look = SwapPictures(count=2)
    check_config(look)
    first = mc_vton.base("tiny").fit()
    _, pipeline, _ = build(first)
    mc_vton.adapted("tiny").prepare[0].apply(pipeline, first.data, {}, 0)
    pipeline.sampler = replace(pipeline.sampler, steps=1)
    sections, results = look.sections(pipeline, first.data, 4, tmp_path)
    assert [s.title for s in sections] == ["The garment that was worn", "Another garment", "Swaps"]
    assert results["swaps"]["outside"] == 0.0
    assert len(results["floors"]) == 2
    assert load_tensors(tmp_path / "shown.safetensors")["other"].shape == (2, 3, 24, 16)
    for name in ("given", "garment", "result", "truth"):
        assert name in str(sections[0].figures[0])
    assert torch.isfinite(torch.tensor(list(results["swaps"].values()))).all()
