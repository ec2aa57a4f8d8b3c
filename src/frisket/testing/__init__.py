"""Conformance checks, public, so that strangers can test their own parts.

Each takes a part and a few facts, and raises an AssertionError that names the part and the promise it breaks.
"""

from frisket.testing.backbones import check_backbone
from frisket.testing.changes import check_edit, check_handler
from frisket.testing.codecs import check_codec
from frisket.testing.configs import check_config
from frisket.testing.data import check_data
from frisket.testing.plans import check_plan
from frisket.testing.processes import check_process
from frisket.testing.recipes import check_recipe
from frisket.testing.updates import check_update

__all__ = [
    "check_backbone", "check_codec", "check_config", "check_data", "check_edit", "check_handler", "check_plan",
    "check_process", "check_recipe", "check_update",
]  # fmt: skip
