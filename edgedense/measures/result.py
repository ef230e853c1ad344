"""The result of a validation: one model on labelled images, or two, and whether a limit was kept."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from edgedense.measures.drift import Drift, Evaluation
from edgedense.measures.layer_noise import LayerNoise
from edgedense.measures.stored_points import Kept


@dataclass(frozen=True)
class Gate:
    """A limit on the drop in accuracy, `max_drop`, and the `drop` that was measured, both in points of 100."""

    max_drop: float
    drop: float

    @property
    def passed(self) -> bool:
        """Whether the drop is within the limit. A model that became better, with a drop below 0, passes."""
        return self.drop <= self.max_drop


@dataclass(frozen=True)
class Report:
    """What was measured on labelled images: `evaluation` of the file under test, `drift` against another model.

    Without another model `drift` is None, without a limit `gate` is. `layer_noise` holds pairs (layer, signal-to-noise
    ratio in dB) from input to output, where it was measured. `recipe` is how the file says that it was made.
    `operating_points` are what the thresholds that the file under test carries do here, beside what they did where they
    were chosen.
    """

    title: str
    evaluation: Evaluation
    drift: Drift | None = None
    gate: Gate | None = None
    recipe: Mapping[str, Any] = field(default_factory=dict)
    layer_noise: LayerNoise = ()
    operating_points: tuple[Kept, ...] = ()

    def to_dict(self) -> dict[str, Any]:
        """Everything as dictionaries, lists, numbers and text. Shares are 0 to 1, `drop` is in points of 100."""
        return {
            "title": self.title,
            "evaluation": asdict(self.evaluation),
            "drift": asdict(self.drift) if self.drift else None,
            "gate": {**asdict(self.gate), "passed": self.gate.passed} if self.gate else None,
            "layer_noise": [{"layer": name, "sqnr_db": value} for name, value in self.layer_noise],
            "operating_points": [asdict(one) for one in self.operating_points],
            "recipe": dict(self.recipe),
        }

    def to_json(self) -> str:
        """`to_dict` as one JSON object on one line."""
        return json.dumps(self.to_dict(), ensure_ascii=False, allow_nan=False)
