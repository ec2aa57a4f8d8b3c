"""The loop: data order, updates, averages, records, checkpoints."""

from frisket.training.checkpoint import latest
from frisket.training.ema import reconstruct
from frisket.training.parallel import Layout
from frisket.training.trainer import Result, Saving, Trainer, Watching

__all__ = ["Layout", "Result", "Saving", "Trainer", "Watching", "latest", "reconstruct"]
