"""A monitor beside a run: feeds it, tells of its alerts, and keeps its state in a file."""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgedense.device.classifier import Classifier
from edgedense.device.monitor.drift import Alert, Monitor
from edgedense.device.prediction import Rule
from edgedense.errors import EdgedenseError
from edgedense.files import remove_leftovers
from edgedense.images.preprocessing import Pixels, find_images, load_image
from edgedense.notes import LOG
from edgedense.progress import progress

_SAVE_EVERY = 600.0  # seconds: what a power cut may cost, against the wear of an SD card


class Watch:
    """Use it as a context manager; the state is written at its end, and every ten minutes.

    `rule` says which classes count as seen, `model` is the SHA-256 of the file, where it is known. `baseline` is a
    folder of images to learn from where the file `state` does not exist yet; without one the monitor learns on site.
    Alerts are logged, and `alerted` is called with each. Raises EdgedenseError when the state is damaged, belongs to
    another model or cannot be written.
    """

    def __init__(
        self,
        state: Path,
        classifier: Classifier,
        rule: Rule,
        *,
        model: str = "",
        baseline: Path | None = None,
        alerted: Callable[[Alert], None] = lambda alert: None,
        busy: Callable[[], None] = lambda: None,
    ) -> None:
        self._state, self._alerted = state, alerted
        is_new = not state.exists()
        self._monitor = Monitor.load(state, rule.labels, rule=rule, model=model)
        if is_new and baseline:
            _learn(self._monitor, classifier, baseline, busy)
        self._monitor.save(state)  # now, rather than in ten minutes, is when to find out that it cannot be written
        remove_leftovers(state.parent, re.escape(state.name))
        self._saved_at = time.monotonic()
        if self._monitor.learning:
            LOG.info(f"the monitor learns what is usual: {self._monitor.samples} samples so far")

    @property
    def is_learning(self) -> bool:
        """Whether it still learns what is usual."""
        return self._monitor.learning

    @property
    def moved(self) -> tuple[str, ...]:
        """What is not as usual, by the names of `samples.FEATURES`, or "class"."""
        return self._monitor.moved

    def offer(self, scores: NDArray[Any], pixels: Pixels, wall: float | None = None) -> Alert | None:
        """One result: scores [classes] for the model's input `pixels`, at `wall` seconds of Unix time; None for a photo
        that is no frame of a stream. Returns what is told, if anything is."""
        was_learning = self._monitor.learning
        alert = self._monitor.update(scores, pixels, wall)
        if was_learning and not self._monitor.learning:
            LOG.info("the monitor has learned what is usual")
        if alert:
            LOG.warning(f"drift: {alert.message}")
            self._alerted(alert)
        if alert or time.monotonic() - self._saved_at > _SAVE_EVERY:
            self._save()
        return alert

    def _save(self) -> None:
        self._saved_at = time.monotonic()
        try:
            self._monitor.save(self._state)
        except EdgedenseError as error:  # a full disk must not end the inference
            LOG.warning(f"the monitor's state was not saved: {error}")

    def __enter__(self) -> Watch:
        return self

    def __exit__(self, *_: object) -> None:
        self._save()


def _learn(monitor: Monitor, classifier: Classifier, folder: Path, busy: Callable[[], None]) -> None:
    """Learn from images in random order: in the order of their folders each window would hold one class."""
    paths = find_images(folder)
    with progress("learning", len(paths)) as tick:
        for i in np.random.default_rng(0).permutation(len(paths)):
            pixels = load_image(paths[i], classifier.preprocessing)
            monitor.update(classifier.classify(pixels), pixels)
            tick(1)
            busy()
    if monitor.learning:
        monitor.finish_learning()
