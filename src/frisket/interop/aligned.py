"""Official weights of SiTs that were trained with an alignment: REPA's and SRA's (sihyun-yu/REPA models/sit.py and
vvvvvjdy/SRA SiT-SRA/models/sit.py, read for facts).

Both are SiTs without learned variance whose time is t itself, 1 at noise. The sampled model is read by `load_official`
("repa", "sra") and leaves the projectors out, as sampling does; `projectors` reads them, to train on or to compare.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from frisket.core.condition import Condition
from frisket.core.errors import FrisketError
from frisket.core.sites import install
from frisket.core.step import Step, use_step
from frisket.interop.dit import load_sit, wired
from frisket.interop.golden import forward_difference, stored
from frisket.interop.official import Taken, load_official, official, wires
from frisket.models.backbones.transformer import Transformer
from frisket.processes.gaussian import Gaussian
from frisket.sampling.guidance import cfg
from frisket.sampling.pipeline import Pipeline
from frisket.sampling.sampler import Sampler
from frisket.sampling.scales import Constant, Interval
from frisket.sampling.solvers.sde_euler import SDEEuler
from frisket.tasks.objectives.projector import ProjectorModule
from frisket.tasks.objectives.taps import tap

GUIDED = Sampler(
    steps=250, update=SDEEuler(churn=1.0), guidance=cfg(Interval(inside=Constant(value=1.8), low=0.0, high=0.7))
)
LAYERS = {
    "repa": ("projectors.{}.0", "projectors.{}.2", "projectors.{}.4"),
    "sra": ("ap_head.linear1", "ap_head.linear2"),
}


@official("repa")
def load_repa(
    weights: Taken, /, *, num_heads: int | None = None, input_size: int | None = None
) -> tuple[Transformer, dict[str, Tensor]]:
    """num_heads, input_size: as for `dit`. The projectors are left out."""
    weights.ignore(*(name for name in weights.weights if name.startswith("projectors.")))
    return load_sit(weights, num_heads=num_heads, input_size=input_size, learn_sigma=False)


@official("sra")
def load_sra(
    weights: Taken, /, *, num_heads: int | None = None, input_size: int | None = None
) -> tuple[Transformer, dict[str, Tensor]]:
    """num_heads, input_size: as for `dit`. The head is left out."""
    weights.ignore(*(name for name in weights.weights if name.startswith("ap_head.")))
    return load_sit(weights, num_heads=num_heads, input_size=input_size, learn_sigma=False)


@wires("repa")
def repa_pipeline(model: nn.Module, /, *, vae: str | None = None) -> Pipeline:
    """As trained: straight paths; as sampled: 250 steps of the reverse stochastic equation, guidance 1.8 where t is at
    most 0.7 (the official last step starts at t = 0.04; here all steps are equal)."""
    return wired(model, Gaussian(), GUIDED, vae)


@wires("sra")
def sra_pipeline(model: nn.Module, /, *, vae: str | None = None) -> Pipeline:
    """As `repa_pipeline`."""
    return wired(model, Gaussian(), GUIDED, vae)


def projectors(name: str, weights: Mapping[str, Tensor]) -> list[ProjectorModule]:
    """The projectors in official weights of "repa", one for each encoder, or the head of "sra". Raises `FrisketError` if
    there are none."""
    out: list[ProjectorModule] = []
    while f"{LAYERS[name][0].format(len(out))}.weight" in weights:
        layers = [layer.format(len(out)) for layer in LAYERS[name]]
        sizes = [weights[f"{layers[0]}.weight"].shape[1], *(weights[f"{layer}.weight"].shape[0] for layer in layers)]
        module = ProjectorModule(tuple(sizes))
        module.load_state_dict({f"layers.{i}.{k}": weights[f"{layer}.{k}"] for i, layer in enumerate(layers)
                                for k in ("weight", "bias")})  # fmt: skip
        out.append(module.eval())
        if name == "sra":
            return out
    if not out:
        raise FrisketError(f"official {name} weights hold no {LAYERS[name][0].format(0)}, so no projector")
    return out


def aligned_difference(name: str) -> float:
    """The largest absolute difference to official code on the stored arrays of "repa" or "sra": of the prediction, and
    of what the projectors make of the tapped tokens."""
    arrays = stored(name)
    weights = {k.removeprefix("w/"): v for k, v in arrays.items() if k.startswith("w/")}
    found = projected(name, weights, arrays)
    wanted = [arrays["head"]] if name == "sra" else [arrays["zs0"], arrays["zs1"]]
    apart = [float((a - b).abs().max()) for a, b in zip(found, wanted, strict=True)]
    return max(forward_difference(name, num_heads=2, input_size=8), *apart)


@torch.no_grad()
def projected(name: str, weights: Mapping[str, Tensor], arrays: Mapping[str, Tensor]) -> list[Tensor]:
    """What every projector makes of the tokens behind the second block, for the stored inputs."""

    model, taps = load_official(name, weights, num_heads=2, input_size=8), {}
    step = Step(seed=0, sample=torch.arange(len(arrays["in/x"])))
    with use_step(step), install(model, {"block[1]": tap("block[1]", taps)}):
        model(arrays["in/x"], arrays["in/t"], Condition.of(label=arrays["in/y"]))
    return [projector(taps["block[1]"].h) for projector in projectors(name, weights)]
