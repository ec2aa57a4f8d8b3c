"""What one training step is."""

from frisket.tasks.base import Task
from frisket.tasks.diffusion import Diffusion, DiffusionTask

__all__ = ["Diffusion", "DiffusionTask", "Task"]
