"""Data <-> state: pixels, autoencoders, text."""

from frisket.codecs.base import Codec, CodecConfig, Spec

__all__ = ["Codec", "CodecConfig", "Spec"]
