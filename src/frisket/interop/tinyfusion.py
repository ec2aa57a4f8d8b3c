"""TinyFusion's gated DiT (VainF/TinyFusion models_with_layer_pruning.py, read for facts) against ours, on stored arrays.

The official weights are DiT's plus `gumbel_gates.g` (1, patterns), one row a group of blocks.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from frisket.compression.gates import GroupGates, Groups, gate_blocks
from frisket.core.condition import Condition
from frisket.core.sites import install
from frisket.core.step import Step, use_step
from frisket.interop.golden import GOLDEN, golden
from frisket.interop.official import load_official

GATES = "gumbel_gates."
GROUPS: Groups = ((1, 2), (2, 4))  # of the stored network


def load_gated(folder: Path = GOLDEN) -> tuple[nn.Module, GroupGates, dict[str, Tensor], Tensor]:
    """Model, gates, inputs and official output of `tinyfusion_forward.npz`."""
    weights, inputs, out = golden("tinyfusion", folder)
    gates = GroupGates(GROUPS)
    gates.load_state_dict({f"logits.{g}": weights.pop(f"{GATES}{g}")[0] for g in range(len(GROUPS))})
    return load_official("dit", weights, num_heads=2, input_size=4), gates, inputs, out


def run_gated(model: Any, gates: GroupGates, inputs: dict[str, Tensor]) -> tuple[Tensor, Tensor]:
    """Our masks and output for the stored inputs and Gumbel noise."""
    uniform = torch.exp(-torch.exp(-inputs["gumbel"].to(torch.float64)))
    mask = gates.sample(uniform, float(inputs["tau"]), float(inputs["scaling"]))
    step = Step(seed=0, sample=torch.arange(len(mask)))
    with use_step(step), install(model, gate_blocks(mask)):
        return mask, model(inputs["x"], inputs["t"], Condition.of(label=inputs["y"])).pred


def gated_difference(folder: Path = GOLDEN) -> float:
    """The largest absolute difference between our gated output and the official one, for the same Gumbel noise."""
    model, gates, inputs, out = load_gated(folder)
    with torch.no_grad():
        return float((run_gated(model, gates, inputs)[1] - out).abs().max())
