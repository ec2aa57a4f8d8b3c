"""What a sample is reduced to before sets are compared: a classifier's features, pixels, InceptionV3, DINOv2."""

from frisket.evaluation.features.base import Extracted, Extractor, Features, extract
from frisket.evaluation.features.classifier import Classifier
from frisket.evaluation.features.dinov2 import Dinov2
from frisket.evaluation.features.inception import Inception
from frisket.evaluation.features.pixels import PixelFeatures

__all__ = ["Classifier", "Dinov2", "Extracted", "Extractor", "Features", "Inception", "PixelFeatures", "extract"]
