"""Corruption of a state and what is learnt from it."""

from frisket.processes.base import Corrupted, Estimate, Process
from frisket.processes.known import Known

__all__ = ["Corrupted", "Estimate", "Known", "Process"]
