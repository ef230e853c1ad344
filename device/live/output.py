"""Results on standard output: rows for people, JSON Lines for programs."""

from __future__ import annotations

import json
import shutil
from collections.abc import Sequence
from datetime import datetime
from typing import TYPE_CHECKING, TextIO

from edgedense.device.live.results import FrameResult, ImageResult
from edgedense.device.prediction import Prediction

if TYPE_CHECKING:
    from edgedense.device.monitor.drift import Alert

_WIDEST_LABEL = 32


class Output:
    """Writes one line per result to `stream` and flushes it, so that a reader of a pipe sees it at once.

    With `in_place` the rows of a table overwrite each other, as suits a terminal that watches a camera. `independent`
    leaves room for the mark of a class that is named although it does not reach its threshold.
    """

    def __init__(
        self, stream: TextIO, labels: Sequence[str], *, as_json: bool, in_place: bool = False, independent: bool = False
    ) -> None:
        self._stream, self._as_json, self._in_place = stream, as_json, in_place and not as_json
        self._width = max(len("label"), min(_WIDEST_LABEL, max(map(len, labels))) + (2 if independent else 0))
        self._has_header = as_json

    def write(self, result: ImageResult | FrameResult) -> None:
        """Write one result; the table's header goes before the first."""
        if not self._has_header:
            last = "file" if isinstance(result, ImageResult) else "time and frame"
            score = "value" if result.prediction.are_values else "score"
            self._stream.write(f"{'label':<{self._width}}    {score}    latency  {last}\n")
            self._has_header = True
        if self._as_json:
            line = json.dumps(result.to_dict(), ensure_ascii=False) + "\n"
        elif self._in_place:
            columns = shutil.get_terminal_size().columns
            line = "\r\x1b[K" + self._row(result)[: columns - 1]  # on one line, the one before erased
        else:
            line = self._row(result) + "\n"
        self._stream.write(line)
        self._stream.flush()

    def close(self) -> None:
        """End a row that was written in place."""
        if self._in_place and self._has_header:
            self._stream.write("\n")
            self._stream.flush()

    def _row(self, result: ImageResult | FrameResult) -> str:
        shown, score, rest = _told(result.prediction)
        percent = "-" if score is None else result.prediction.said(score)
        return f"{shown:<{self._width}}  {percent:>7}  {result.latency * 1e3:>6.1f} ms  {_origin(result)}{rest}"


def _told(prediction: Prediction) -> tuple[str, float | None, str]:
    """(the class in the row's first column, its score, what stands at the row's end). Classes in parentheses are not
    what is seen, but the next best."""
    if not prediction.independent:
        others = f"  ({_listed(prediction, prediction.top[1:])})" if prediction.top[1:] else ""
        return "-" if prediction.label is None else _shortened(prediction.label), prediction.score, others
    if not prediction.top:
        (label, score), *rest = prediction.below
        others = f"  ({_listed(prediction, rest)})" if rest else ""
        return f"({_shortened(label)})", score, f"  no finding{others}"
    (label, score), *rest = prediction.top
    findings = f"  and {_listed(prediction, rest)}" if rest else ""
    others = f"  ({_listed(prediction, prediction.below)})" if prediction.below else ""
    return _shortened(label), score, findings + others


def _listed(prediction: Prediction, classes: Sequence[tuple[str, float]]) -> str:
    return ", ".join(f"{label} {prediction.said(score)}" for label, score in classes)


def _shortened(label: str) -> str:
    return label if len(label) <= _WIDEST_LABEL else label[: _WIDEST_LABEL - 1] + "…"


def _origin(result: ImageResult | FrameResult) -> str:
    if isinstance(result, ImageResult):
        return result.file
    local = datetime.fromtimestamp(result.wall).strftime("%H:%M:%S.%f")[:-3]
    return f"{local}  #{result.number}"


def print_alert(alert: Alert) -> None:
    """A drift alert as a JSON line between those of the results, with the key "alert"."""
    print(json.dumps(alert.to_dict(), ensure_ascii=False), flush=True)
