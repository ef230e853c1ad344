"""A result: what was seen in one image or one frame."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from edgedense.device.board.telemetry import iso
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
        return {"file": self.file, **self.prediction.to_dict(), "latency_ms": _milliseconds(self.latency)}


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
            "wall": iso(self.wall),
            "clock_synchronized": self.clock_synchronized,
            **self.prediction.to_dict(),
            "latency_ms": _milliseconds(self.latency),
            "age_ms": _milliseconds(self.age),
        }


def _milliseconds(seconds: float) -> float:
    return round(seconds * 1e3, 3)
