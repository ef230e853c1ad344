"""What is counted during a run, and how Prometheus calls it.

Names and units are as its conventions want them: base units, which the name ends with; "_total" for what only grows.
The thread that classifies adds to plain numbers; they become figures when somebody asks.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from importlib.metadata import version

import numpy as np
from numpy.typing import NDArray
from prometheus_client import CollectorRegistry, Histogram, ProcessCollector
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, InfoMetricFamily
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector

from edgedense.device.board.telemetry import temperature
from edgedense.device.camera.stream import Counts, Frame
from edgedense.device.monitor.drift import Alert
from edgedense.device.monitor.samples import CLASS, FEATURES
from edgedense.device.monitor.watch import Watch
from edgedense.device.prediction import Prediction, Rule

# Seconds: from a DenseNet on an Edge TPU to a large one on a Raspberry Pi 3.
_BUCKETS = (0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0)


class Figures(Collector):
    """Counts what passes by, in the thread that classifies; `registry` gives it to Prometheus.

    `rule` has the classes; `sha256` and `model` are the file's, `source` is the camera in words, and `watch` the run's
    monitor, None without one.
    """

    def __init__(self, rule: Rule, *, model: str, sha256: str, source: str, watch: Watch | None = None) -> None:
        self._rule, self._watch = rule, watch
        self._about = {"version": version("edgedense"), "model": model, "sha256": sha256, "source": source}
        self._counts = Counts(0, 0, 0, 0, 0.0)
        self._seen: Counter[str] = Counter(dict.fromkeys(rule.labels, 0))
        self._alerts, self._is_lost = 0, False
        self._scores: NDArray[np.float32] | None = None
        self.registry = CollectorRegistry()
        self._inference = Histogram(
            "edgedense_inference_seconds", "Time of one inference.", buckets=_BUCKETS, registry=self.registry
        )
        ProcessCollector(registry=self.registry)
        self.registry.register(self)

    def classified(self, frame: Frame, scores: NDArray[np.float32], prediction: Prediction, seconds: float) -> None:
        """A frame was classified in `seconds`: raw scores [classes], and what is said of them."""
        self._inference.observe(seconds)
        self._scores = scores
        if not prediction.are_values:
            self._seen.update(prediction.answer)

    def passed(self, counts: Counts, is_lost: bool, fps: float) -> None:
        """The loop has come round."""
        self._counts, self._is_lost = counts, is_lost

    def alerted(self, alert: Alert) -> None:
        """The monitor has found something."""
        self._alerts += 1

    def collect(self) -> Iterator[Metric]:
        """The figures as they are now."""
        yield InfoMetricFamily("edgedense", "What runs here.", self._about)
        yield from self._of_the_camera()
        yield from self._of_the_answers()
        if self._watch:
            yield from self._of_the_monitor(self._watch)
        degrees = temperature()
        if degrees is not None:
            yield GaugeMetricFamily("edgedense_temperature_celsius", "The processor's temperature.", degrees)

    def _of_the_camera(self) -> Iterator[Metric]:
        counts = self._counts
        yield CounterMetricFamily("edgedense_frames_captured", "Frames that the source delivered.", counts.captured)
        yield CounterMetricFamily("edgedense_frames_dropped", "Frames that came too fast.", counts.dropped)
        yield CounterMetricFamily("edgedense_camera_losses", "How often the source was lost.", counts.gaps)
        yield CounterMetricFamily("edgedense_camera_lost_seconds", "Time without a source.", counts.gap_seconds)
        yield GaugeMetricFamily("edgedense_camera_lost", "1 while no frames come, else 0.", int(self._is_lost))

    def _of_the_answers(self) -> Iterator[Metric]:
        scores, labels = self._scores, self._rule.labels
        if self._rule.kind == "values":
            newest = GaugeMetricFamily("edgedense_value", "The newest frame's values.", labels=["name", "unit"])
            for label, value in zip(labels, () if scores is None else scores, strict=scores is not None):
                newest.add_metric([label, self._rule.unit], float(value))
            yield newest
            return
        seen = CounterMetricFamily(
            "edgedense_seen_frames", "Frames in which a class was the answer, or one of the findings.", labels=["class"]
        )
        for label, frames in self._seen.items():
            seen.add_metric([label], frames)
        yield seen
        newest = GaugeMetricFamily("edgedense_score_ratio", "The newest frame's scores, 0 to 1.", labels=["class"])
        for label, score in zip(labels, () if scores is None else scores, strict=scores is not None):
            newest.add_metric([label], float(score))
        yield newest

    def _of_the_monitor(self, watch: Watch) -> Iterator[Metric]:
        yield CounterMetricFamily("edgedense_drift_alerts", "Alerts of the monitor.", self._alerts)
        yield GaugeMetricFamily(
            "edgedense_monitor_learning", "1 while the monitor learns what is usual, else 0.", int(watch.is_learning)
        )
        moved = GaugeMetricFamily("edgedense_drift", "1 for what is not as usual, else 0.", labels=["statistic"])
        for name in (*(feature.name for feature in FEATURES), CLASS):
            moved.add_metric([name], int(name in watch.moved))
        yield moved
