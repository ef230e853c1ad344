"""The inference loop: frames in, results out, until the source ends or somebody says stop."""

from __future__ import annotations

import contextlib
import os
import signal
import sys
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from edgedense.device.board.telemetry import Clock, temperature
from edgedense.device.camera.frames import CaptureJob
from edgedense.device.camera.stream import Counts, Frame, Stream
from edgedense.device.classifier import Classifier
from edgedense.device.live.listener import Listener
from edgedense.device.live.options import LiveOptions
from edgedense.device.live.output import Output
from edgedense.device.live.results import FrameResult
from edgedense.device.live.saving import Saver
from edgedense.device.live.smoothing import Smoother
from edgedense.device.monitor.watch import Watch
from edgedense.device.prediction import Prediction, decide, doubt
from edgedense.device.preview.state import Board
from edgedense.device.service.notify import Notifier
from edgedense.device.versions.serving import Serving
from edgedense.explanations.colormap import relative

_PATIENCE = 4.0  # seconds that an orderly end may take after a signal
_REMEMBERED = 4096  # frames over which medians and percentiles are taken
_BARS = 5  # classes on the preview page


@dataclass(frozen=True)
class Summary:
    """What happened, for the end of a run; times in seconds, over the last few thousand frames.

    `age` is from a frame's capture to its printed result, `other` the inference thread's work on a frame besides
    the inference itself; `heatmap` the part of it that was a heatmap, of the frames that had one.
    """

    seconds: float
    classified: int
    counts: Counts
    invoke_median: float
    invoke_p95: float
    age_p95: float
    other_median: float
    heatmap_median: float
    saved: int

    def __str__(self) -> str:
        rate = self.classified / self.seconds if self.seconds else 0.0
        lines = [
            f"{self.classified} frames classified in {self.seconds:.1f} s, {rate:.1f} a second; "
            f"{self.counts.captured} captured, {self.counts.dropped} dropped",
            f"inference {self.invoke_median * 1e3:.1f} ms in the median, {self.invoke_p95 * 1e3:.1f} ms at the "
            f"95th percentile; from capture to result {self.age_p95 * 1e3:.1f} ms at the 95th percentile",
        ]
        lines.append(f"besides inference {self.other_median * 1e3:.2f} ms of work a frame on its thread")
        if self.heatmap_median:
            lines.append(
                f"heatmap {self.heatmap_median * 1e3:.2f} ms in the median, "
                f"{self.heatmap_median / self.invoke_median:.1%} of the inference"
            )
        if self.counts.gaps:
            lines.append(f"gaps in the source: {self.counts.gaps}, together {self.counts.gap_seconds:.1f} s")
        if self.saved:
            lines.append(f"{self.saved} frames saved")
        return "\n".join(lines)


@dataclass
class _Times:
    """The last few thousand frames' times in seconds: a fixed amount of memory."""

    invoke: deque[float] = field(default_factory=lambda: deque(maxlen=_REMEMBERED))
    age: deque[float] = field(default_factory=lambda: deque(maxlen=_REMEMBERED))
    other: deque[float] = field(default_factory=lambda: deque(maxlen=_REMEMBERED))
    heatmap: deque[float] = field(default_factory=lambda: deque(maxlen=_REMEMBERED))

    def percentile(self, name: str, share: float) -> float:
        values = getattr(self, name)
        return float(np.percentile(values, share)) if values else 0.0


class LiveRun:
    """One run of the loop. `run` returns when the source has ended or `stop` is set."""

    def __init__(
        self,
        classifier: Classifier,
        job: CaptureJob,
        options: LiveOptions,
        output: Output,
        *,
        report: Callable[[str], None],
        stop: threading.Event,
        saver: Saver | None = None,
        board: Board | None = None,
        watch: Watch | None = None,
        serving: Serving | None = None,
        listeners: Sequence[Listener] = (),
    ) -> None:
        self._classifier, self._job, self._options, self._output = classifier, job, options, output
        self._report, self._stop, self._saver, self._board = report, stop, saver, board
        self._watch, self._serving, self._listeners = watch, serving, listeners
        self._notifier, self._clock, self._times = Notifier(), Clock(), _Times()
        # The page shows the best classes also where the answer is left open.
        self._rule = classifier.rule(options.threshold)
        self._page_rule = classifier.rule() if self._rule.kind == "best" else self._rule
        self._smoother = Smoother(options.smooth)
        self._recent: deque[float] = deque(maxlen=64)  # when the last frames were classified
        self._classified = 0
        self._told: Prediction | None = None
        self._temperature_at = float("-inf")
        self._heat: NDArray[np.float32] | None = None

    def run(self) -> Summary:
        """Loop. Raises DeviceError when the source cannot be opened."""
        started = time.monotonic()
        with contextlib.closing(self._notifier), Stream(self._job, self._report) as stream:
            # On a slow board loading has taken most of the time for a start; the camera is to have its own.
            self._notifier.starting("waiting for the first picture")
            try:
                while not self._stop.is_set():
                    if not self._step(stream):
                        break
            except BrokenPipeError:  # whoever read the results has gone
                _silence_stdout()
            self._notifier.stopping()
            counts = stream.counts
        with contextlib.suppress(BrokenPipeError):
            self._output.close()
        times = self._times
        return Summary(
            time.monotonic() - started,
            self._classified,
            counts,
            times.percentile("invoke", 50),
            times.percentile("invoke", 95),
            times.percentile("age", 95),
            times.percentile("other", 50),
            times.percentile("heatmap", 50),
            self._saver.saved if self._saver else 0,
        )

    def _step(self, stream: Stream) -> bool:
        """Wait for a frame and deal with it. Returns whether to go on."""
        self._notifier.alive(self._status(stream))
        if self._serving:
            self._serving.tick()
        for listener in self._listeners:
            listener.passed(stream.counts, stream.is_lost, self._rate())
        if self._board and self._board.is_paused:
            if self._job.drop:
                stream.take(timeout=0.1)  # let it go by
            else:
                self._stop.wait(0.1)
            return True
        frame = stream.take(timeout=0.25)
        self._tell_page(stream)
        if frame is None:
            return not stream.ended
        self._notifier.ready()
        if self._options.when_moving and not frame.moving:
            if self._board:
                self._board.show(frame.picture, self._heat if self._board.wants_heat else None)
            return True
        self._classify(frame)
        return True

    def _classify(self, frame: Frame) -> None:
        taken = time.perf_counter()
        raw = self._classifier.classify(frame.pixels)
        alert = self._watch.offer(raw, frame.pixels, frame.wall) if self._watch else None
        scores = self._smoother.smooth(raw, frame.captured)
        prediction = decide(scores, self._rule, self._options.top)
        for listener in self._listeners:
            if alert:
                listener.alerted(alert)
            listener.classified(frame, raw, prediction, self._classifier.invoke_seconds)
        if not self._options.on_change or self._told is None or prediction.answer != self._told.answer:
            self._print(frame, prediction)
            self._told = prediction
        if self._saver:
            self._saver.offer(frame.picture, frame.number, frame.wall, doubt(raw, self._rule))
        if self._board:
            self._show(self._board, frame, scores)
        self._count(frame, time.perf_counter() - taken)
        if self._serving:
            self._serving.look(frame.picture, frame.pixels, raw)

    def _print(self, frame: Frame, prediction: Prediction) -> None:
        age = time.monotonic() - frame.captured
        self._output.write(
            FrameResult(
                frame.number,
                frame.captured,
                frame.wall,
                self._clock.is_synchronized,
                prediction,
                self._classifier.invoke_seconds,
                age,
            )
        )
        self._times.age.append(time.monotonic() - frame.captured)

    def _count(self, frame: Frame, busy: float) -> None:
        self._classified += 1
        self._recent.append(time.monotonic())
        self._times.invoke.append(self._classifier.invoke_seconds)
        self._times.other.append(busy - self._classifier.invoke_seconds)

    def _show(self, board: Board, frame: Frame, scores: NDArray[np.float32]) -> None:
        best = decide(scores, self._page_rule, _BARS)
        facts: dict[str, object] = {
            "frame": frame.number,
            "top": (best.top + best.below),
            "seen": len(best.top) if best.independent else None,
            "values": best.are_values,
            "unit": best.unit,
            "latency_ms": self._classifier.invoke_seconds * 1e3,
        }
        self._heat = None
        if board.wants_heat:
            started = time.perf_counter()
            shown = 0 if best.are_values else int(scores.argmax())  # of several values the first: none is the best
            self._heat = relative(self._classifier.heatmaps((shown,))[0])
            self._times.heatmap.append(time.perf_counter() - started)
            facts["heatmap_ms"] = self._times.heatmap[-1] * 1e3
        board.update(facts)
        board.show(frame.picture, self._heat)

    def _tell_page(self, stream: Stream) -> None:
        if not self._board:
            return
        facts: dict[str, object] = {"fps": self._rate(), "dropped": stream.counts.dropped, "lost": stream.is_lost}
        if time.monotonic() - self._temperature_at > 2.0:
            self._temperature_at = time.monotonic()
            facts["temperature"] = temperature()
        self._board.update(facts)

    def _rate(self) -> float:
        """Classified frames a second, over the last two seconds."""
        now = time.monotonic()
        while self._recent and now - self._recent[0] > 2.0:
            self._recent.popleft()
        return (len(self._recent) - 1) / (self._recent[-1] - self._recent[0]) if len(self._recent) > 1 else 0.0

    def _status(self, stream: Stream) -> str:
        if stream.is_lost:
            return f"{self._job.source} is lost and will be reopened"
        seen = ", ".join(self._told.answer) if self._told else ""
        return f"{seen or 'nothing'} seen, {self._rate():.1f} frames a second"


@contextlib.contextmanager
def stop_on_signals() -> Iterator[threading.Event]:
    """An event that SIGINT and SIGTERM set. The second signal, or four seconds without an end, end the process
    at once: a driver or a full pipe may hold on to it."""
    stop, last_resort = threading.Event(), threading.Timer(_PATIENCE, _end_at_once)
    last_resort.daemon = True

    def handle(number: int, _: object) -> None:
        if stop.is_set():
            _end_at_once()
        stop.set()
        last_resort.start()

    previous = {number: signal.signal(number, handle) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield stop
    finally:
        last_resort.cancel()
        for number, handler in previous.items():
            signal.signal(number, handler)


def _end_at_once() -> None:
    os.write(2, b"edgedense: ended without waiting any longer\n")
    os._exit(0)


def _silence_stdout() -> None:
    """Python flushes standard output at its end, and would complain about the closed pipe once more."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
