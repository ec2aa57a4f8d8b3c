"""A sample depends on its own number and seed only: not on batch, position, or the process that makes it."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest
import torch

from frisket.core.files import load_tensors
from frisket.experiments.system import load

PROCESS = """
import json, sys, torch
torch.set_num_threads(1)
from frisket.core.files import save_tensors, write_json
from frisket.experiments.system import load
folders, place = sys.argv[1:3], sys.argv[3]
save_tensors(place + "/images.safetensors", {"x": load(folders[0]).sample(3, seed=5, first=2, label=torch.tensor([2, 3, 4]))})
write_json(place + "/texts.json", load(folders[1]).sample(3, seed=5, first=2))
"""


@pytest.fixture(scope="module")
def elsewhere(dit_run, mdlm_run, tmp_path_factory):
    """Samples 2, 3 and 4 of both systems as another process makes them."""
    place = tmp_path_factory.mktemp("elsewhere")
    command = [sys.executable, "-c", PROCESS, str(dit_run), str(mdlm_run), str(place)]
    subprocess.run(command, check=True, env={**os.environ, "FRISKET_NO_SHAPE_CHECKS": "1"})
    return place


def test_an_image_is_its_own(dit_run, elsewhere):
    pipeline, labels = load(dit_run), torch.arange(6)
    whole = pipeline.sample(6, seed=5, label=labels)
    assert float(whole.flatten(1).std(0).mean()) > 0.01
    for batch in (1, 2, 4):
        torch.testing.assert_close(pipeline.sample(6, seed=5, batch=batch, label=labels), whole, rtol=0, atol=1e-4)
    for first in (1, 5):
        alone = pipeline.sample(1, seed=5, first=first, label=labels[first:][:1])
        torch.testing.assert_close(alone, whole[first : first + 1], rtol=0, atol=1e-4)
    there = load_tensors(elsewhere / "images.safetensors")["x"]
    torch.testing.assert_close(there, whole[2:5], rtol=0, atol=1e-4)
    assert not torch.allclose(pipeline.sample(6, seed=6, label=labels), whole, atol=1e-2)


def test_a_text_is_its_own(mdlm_run, elsewhere):
    import json

    pipeline = load(mdlm_run)
    whole = pipeline.sample(6, seed=5)
    assert len(set(whole)) == 6
    for batch in (1, 2, 4):
        assert pipeline.sample(6, seed=5, batch=batch) == whole
    assert [pipeline.sample(1, seed=5, first=i)[0] for i in (1, 5)] == [whole[1], whole[5]]
    assert json.loads((elsewhere / "texts.json").read_text()) == whole[2:5]
