"""Registry, configs, randomness, steps, sites, edits: what every room stands on."""

from frisket.core.condition import Condition, Output
from frisket.core.config import digest, from_config, override, to_config
from frisket.core.edits import Edit, apply_edits
from frisket.core.errors import FrisketError, MissingExtra, check
from frisket.core.registry import lookup, names, register
from frisket.core.sites import Dispatch, install
from frisket.core.step import Step, current_step, use_step

__all__ = [
    "Condition", "Dispatch", "Edit", "FrisketError", "MissingExtra", "Output", "Step", "apply_edits", "check",
    "current_step", "digest", "from_config", "install", "lookup", "names", "override", "register", "to_config",
    "use_step",
]  # fmt: skip
