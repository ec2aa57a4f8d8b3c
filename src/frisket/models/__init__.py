"""Backbones and what they are made of."""

from frisket.models.base import Backbone, BackboneConfig, Keep

__all__ = ["Backbone", "BackboneConfig", "Keep"]
