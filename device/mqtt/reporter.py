"""The reporter: watches a run and says what is to be sent, without ever making it wait.

The inference thread makes a report when one is due, and leaves it in a queue. A thread of its own writes what is in the
queue into the outbox: a disk that is slow, or full, holds up that thread alone.
"""

from __future__ import annotations

import contextlib
import io
import queue
import threading
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from edgedense.device.board.telemetry import Clock, temperature
from edgedense.device.camera.stream import Counts, Frame
from edgedense.device.monitor import drift
from edgedense.device.monitor.samples import FEATURES, measure
from edgedense.device.monitor.watch import Watch
from edgedense.device.mqtt.messages import HASH, Alert, Name, Report, Stamp, Why, encode
from edgedense.device.mqtt.outbox import Letter, Outbox, Rank
from edgedense.device.prediction import Prediction, Rule
from edgedense.images.preprocessing import Pixels

_CHANGES = 1.0  # seconds between two reports at least, where the answer changes to and fro
_SAMPLES = 1.0  # seconds between two measurements of the picture
_WRITING = 256  # reports that wait for the disk; as many again are for alerts
_WIDEST = 640  # pixels; larger pictures are thinned out, which is cheap
_CLOSING = 1.0  # seconds for the disk at the end

_Item: TypeAlias = Alert | Report | Pixels


@dataclass(frozen=True)
class Device:
    """What stays the same in all of a run's reports. `boot` and `start` are those of `messages.Stamp`, `sha256` is the
    model's, `source` the camera in words; a report comes `every` so many seconds."""

    boot: str
    start: int
    sha256: str
    source: str
    every: float


class Reporter:
    """Makes reports and alerts, in the thread that classifies.

    `watch` is the run's monitor, None without one. `show` is given a JPEG now and then; None where no picture is to
    leave the device. `report` is called with a sentence when the disk cannot keep up. `close` it at the end.
    """

    def __init__(
        self,
        device: Device,
        rule: Rule,
        outbox: Outbox,
        *,
        watch: Watch | None = None,
        show: Callable[[bytes], None] | None = None,
        report: Callable[[str], None],
    ) -> None:
        self._device, self._rule, self._outbox, self._watch = device, rule, outbox, watch
        self._show, self._report, self._clock = show, report, Clock()
        self._sequence = self._frames = 0
        self._seen: Counter[str] = Counter()
        self._sample: dict[str, float] = {}
        self._prediction: Prediction | None = None
        self._told: tuple[str, ...] | None = None  # the answer in the last report
        self._latency = self._fps = 0.0
        self._lost_at: float | None = None
        self._has_news = self._has_overflowed = False
        self._reported_at, self._sampled_at, self._shown_at = time.monotonic(), float("-inf"), float("-inf")
        self._queue: queue.Queue[_Item | None] = queue.Queue(2 * _WRITING)
        self._thread = threading.Thread(target=self._write, name="outbox", daemon=True)
        self._thread.start()

    def classified(self, frame: Frame, scores: NDArray[np.float32], prediction: Prediction, seconds: float) -> None:
        """A frame was classified in `seconds`: raw scores [classes], and what is said of them."""
        now = time.monotonic()
        self._frames += 1
        self._prediction, self._latency = prediction, seconds
        if now - self._sampled_at >= _SAMPLES:
            self._sampled_at = now
            self._sample = self._measured(scores, frame.pixels)
        if not prediction.are_values:
            self._seen.update(prediction.answer)
            is_early = self._told is not None and now - self._reported_at < _CHANGES
            if prediction.answer != self._told and not is_early:
                self._tell("change", now)
        if self._show and now - self._shown_at >= self._device.every:
            self._shown_at = now
            step = -(-frame.picture.shape[1] // _WIDEST)
            self._put(frame.picture[::step, ::step].copy())

    def passed(self, counts: Counts, is_lost: bool, fps: float) -> None:
        """The loop has come round, with a frame or without one. `fps` are classified a second."""
        now = time.monotonic()
        self._fps = fps
        if is_lost != (self._lost_at is not None):
            self._camera(is_lost, now)
        if self._has_news:
            self._tell("alert", now)
        elif now - self._reported_at >= self._device.every:
            self._tell("interval", now)

    def alerted(self, alert: drift.Alert) -> None:
        """The monitor has found something."""
        self._alert("drift", alert.message, alert.to_dict())

    def close(self) -> None:
        """Report what was not yet reported, and let it be written."""
        if self._frames:
            self._tell("interval", time.monotonic())
        with contextlib.suppress(queue.Full):  # the disk hangs: what waits for it is lost
            self._queue.put(None, timeout=_CLOSING)
            self._thread.join(_CLOSING)

    def _camera(self, is_lost: bool, now: float) -> None:
        if is_lost:
            self._lost_at = now
            self._alert("camera lost", f"{self._device.source} is lost", {})
        elif self._lost_at is not None:
            gap, self._lost_at = now - self._lost_at, None
            self._alert("camera back", f"{self._device.source} is back after {gap:.0f} seconds", {})

    def _alert(self, kind: str, said: str, details: dict[str, Any]) -> None:
        self._put(Alert(self._stamp(), kind, said, details))
        self._has_news = True  # the report that follows has the new state

    def _tell(self, why: Why, now: float) -> None:
        """Make a report, and begin to count anew."""
        watch = self._watch
        report = Report(
            stamp=self._stamp(),
            why=why,
            result=self._prediction.to_dict() if self._prediction else None,
            frames=self._frames,
            seen=dict(self._seen),
            sample=self._sample,
            model=self._device.sha256[:HASH],
            camera_lost=self._lost_at is not None,
            monitor="off" if watch is None else "learning" if watch.is_learning else "watching",
            moved=watch.moved if watch else (),
            temperature=temperature(),
            fps=self._fps,
            latency=self._latency,
            waiting=self._outbox.waiting,
            given_up=self._outbox.given_up,
        )
        self._put(report)
        self._told = self._prediction.answer if self._prediction else None
        self._frames, self._sample, self._has_news = 0, {}, False
        self._seen.clear()
        # The next one is due an interval after this one was, not after it was made a little late.
        was_due = self._reported_at + self._device.every
        self._reported_at = was_due if why == "interval" and now - was_due < self._device.every else now
        self._sampled_at = float("-inf")

    def _stamp(self) -> Stamp:
        self._sequence += 1
        device, synchronized = self._device, self._clock.is_synchronized
        return Stamp(device.boot, device.start, self._sequence, time.time(), synchronized, time.monotonic())

    def _measured(self, scores: NDArray[np.float32], pixels: Pixels) -> dict[str, float]:
        """The features of a sample; of values those of the picture alone, since the others are of probabilities."""
        values, _ = measure(scores, pixels, self._rule)
        found = {feature.name: value for feature, value in zip(FEATURES, values, strict=True)}
        of_scores = ("confidence", "entropy") if self._rule.kind == "values" else ()
        return {name: value for name, value in found.items() if name not in of_scores}

    def _put(self, item: _Item) -> None:
        """Into the queue. Where the disk does not keep up, pictures and reports are left out first."""
        room = 2 * _WRITING if isinstance(item, Alert) else _WRITING
        if self._queue.qsize() < room:
            with contextlib.suppress(queue.Full):
                self._queue.put_nowait(item)
                return
        if not self._has_overflowed:
            self._report("the disk does not keep up with the outbox: reports are left out")
            self._has_overflowed = True

    def _write(self) -> None:
        """The thread that waits for the disk. What has come in the meantime is written at once."""
        goes_on = True
        while goes_on:
            items = [self._queue.get()]
            with contextlib.suppress(queue.Empty):
                while len(items) < _WRITING:
                    items.append(self._queue.get_nowait())
            goes_on = all(item is not None for item in items)
            letters = [_letter(item) for item in items if isinstance(item, (Alert, Report))]
            if letters:
                self._outbox.put(letters)
            for picture in (item for item in items if isinstance(item, np.ndarray)):
                self._send(picture)

    def _send(self, picture: Pixels) -> None:
        data = io.BytesIO()
        Image.fromarray(picture).save(data, "JPEG", quality=80)
        if self._show:
            self._show(data.getvalue())


def _letter(message: Alert | Report) -> Letter:
    name: Name = "alert" if isinstance(message, Alert) else "report"
    rank = Rank.ALERT if isinstance(message, Alert) else Rank.INTERVAL if message.why == "interval" else Rank.CHANGE
    return Letter(rank, name, message.stamp.boot, message.stamp.monotonic, encode(message))
