"""frisket: masked and diffusion transformers. Everything here is a mask (on state, tokens, attention, weights, compute)."""

__version__ = "0.1.0"
