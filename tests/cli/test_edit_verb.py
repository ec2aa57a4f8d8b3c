"""`frisket edit` repaints inside the mask and nowhere else."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from PIL import Image

from frisket.adapters.reference import Reference
from frisket.core.edits import apply_edits
from frisket.experiments.system import load
from run_folders import frisket, refused


@pytest.fixture
def inputs(tmp_path):
    """An image and a mask of 8x8, and the folder that they lie in."""
    image = np.random.default_rng(0).integers(0, 256, (8, 8), dtype=np.uint8)
    mask = np.zeros((8, 8), np.uint8)
    mask[2:6, 1:5] = 255
    for name, values in (("image", image), ("mask", mask), ("small", image[:4, :4])):
        Image.fromarray(values).save(tmp_path / f"{name}.png")
    return image, mask > 127, tmp_path


@pytest.mark.parametrize("extra", [[], ["--class", "3"], ["--seed", "5", "--guidance", "1"]])
def test_everything_outside_the_mask_stays_exactly(extra, inputs, dit_run):
    image, mask, folder = inputs
    out = folder / "out" / "b.png"
    words = ["--image", folder / "image.png", "--mask", folder / "mask.png", "--steps", 2, "--out", out]
    assert frisket("edit", dit_run, *words, *extra) == 0
    with Image.open(out) as file:
        made = np.asarray(file)
    assert np.array_equal(made[~mask], image[~mask])
    assert (made[mask] != image[mask]).mean() > 0.8


def test_bad_input_is_one_line(inputs, dit_run, mdlm_run, capsys, monkeypatch):
    _, _, folder = inputs
    monkeypatch.chdir(folder)
    both = ["--image", "image.png", "--mask", "mask.png"]
    for words, said in (
        ([dit_run, "--image", "image.png"], "give both --image and --mask"),
        ([dit_run, "--image", "image.png", "--mask", "none.png"], "none.png does not exist"),
        ([dit_run, "--image", "small.png", "--mask", "mask.png"], "is 4 x 4 (w x h); the model takes 8 x 8"),
        ([dit_run, "--image", "image.png", "--mask", "small.png"], "is 4 x 4 (w x h); the model takes 8 x 8"),
        ([dit_run, *both, "--out", "b.jpg"], "--out = 'b.jpg'"),
        ([dit_run, *both, "--class", 12], "between 0 and 9"),
        ([mdlm_run, *both], "makes text, not images"),
    ):
        assert said in refused(capsys, "edit", *words)
    assert not (folder / "edited.png").exists()


def test_a_model_that_reads_references_is_given_them(inputs, dit_run, tmp_path, capsys):
    image, mask, folder = inputs
    pipeline = load(dit_run)
    apply_edits(pipeline.model, [Reference(name="given"), Reference(name="other", offset=(0.0, 1.0))])
    with torch.no_grad():
        for p in pipeline.model.parameters():  # three steps of training leave the gates all but closed
            p.normal_(0.0, 0.3, generator=torch.Generator().manual_seed(p.numel()))
    pipeline.save_pretrained(tmp_path / "model")
    words = ["--image", folder / "image.png", "--mask", folder / "mask.png", "--steps", 2, "--out"]
    made = {}
    for extra in ([], ["given=hidden"], ["given=hidden", f"other={folder / 'image.png'}"]):
        out = folder / f"{len(extra)}.png"
        assert frisket("edit", tmp_path / "model", *words, out, *(["--reference", *extra] if extra else [])) == 0
        with Image.open(out) as file:
            made[len(extra)] = np.asarray(file)
        assert np.array_equal(made[len(extra)][~mask], image[~mask])
    assert not np.array_equal(made[0], made[1])
    assert not np.array_equal(made[1], made[2])
    for wrong, said in (("label=hidden", "unknown reference 'label'"), ("given", "must be NAME=FILE")):
        assert said in refused(capsys, "edit", tmp_path / "model", *words, folder / "b.png", "--reference", wrong)
