"""Parity with the official forward, with and without given scenes, for both released versions of the mask."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from frisket.core import Condition, FrisketError
from frisket.interop.golden import forward_difference
from frisket.interop.mask2dit import PROCESS, mask2dit_block, mask2dit_pipeline, mask2dit_transformer
from frisket.interop.official import load_official
from frisket.models.count import parameters_of_size
from frisket.processes.known import Known

GOLDEN = Path(__file__).parent.parent / "golden" / "mask2dit_forward.npz"
FACTS = {"num_heads": 2, "size": (6, 4, 4)}


@pytest.fixture(scope="module")
def held():
    with np.load(GOLDEN, allow_pickle=False) as file:
        return {k: torch.from_numpy(file[k]) for k in file.files}


def load(held, version=2):
    return load_official(
        "mask2dit", {k[2:]: v for k, v in held.items() if k.startswith("w/")}, version=version, **FACTS
    )


def call(model, held, noised=None):
    """noised: the one scene that is, as official `clip_idx`; its times are given an element."""
    x, t = held["in/x"], held["in/t"]
    if noised is not None:
        line = (torch.arange(6) // 2 == noised).view(1, 1, 6, 1, 1)
        t = (t.view(2, 1, 1, 1, 1) * line).expand(2, 1, 6, 4, 4)
    with torch.no_grad():
        return model(x, t, Condition.of(text=held["in/text"])).pred


def close(a, b):
    torch.testing.assert_close(a, b, rtol=1e-5, atol=1e-5)


def test_the_forward_is_the_official_one(held):
    assert forward_difference("mask2dit", **FACTS) < 1e-5
    assert (held["out"] - held["dense"]).abs().max() > 0.1


def test_given_scenes_and_their_prompts_are_told_time_zero(held):
    model = load(held)
    close(call(model, held, noised=2), held["last"])
    close(call(model, held, noised=1), held["middle"])
    assert (held["last"] - held["out"]).abs().max() > 0.1


def test_version_five_is_full_attention(held):
    model = load(held, 5)
    close(call(model, held), held["dense"])
    close(call(model, held, noised=2), held["dense_last"])


def test_the_process_tells_the_times_that_the_golden_pass_was_given(held):
    state, where = torch.zeros(2, 2, 6, 4, 4), (torch.arange(6) < 4).view(1, 1, 6, 1, 1)
    t = (held["in/t"].double() + 1) / 1000
    corrupted = PROCESS.corrupt(state, t, torch.randn_like(state), Known(values=state, where=where))
    told = PROCESS.model_time(corrupted.local)
    assert (told[:, :, :4] == 0).all()
    torch.testing.assert_close(told[:, 0, 4, 0, 0], held["in/t"], rtol=0, atol=1e-3)


def test_the_published_size_has_cogvideox_parameters():
    assert parameters_of_size(mask2dit_transformer()) - 3072 == 5_570_283_072  # one null vector of the text is ours


def test_the_pipeline_continues_given_scenes(held):
    pipeline = mask2dit_pipeline(load(held))
    x = held["in/x"]
    where = (torch.arange(6) < 4).view(1, 1, 6, 1, 1).expand(2, 1, 6, 4, 4)
    *_, end = pipeline.snapshots(2, steps=3, known=Known(values=x, where=where), text=held["in/text"])
    assert torch.equal(end.x[:, :, :4], x[:, :, :4])
    assert end.x.isfinite().all()


def test_other_versions_were_never_released():
    with pytest.raises(FrisketError, match="no other is released"):
        mask2dit_block(3, version=1)
