"""Published sizes, to the integer."""

from __future__ import annotations

import pytest
import torch

from frisket.core import FrisketError, from_config, to_config
from frisket.models.backbones.sizes import ddit, dim, dim_block, dit, pit
from frisket.models.count import count_parameters

PARAMETERS = {
    ("S", 2): 32_963_360, ("S", 4): 32_945_024, ("S", 8): 33_148_160,
    ("B", 2): 130_512_416, ("B", 4): 130_475_648, ("B", 8): 130_881_536,
    ("L", 2): 458_102_816, ("L", 4): 458_053_760, ("L", 8): 458_594_816,
    ("XL", 2): 675_129_632, ("XL", 4): 675_074_432, ("XL", 8): 675_683_072,
}  # fmt: skip


def count(config):
    with torch.device("meta"):
        return count_parameters(config.build())


@pytest.mark.parametrize(("size", "patch"), PARAMETERS)
def test_dit_has_the_published_parameters(size, patch):
    assert count(dit(size, patch)) == PARAMETERS[size, patch]


def test_pit_embeds_with_d_times_c_plus_one():
    with torch.device("meta"):
        model = pit("S").build()
    assert count_parameters(model.input) == 384 * (4 + 1)
    assert model.positions.table.shape == (32 * 32, 384)
    assert model.positions.table.requires_grad


def test_ddit_small_is_mdlm_small():
    """169 M with GPT-2's vocabulary and one mask row in table and head, summed from the official shapes."""
    v, d, c, depth = 50_258, 768, 128, 12
    block = 2 * d + 4 * d * d + 8 * d * d + 5 * d + (c + 1) * 6 * d
    total = v * d + (256 + 1) * c + (c + 1) * c + depth * block + d + (d + 1) * v + (c + 1) * 2 * d
    assert count(ddit("small", vocabulary=v - 1, length=1024, logits=v)) == total
    assert round(total / 1e6) == 170


def test_sizes_round_trip():
    for config in (dit("B", 4), pit("S"), ddit("tiny", vocabulary=27, length=16)):
        assert from_config(to_config(config)) == config


def test_an_unknown_size_is_refused():
    with pytest.raises(FrisketError, match="DiT size 'M'"):
        dit("M")
    with pytest.raises(FrisketError, match="DDiT size"):
        ddit("large", vocabulary=2, length=2)


def test_dim_has_twice_the_blocks_and_about_the_weights():
    d, s, depth = 1152, 16, 56
    scan = 6 * d**2 + 4 * d * (2 * (d // 16) + 3 * s + 7)
    modulation = 3 * d**2 + 3 * d
    ends = count(dit("XL", 2)) - 28 * (12 * d**2 + 9 * d + 6 * d**2 + 6 * d)
    assert count(dim("XL", 2)) == ends + depth * (scan + modulation)
    assert count(dim("XL", 2)) / count(dit("XL", 2)) == pytest.approx(1.08, abs=0.01)
    assert [branch.name for branch in dim_block(ffn=True).branches] == ["ssm", "ffn"]
