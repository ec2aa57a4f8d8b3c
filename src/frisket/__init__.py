"""frisket: masked and diffusion transformers.

Everything here is a mask: on the state, the tokens, the attention, the weights or the compute.
"""

__version__ = "0.1.0"
