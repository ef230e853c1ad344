"""Results on standard output: rows for people, JSON Lines for programs."""

from __future__ import annotations

import json
import shutil
from collections.abc import Sequence
from datetime import datetime
from typing import TextIO

from edgedense.device.live.results import FrameResult, ImageResult

_WIDEST_LABEL = 32


class Output:
    """Writes one line per result to `stream` and flushes it, so that a reader of a pipe sees it at once.

    With `in_place` the rows of a table overwrite each other, as suits a terminal that watches a camera.
    """

    def __init__(self, stream: TextIO, labels: Sequence[str], *, as_json: bool, in_place: bool = False) -> None:
        self._stream, self._as_json, self._in_place = stream, as_json, in_place and not as_json
        self._width = max(len("label"), min(_WIDEST_LABEL, max(map(len, labels))))
        self._has_header = as_json

    def write(self, result: ImageResult | FrameResult) -> None:
        """Write one result; the table's header goes before the first."""
        if not self._has_header:
            last = "file" if isinstance(result, ImageResult) else "time and frame"
            self._stream.write(f"{'label':<{self._width}}    score    latency  {last}\n")
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
        label, score = result.prediction.label, result.prediction.score
        shown = "-" if label is None else _shortened(label)
        percent = "-" if score is None else f"{score:.1%}"
        others = ", ".join(f"{name} {value:.1%}" for name, value in result.prediction.top[1:])
        return f"{shown:<{self._width}}  {percent:>7}  {result.latency * 1e3:>6.1f} ms  {_origin(result)}" + (
            f"  ({others})" if others else ""
        )


def _shortened(label: str) -> str:
    return label if len(label) <= _WIDEST_LABEL else label[: _WIDEST_LABEL - 1] + "…"


def _origin(result: ImageResult | FrameResult) -> str:
    if isinstance(result, ImageResult):
        return result.file
    local = datetime.fromtimestamp(result.wall).strftime("%H:%M:%S.%f")[:-3]
    return f"{local}  #{result.number}"
