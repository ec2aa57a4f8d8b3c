"""frisket: masked and diffusion transformers.

Everything here is a mask: on the state, the tokens, the attention, the weights or the compute.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

# What most programs use, found when first asked for, so that importing frisket stays cheap.
_HOMES = {
    "Condition": "frisket.core.condition",
    "FrisketError": "frisket.core.errors",
    "Known": "frisket.processes.known",
    "Pipeline": "frisket.sampling.pipeline",
    "Step": "frisket.core.step",
    "install": "frisket.core.sites",
    "load": "frisket.experiments.system",
    "load_official": "frisket.interop.official",
    "load_recipe": "frisket.experiments.recipes",
    "override": "frisket.core.config",
    "save_sheet": "frisket.evaluation.pictures",
    "train": "frisket.experiments.system",
    "use_step": "frisket.core.step",
}
__all__ = [
    "Condition", "FrisketError", "Known", "Pipeline", "Step", "__version__", "install", "load", "load_official",
    "load_recipe", "override", "save_sheet", "train", "use_step",
]  # fmt: skip

if TYPE_CHECKING:
    from frisket.core.condition import Condition as Condition
    from frisket.core.config import override as override
    from frisket.core.errors import FrisketError as FrisketError
    from frisket.core.sites import install as install
    from frisket.core.step import Step as Step
    from frisket.core.step import use_step as use_step
    from frisket.evaluation.pictures import save_sheet as save_sheet
    from frisket.experiments.recipes import load_recipe as load_recipe
    from frisket.experiments.system import load as load
    from frisket.experiments.system import train as train
    from frisket.interop.official import load_official as load_official
    from frisket.processes.known import Known as Known
    from frisket.sampling.pipeline import Pipeline as Pipeline


def __getattr__(name: str) -> Any:
    if name in _HOMES:
        return getattr(import_module(_HOMES[name]), name)
    raise AttributeError(f"module 'frisket' has no attribute {name!r}")


def __dir__() -> list[str]:
    return __all__
