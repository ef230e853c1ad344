"""Who is told of what happens in a run: reports over MQTT, figures for Prometheus."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from edgedense.device.camera.stream import Counts, Frame
from edgedense.device.live.options import RunOptions
from edgedense.device.monitor.drift import Alert
from edgedense.device.monitor.watch import Watch
from edgedense.device.prediction import Prediction, Rule
from edgedense.errors import DeviceError


class Listener(Protocol):
    """Called in the thread that classifies: none of these may wait for anything."""

    def classified(self, frame: Frame, scores: NDArray[np.float32], prediction: Prediction, seconds: float) -> None:
        """A frame was classified in `seconds`: raw scores [classes], and what is said of them."""

    def passed(self, counts: Counts, is_lost: bool, fps: float) -> None:
        """The loop has come round, with a frame or without one. `fps` are classified a second."""

    def alerted(self, alert: Alert) -> None:
        """The monitor has found something."""


@contextlib.contextmanager
def listening(
    options: RunOptions, model: Path, rule: Rule, source: str, watch: Watch | None
) -> Iterator[tuple[Listener, ...]]:
    """Those that the options ask for, while they listen. `source` is the camera in words.

    Raises EdgedenseError when the options are not right, DeviceError when a library is missing.
    """
    with contextlib.ExitStack() as stack:
        listeners: list[Listener] = []
        if options.mqtt.url is not None:
            from edgedense.device.mqtt.reporting import reporting

            listeners.append(stack.enter_context(reporting(options.mqtt, model, rule, source, watch)))
        if options.metrics.address is not None:
            try:
                from edgedense.device.metrics.server import serving
            except ImportError as error:
                raise DeviceError(
                    "prometheus-client, Starlette and uvicorn for --metrics",
                    str(error),
                    "pip install 'edgedense[fleet,preview]'",
                ) from error
            listeners.append(stack.enter_context(serving(options.metrics, model, rule, source, watch)))
        yield tuple(listeners)
