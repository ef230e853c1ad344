"""From a trained DenseNet to a camera that classifies at the edge.

import edgedense

conversion = edgedense.convert("flowers.keras", "pictures/")
conversion.save("flowers.tflite")
report = edgedense.validate("flowers.tflite", "labelled/", reference="flowers.keras")
print(report.evaluation.accuracy)

These names are all that other programs should use. Each is loaded when it is first asked for: `import edgedense` loads
neither TensorFlow nor a runtime, and what runs a file needs no TensorFlow.
"""

from __future__ import annotations

import importlib
import logging
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from edgedense.api.card import model_card as model_card
    from edgedense.api.compare import compare as compare
    from edgedense.api.convert import convert as convert
    from edgedense.api.deploy import deploy as deploy
    from edgedense.api.explain import explain as explain
    from edgedense.api.explain import feature_maps as feature_maps
    from edgedense.api.fleet import fleet as fleet
    from edgedense.api.inspect import inspect as inspect
    from edgedense.api.inspect import inspect_layers as inspect_layers
    from edgedense.api.page import to_html as to_html
    from edgedense.api.search import search as search
    from edgedense.api.thresholds import choose_thresholds as choose_thresholds
    from edgedense.api.validate import validate as validate
    from edgedense.api.web import web as web
    from edgedense.converters.conversion import Conversion as Conversion
    from edgedense.converters.features import Features as Features
    from edgedense.converters.opening import Opening as Opening
    from edgedense.converters.options import Options as Options
    from edgedense.converters.options import Slimming as Slimming
    from edgedense.converters.readers.summary import Summary as Summary
    from edgedense.converters.tflite.edgetpu import Compiled as Compiled
    from edgedense.deployed.golden import Replay as Replay
    from edgedense.deployed.thresholds import ChosenThresholds as ChosenThresholds
    from edgedense.device.classifier import Classifier as Classifier
    from edgedense.device.engines.contents import DeployedFile as DeployedFile
    from edgedense.device.overview.archive import Period as Period
    from edgedense.device.overview.rows import Overview as Overview
    from edgedense.device.service.options import UpdateOptions as UpdateOptions
    from edgedense.errors import DeviceError as DeviceError
    from edgedense.errors import EdgedenseError as EdgedenseError
    from edgedense.errors import GateError as GateError
    from edgedense.explanations.explanation import Explanation as Explanation
    from edgedense.explanations.explanation import Heat as Heat
    from edgedense.images.preprocessing import Preprocessing as Preprocessing
    from edgedense.images.preprocessing import load_image as load_image
    from edgedense.images.preprocessing import resize as resize
    from edgedense.images.tables import Table as Table
    from edgedense.measures.drift import Drift as Drift
    from edgedense.measures.drift import Evaluation as Evaluation
    from edgedense.measures.result import Gate as Gate
    from edgedense.measures.result import Report as Report
    from edgedense.measures.values import Comparison as Comparison
    from edgedense.measures.values import Difference as Difference
    from edgedense.measures.values import ValueReport as ValueReport
    from edgedense.report.card import ModelCard as ModelCard
    from edgedense.rollout.options import DeployOptions as DeployOptions
    from edgedense.rollout.result import Deployment as Deployment
    from edgedense.scoring.options import Scale as Scale
    from edgedense.searching.options import SearchOptions as SearchOptions
    from edgedense.searching.result import Point as Point
    from edgedense.searching.result import SearchResult as SearchResult
    from edgedense.website.site import Site as Site

# Where each public name stands. The imports above are the same for type checkers; a test compares them.
_PLACES = {
    "convert": "edgedense.api.convert",
    "validate": "edgedense.api.validate",
    "compare": "edgedense.api.compare",
    "model_card": "edgedense.api.card",
    "choose_thresholds": "edgedense.api.thresholds",
    "inspect": "edgedense.api.inspect",
    "inspect_layers": "edgedense.api.inspect",
    "search": "edgedense.api.search",
    "explain": "edgedense.api.explain",
    "feature_maps": "edgedense.api.explain",
    "to_html": "edgedense.api.page",
    "web": "edgedense.api.web",
    "deploy": "edgedense.api.deploy",
    "fleet": "edgedense.api.fleet",
    "Classifier": "edgedense.device.classifier",
    "load_image": "edgedense.images.preprocessing",
    "resize": "edgedense.images.preprocessing",
    "Table": "edgedense.images.tables",
    "Options": "edgedense.converters.options",
    "Opening": "edgedense.converters.opening",
    "Slimming": "edgedense.converters.options",
    "DeployOptions": "edgedense.rollout.options",
    "Scale": "edgedense.scoring.options",
    "UpdateOptions": "edgedense.device.service.options",
    "Preprocessing": "edgedense.images.preprocessing",
    "Conversion": "edgedense.converters.conversion",
    "Compiled": "edgedense.converters.tflite.edgetpu",
    "Report": "edgedense.measures.result",
    "Gate": "edgedense.measures.result",
    "Comparison": "edgedense.measures.values",
    "Difference": "edgedense.measures.values",
    "ValueReport": "edgedense.measures.values",
    "Evaluation": "edgedense.measures.drift",
    "Drift": "edgedense.measures.drift",
    "ModelCard": "edgedense.report.card",
    "Deployment": "edgedense.rollout.result",
    "Overview": "edgedense.device.overview.rows",
    "Period": "edgedense.device.overview.archive",
    "Replay": "edgedense.deployed.golden",
    "ChosenThresholds": "edgedense.deployed.thresholds",
    "Summary": "edgedense.converters.readers.summary",
    "DeployedFile": "edgedense.device.engines.contents",
    "Explanation": "edgedense.explanations.explanation",
    "Heat": "edgedense.explanations.explanation",
    "Features": "edgedense.converters.features",
    "Site": "edgedense.website.site",
    "SearchOptions": "edgedense.searching.options",
    "SearchResult": "edgedense.searching.result",
    "Point": "edgedense.searching.result",
    "EdgedenseError": "edgedense.errors",
    "GateError": "edgedense.errors",
    "DeviceError": "edgedense.errors",
}

__all__ = [*_PLACES]

logging.getLogger("edgedense").addHandler(logging.NullHandler())


def __getattr__(name: str) -> Any:
    """Load a public name when it is first asked for (PEP 562)."""
    if name not in _PLACES:
        raise AttributeError(f"module 'edgedense' has no attribute {name!r}")
    value = getattr(importlib.import_module(_PLACES[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
