"""Further loss terms that read one training pass."""

from frisket.tasks.objectives.base import Objective, ObjectiveConfig, Pass

__all__ = ["Objective", "ObjectiveConfig", "Pass"]
