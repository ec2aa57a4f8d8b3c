"""Equality with Vim's two-way mixer and with the reference scan of Mamba."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from frisket.core import FrisketError
from frisket.interop.golden import GOLDEN
from frisket.interop.vim import alone, mixer_difference, vim_mixer


def weights():
    with np.load(GOLDEN / "vim_mixer.npz", allow_pickle=False) as file:
        return {k[2:]: torch.from_numpy(file[k]) for k in file.files if k.startswith("w/")}


@pytest.mark.parametrize("kernel", ["chunked", "sequential"])
def test_the_official_mixer_and_scan(kernel):
    assert mixer_difference(kernel=kernel) < 1e-5


def test_the_second_way_counts():
    x = torch.randn(1, 20, 24, generator=torch.Generator().manual_seed(0))
    whole = vim_mixer(weights(), 20)(*alone(x))
    still = {k: v * 0 if k.endswith("_b") else v for k, v in weights().items()}
    assert (vim_mixer(still, 20)(*alone(x)) - whole).abs().max() > 0.1


def test_missing_and_unread_names_are_refused():
    given = weights()
    with pytest.raises(FrisketError, match="A_b_log"):
        vim_mixer({k: v for k, v in given.items() if k != "A_b_log"}, 20)
    with pytest.raises(FrisketError, match="gamma"):
        vim_mixer({**given, "gamma": torch.ones(24)}, 20)
