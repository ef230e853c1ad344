"""A result: what was seen in one image or one frame."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timezone
from typing import Any

from edgedense.device.prediction import Prediction


@dataclass(frozen=True)
class ImageResult:
    """`file` was classified in `latency` seconds (the inference alone)."""

    file: str
    prediction: Prediction
    latency: float

    def to_dict(self) -> dict[str, Any]:
        """The JSON line: file, label, score, top, latency_ms, and findings where each class is scored alone. Where a
        threshold decides, each class has its own. Of a file that gives values: file, values, latency_ms."""
        return {"file": self.file, **_prediction_entries(self.prediction, self.latency)}


@dataclass(frozen=True)
class FrameResult:
    """Frame `number` of a live source, captured at `captured` seconds of the monotonic clock.

    `wall` is the same moment in seconds of Unix time, right only as far as `clock_synchronized` (None where
    the system does not say). `age` is the time from capture to this result, `latency` that of the inference
    alone, in seconds.
    """

    number: int
    captured: float
    wall: float
    clock_synchronized: bool | None
    prediction: Prediction
    latency: float
    age: float

    def to_dict(self) -> dict[str, Any]:
        """The JSON line, with times in seconds unless a name says milliseconds."""
        return {
            "frame": self.number,
            "monotonic": round(self.captured, 6),
            "wall": _iso(self.wall),
            "clock_synchronized": self.clock_synchronized,
            **_prediction_entries(self.prediction, self.latency),
            "age_ms": round(self.age * 1e3, 3),
        }


def _prediction_entries(prediction: Prediction, latency: float) -> dict[str, Any]:
    if prediction.are_values:  # float32 holds seven digits
        given = {label: float(f"{value:.7g}") for label, value in prediction.top}
        unit = {"unit": prediction.unit} if prediction.unit else {}
        return {"values": given, **unit, "latency_ms": round(latency * 1e3, 3)}
    seen, below = (_scored(classes, prediction.thresholds) for classes in (prediction.top, prediction.below))
    best = {"label": prediction.label, "score": None if prediction.score is None else round(prediction.score, 6)}
    findings = {"findings": seen} if prediction.independent else {}
    return {**best, **findings, "top": seen + below, "latency_ms": round(latency * 1e3, 3)}


def _scored(classes: tuple[tuple[str, float], ...], thresholds: Mapping[str, float]) -> list[dict[str, Any]]:
    return [
        {
            "label": label,
            "score": round(score, 6),
            **({"threshold": round(thresholds[label], 6)} if label in thresholds else {}),
        }
        for label, score in classes
    ]


def _iso(wall: float) -> str:
    return datetime.fromtimestamp(wall, timezone.utc).isoformat(timespec="milliseconds")[:-6] + "Z"
