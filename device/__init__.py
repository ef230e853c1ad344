"""Deployed file -> predictions: what runs on the Raspberry Pi.

from edgedense.device import Classifier
from edgedense.images.preprocessing import load_image

with Classifier("digits.tflite") as classifier:
    scores = classifier.classify(load_image("seven.jpg", classifier.preprocessing))
    print(classifier.labels[scores.argmax()])
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from edgedense.device.classifier import Classifier as Classifier
    from edgedense.device.engines.interpreter import make_interpreter as make_interpreter

__all__ = ["Classifier", "make_interpreter"]

_MODULES = {"Classifier": "classifier", "make_interpreter": "engines.interpreter"}


def __getattr__(name: str) -> Any:
    """Loaded when it is first asked for: what systemd runs after each end of a service needs none of it, and has little
    time."""
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"{__name__}.{_MODULES[name]}"), name)
