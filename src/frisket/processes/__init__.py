"""Corruption of a state and what is learnt from it."""

from frisket.processes.base import Corrupted, Estimate, Process
from frisket.processes.gaussian import Gaussian
from frisket.processes.known import Known
from frisket.processes.masked import Masked
from frisket.processes.masked_steps import MaskedSteps

__all__ = ["Corrupted", "Estimate", "Gaussian", "Known", "Masked", "MaskedSteps", "Process"]
