"""The two-way mixer of hustvl/Vim (`Mamba` with `bimamba_type="v2"`, read for facts) as our `mixer/ssm`.

Its forward runs only in fused CUDA kernels (without them the official class leaves the second way out), so it was run
for the stored arrays with these written out in torch around the official `selective_scan_ref`.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from frisket.core.errors import FrisketError
from frisket.core.sites import Dispatch
from frisket.interop.golden import GOLDEN
from frisket.interop.official import Taken
from frisket.models.grid import Grid
from frisket.models.init import build_real
from frisket.models.layers.base import BranchCall, Side, Sizes
from frisket.models.layers.scan import selective_scan
from frisket.models.layers.ssm import SSM, Kernel
from frisket.models.tokens import Tokens

WAYS = ("", "_b")  # how the official names of the two ways end
DECAYS = ("A_log", "A_b_log")


def vim_mixer(state_dict: Mapping[str, Tensor], tokens: int, kernel: Kernel = "chunked") -> nn.Module:
    """A `mixer/ssm` with the official weights of one mixer, for sequences of `tokens`. Raises `FrisketError` on names
    that are missing or that nothing reads."""
    weights = Taken(state_dict)
    width, channels = weights("out_proj.weight").shape
    states, taps = weights("A_log").shape[1], weights("conv1d.weight").shape[-1]
    rank = weights("dt_proj.weight").shape[1]
    config = SSM(expand=channels // width, states=states, taps=taps, rank=rank, kernel=kernel)
    sizes = Sizes(width=width, heads=1, condition=width, grid=Grid.of((tokens,)))
    module = build_real(lambda: config.build(sizes))
    ours = {"enter.weight": weights("in_proj.weight"), "leave.weight": weights("out_proj.weight")}
    for i, (end, decay) in enumerate(zip(WAYS, DECAYS, strict=True)):
        own = {
            "taps": weights(f"conv1d{end}.weight").squeeze(1), "bias": weights(f"conv1d{end}.bias"),
            "reads.weight": weights(f"x_proj{end}.weight"), "step.weight": weights(f"dt_proj{end}.weight"),
            "step.bias": weights(f"dt_proj{end}.bias"), "decay": weights(decay), "skip": weights(f"D{end}"),
        }  # fmt: skip
        ours |= {f"ways.{i}.{name}": value for name, value in own.items()}
    left = set(weights.weights) - weights.used
    if left:
        raise FrisketError(f"official Vim weights have names that nothing reads: {', '.join(sorted(left))}")
    module.load_state_dict(ours)
    return module.eval()


def mixer_difference(folder: Path = GOLDEN, kernel: Kernel = "chunked") -> float:
    """The largest absolute difference to the stored output of the official mixer and to that of its reference scan."""
    with np.load(folder / "vim_mixer.npz", allow_pickle=False) as held:
        arrays = {key: torch.from_numpy(held[key]) for key in held.files}
    x = arrays["in/x"]
    module = vim_mixer({k[2:]: v for k, v in arrays.items() if k.startswith("w/")}, x.shape[1], kernel)
    with torch.no_grad():
        out = module(*alone(x))
        u, dt, a, b, c = (arrays[f"scan/{name}"] for name in ("u", "dt", "a", "b", "c"))
        u, dt, b, c = (v.transpose(1, 2)[None] for v in (u, torch.nn.functional.softplus(dt), b, c))
        scanned = selective_scan(dt * u, dt, a[None], b, c, kernel)[0].transpose(1, 2)
    return max(float((out - arrays["out"]).abs().max()), float((scanned - arrays["scan/out"]).abs().max()))


def alone(x: Tensor) -> tuple[Tokens, Any]:
    """Tokens (b, n, d) of a line, and the call of a branch that stands in no backbone."""
    grid = Grid.of((x.shape[1],))
    side = Side(grid=grid, state=x.shape[1], raw=x)
    return Tokens.of(x, coords=grid.coords()), BranchCall(side, Dispatch(object()), "", None)
