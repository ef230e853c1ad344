"""The result of a validation: one model on labelled images, or two, and whether a limit was kept."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from typing import Any

from edgedense.measures.drift import Changed, Drift, Evaluation
from edgedense.measures.findings import ChangedFindings, Findings
from edgedense.measures.layer_noise import LayerNoise
from edgedense.measures.masks import Focus
from edgedense.measures.sequential import EarlyAnswer
from edgedense.measures.stored_points import Kept


@dataclass(frozen=True)
class Gate:
    """A limit on a drop, `max_drop`, and the `drop` that was measured, both in points of 100.

    `of` says what dropped: the accuracy, or of pictures that show several findings the mean AUROC.
    """

    max_drop: float
    drop: float
    of: str = "accuracy"

    @property
    def passed(self) -> bool:
        """Whether the drop is within the limit. A model that became better, with a drop below 0, passes."""
        return self.drop <= self.max_drop


@dataclass(frozen=True)
class Report:
    """What was measured on labelled images.

    Where classes exclude each other it is the `evaluation` of the file under test, and `drift` against another model,
    None without one. Where a picture shows any number of classes it is `findings`, which hold both, and the two others
    are None. Without a limit `gate` is None. `layer_noise` holds pairs (layer, signal-to-noise ratio in dB) from input
    to output, where it was measured. `recipe` is how the file says that it was made. `patients` is how many patients
    the pictures are of, 0 where that is not known. `sha256` is the hash of the file under test, and `measured_with` the
    version of edgedense that measured it.
    `operating_points` are what the thresholds that the file under test carries do here, beside what they did where they
    were chosen. `masks` says where the models look on pictures of which people have marked a part.
    """

    title: str
    evaluation: Evaluation | None
    drift: Drift | None = None
    gate: Gate | None = None
    recipe: Mapping[str, Any] = field(default_factory=dict)
    layer_noise: LayerNoise = ()
    operating_points: tuple[Kept, ...] = ()
    findings: Findings | None = None
    patients: int = 0
    masks: Focus | None = None
    sha256: str = ""
    measured_with: str = ""
    early: EarlyAnswer | None = None

    def ended_early(self, early: EarlyAnswer) -> Report:
        """The same with how it ended, and with the interval on the drop that holds although it was looked at again and
        again."""
        drift = self.drift and replace(self.drift, drop_low=early.look.low, drop_high=early.look.high)
        return replace(self, drift=drift, early=early)

    @property
    def evaluations(self) -> tuple[Evaluation, ...]:
        """The reference's, if any, and that of the file under test; none where classes do not exclude each other."""
        if self.drift is not None:
            return self.drift.before, self.drift.after
        return () if self.evaluation is None else (self.evaluation,)

    @property
    def models(self) -> tuple[str, ...]:
        """Names: of the reference, if any, and of the model under test."""
        judged = self.evaluations if self.findings is None else self.findings.models
        return tuple(one.model for one in judged)

    @property
    def images(self) -> int:
        """How many pictures were looked at."""
        return self.evaluations[-1].images if self.findings is None else self.findings.images

    @property
    def changed(self) -> tuple[Changed, ...] | tuple[ChangedFindings, ...]:
        """The pictures that the two models decide differently; none without a reference."""
        if self.findings is not None:
            return self.findings.change.changed if self.findings.change else ()
        return self.drift.changed if self.drift else ()

    def to_dict(self) -> dict[str, Any]:
        """Everything as dictionaries, lists, numbers and text. Shares are 0 to 1, `drop` is in points of 100."""
        return {
            "title": self.title,
            "evaluation": asdict(self.evaluation) if self.evaluation else None,
            "drift": asdict(self.drift) if self.drift else None,
            "findings": asdict(self.findings) if self.findings else None,
            "patients": self.patients,
            "sha256": self.sha256,
            "measured_with": self.measured_with,
            "early": {**asdict(self.early), "is_narrow": self.early.is_narrow} if self.early else None,
            "gate": {**asdict(self.gate), "passed": self.gate.passed} if self.gate else None,
            "layer_noise": [{"layer": name, "sqnr_db": value} for name, value in self.layer_noise],
            "operating_points": [asdict(one) for one in self.operating_points],
            "masks": self.masks.to_dict() if self.masks else None,
            "recipe": dict(self.recipe),
        }

    def to_json(self) -> str:
        """`to_dict` as one JSON object on one line."""
        return json.dumps(self.to_dict(), ensure_ascii=False, allow_nan=False)
