"""A new model looks at the same frames as the current one, before it takes its place: do they agree?

Who updates the service writes an order, `candidate.json` in the folder of its models. The running service finds it,
loads the model, and writes how both agree to `shadow.json` in its state folder, every few seconds. Only the current
model's results count meanwhile.
"""

from __future__ import annotations

import json
import statistics
import time
from collections import deque
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgedense.device.classifier import Classifier
from edgedense.device.prediction import decide
from edgedense.device.versions.models import Model, Models
from edgedense.device.versions.moments import Moment
from edgedense.device.versions.trial import read_unsafe
from edgedense.errors import EdgedenseError, first_line
from edgedense.files import write_atomically
from edgedense.images.preprocessing import Pixels, prepare
from edgedense.notes import LOG

REPORT = "shadow.json"  # in the state folder
_LOOK_EVERY = 1.0  # seconds between looks for an order
_WRITE_EVERY = 5.0  # seconds between reports
_REMEMBERED = 4096  # frames over which medians are taken


@dataclass(frozen=True)
class Agreement:
    """How the candidate with the SHA-256 `model` got on with the current one, over so many `frames`.

    `agreed` is the number of frames to which both gave the same answer; None where they give values, which are never
    quite the same. `difference` is the mean over the frames of the largest difference in a score, or in a value; None
    where both have other classes. The medians of inference times are in milliseconds. `error` says why there is no
    more of it, and is empty otherwise.
    """

    model: str
    frames: int = 0
    agreed: int | None = 0
    difference: float | None = None
    old_ms: float = 0.0
    new_ms: float = 0.0
    error: str = ""

    def __str__(self) -> str:
        same = "" if self.agreed is None else f"the same answer to {self.agreed} of {self.frames} frames"
        same = same or f"values for {self.frames} frames"
        if self.agreed is not None and self.frames:
            same += f" ({self.agreed / self.frames:.1%})"
        differ = "" if self.difference is None else f", the largest difference {self.difference:.3g} in the mean"
        return f"{same}{differ}; {self.new_ms:.1f} ms, the current one {self.old_ms:.1f} ms"


@dataclass(frozen=True)
class Order:
    """`model` is to look on until so many seconds after the start of the computer, standby included."""

    model: Model
    until: float


def order(models: Models, model: Model, seconds: float) -> None:
    """Ask the running service to let `model`, which is kept, look on for so long."""
    until = Moment.now().seconds + seconds
    content = {"model": model.sha256, "file": str(model.path.relative_to(models.folder)), "until": until}
    write_atomically(_order(models), json.dumps(content).encode())
    _order(models).chmod(0o644)


def withdraw(models: Models) -> None:
    """The model is to look on no more."""
    _order(models).unlink(missing_ok=True)


def ordered(models: Models) -> Order | None:
    """What is asked for now. An order has an end, for whoever gave it may be gone."""
    try:
        entry = json.loads(_order(models).read_bytes())
        found = Order(Model(str(entry["model"]), models.folder / entry["file"]), float(entry["until"]))
    except (OSError, ValueError, KeyError, TypeError):
        return None
    return found if Moment.now().seconds <= found.until else None


def report(state: Path, model: Model) -> Agreement:
    """What the service has written of `model` so far. Its user may write anything there: it is only told."""
    entry = read_unsafe(state / REPORT) or {}
    try:
        found = Agreement(
            str(entry["model"]),
            int(entry["frames"]),
            None if entry["agreed"] is None else int(entry["agreed"]),
            None if entry["difference"] is None else float(entry["difference"]),
            float(entry["old_ms"]),
            float(entry["new_ms"]),
            str(entry["error"])[:300],
        )
    except (KeyError, TypeError, ValueError, OverflowError):
        return Agreement(model.sha256)
    return found if found.model == model.sha256 else Agreement(model.sha256)


class Shadow:
    """The running service's side. `current` is its classifier, `threshold` its option of that name, and `load` makes a
    classifier of a file with the service's other options. `close` it at the end."""

    def __init__(
        self,
        models: Models,
        state: Path,
        current: Classifier,
        threshold: float | None,
        load: Callable[[Path], Classifier],
    ) -> None:
        self._models, self._state, self._current = models, state, current
        self._threshold, self._load = threshold, load
        self._order = ordered(models)  # one that is older than this run is no longer waited for
        self._candidate: Classifier | None = None
        self._looked_at = self._written_at = float("-inf")
        self._agreement = Agreement("")
        self._differences = 0.0
        self._times: tuple[deque[float], deque[float]] = (deque(maxlen=_REMEMBERED), deque(maxlen=_REMEMBERED))

    def tick(self) -> None:
        """Look for an order, at most once a second."""
        if time.monotonic() - self._looked_at < _LOOK_EVERY:
            return
        self._looked_at = time.monotonic()
        found = ordered(self._models)
        if found == self._order:
            return
        self._write()
        self.close()
        self._order = found
        if found is not None:
            self._begin(found.model)

    def look(self, picture: Pixels, pixels: Pixels, scores: NDArray[np.float32]) -> None:
        """Give a frame to the candidate too: uint8 [H, W, 3] as the camera gave it, and [h, w, C] as the current model
        got it, with its scores float32 [classes]."""
        if self._candidate is None:
            return
        try:
            own = self._candidate.preprocessing
            other = self._candidate.classify(pixels if own == self._current.preprocessing else prepare(picture, own))
        except (EdgedenseError, RuntimeError, ValueError) as error:
            self._fail(first_line(error))
            return
        self._count(scores, other)
        if time.monotonic() - self._written_at > _WRITE_EVERY:
            self._write()

    def close(self) -> None:
        """Forget the candidate."""
        if self._candidate is not None:
            self._candidate.close()
        self._candidate = None

    def _begin(self, model: Model) -> None:
        self._agreement, self._differences = Agreement(model.sha256), 0.0
        for times in self._times:
            times.clear()
        try:
            self._candidate = self._load(model.path)
        except (EdgedenseError, RuntimeError, ValueError) as error:
            self._fail(first_line(error))
            return
        self._written_at = float("-inf")  # the first frame is told at once
        LOG.info(f"{model.path.name} ({model.sha256[:12]}) looks at the same frames from now on")

    def _count(self, scores: NDArray[np.float32], other: NDArray[np.float32]) -> None:
        assert self._candidate is not None
        before = self._agreement
        rules = self._current.rule(self._threshold), self._candidate.rule(self._threshold)
        answers = decide(scores, rules[0]).answer, decide(other, rules[1]).answer
        values = "values" in (rules[0].kind, rules[1].kind)
        self._times[0].append(self._current.invoke_seconds)
        self._times[1].append(self._candidate.invoke_seconds)
        frames, difference = before.frames + 1, None
        if self._current.labels == self._candidate.labels:
            self._differences += float(np.abs(scores - other).max())
            difference = self._differences / frames
        agreed = None if values or before.agreed is None else before.agreed + (answers[0] == answers[1])
        self._agreement = Agreement(before.model, frames, agreed, difference)

    def _fail(self, why: str) -> None:
        LOG.warning(f"the new model looks on no more: {why}")
        self._agreement = Agreement(**{**asdict(self._agreement), "error": why})
        if self._candidate is not None:
            self._candidate.close()
        self._candidate = None  # and not the order: it is not tried again
        self._write()

    def _write(self) -> None:
        if not self._agreement.model:
            return
        self._written_at = time.monotonic()
        old, new = (round(statistics.median(times) * 1e3, 3) if times else 0.0 for times in self._times)
        content: dict[str, Any] = {**asdict(self._agreement), "old_ms": old, "new_ms": new}
        try:
            write_atomically(self._state / REPORT, json.dumps(content).encode())
        except EdgedenseError as error:  # a full disk must not end the inference
            LOG.warning(f"how both models agree was not written: {error}")


def _order(models: Models) -> Path:
    return models.folder / "candidate.json"
