"""Deployed file -> predictions: what runs on the Raspberry Pi.

from edgedense.device import Classifier
from edgedense.images.preprocessing import load_image

with Classifier("digits.tflite") as classifier:
    scores = classifier.classify(load_image("seven.jpg", classifier.preprocessing))
    print(classifier.labels[scores.argmax()])
"""

from edgedense.device.classifier import Classifier
from edgedense.device.engines.interpreter import make_interpreter

__all__ = ["Classifier", "make_interpreter"]
