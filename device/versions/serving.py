"""What a run does for the updates of its service: it proves its model, lets a new one look on, and says that it holds.

A run is a service's where the unit says so: its environment names the folder of the models (EDGEDENSE_MODELS), and
systemd adds that of the state (STATE_DIRECTORY). Everywhere else there is nothing of this.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from edgedense.deployed import bundle, golden
from edgedense.device.classifier import Classifier
from edgedense.device.engines.interpreter import engine_of, placed
from edgedense.device.engines.replay import replay
from edgedense.device.versions import trial
from edgedense.device.versions.models import Model, Models
from edgedense.device.versions.shadow import Shadow
from edgedense.errors import EdgedenseError, GateError
from edgedense.files import remove_leftovers
from edgedense.images.preprocessing import Pixels
from edgedense.notes import LOG

MODELS = "EDGEDENSE_MODELS"  # variable of the unit's environment
_AGAIN = 60.0  # seconds until what could not be written is tried again


class Serving:
    """A run as a service: `model` is what it runs, of `models`, and it may write to the folder `state`."""

    def __init__(self, models: Models, model: Model, state: Path) -> None:
        self.models, self.model, self.state = models, model, state
        self._shadow: Shadow | None = None
        self._since: float | None = None
        remove_leftovers(state, r"(shadow|steady)\.json")
        self._is_steady = trial.is_steady(state, model.sha256)

    @classmethod
    def of(cls, path: Path, environment: Mapping[str, str] = os.environ) -> Serving | None:
        """The service that runs the file at `path`; None where this is no service's run."""
        folder, state = environment.get(MODELS), environment.get("STATE_DIRECTORY", "").split(":")[0]
        if not folder or not state or path != Models(Path(folder)).link:
            return None
        model = Models(Path(folder)).current
        return None if model is None else cls(Models(Path(folder)), model, Path(state))

    def prove(self, device: str, threads: int | None) -> None:
        """See that the model's file is what it was when it came, and compute its golden samples again.

        Raises GateError where something differs, so that the service ends and goes back to its previous model. Where it
        has none it is only told: a model that is a little off is better than no model.
        """
        found = self._wrong(device, threads)
        if not found:
            return
        failed = GateError("the model as it was where the file was made", found)
        if self.models.previous is not None:
            raise failed
        LOG.warning(f"{self.model.path.name}: {failed}; there is no model to go back to")

    def _wrong(self, device: str, threads: int | None) -> str:
        """What is not as it was, in a clause; empty where all is."""
        if not self.model.is_whole:
            return "another hash than when it came: the file is damaged"
        try:
            path, device, _ = placed(self.model.path, device, threads)
            if engine_of(device) == "edgetpu" or golden.ENTRY not in bundle.read(path).entries:
                return ""
            result = replay(path, threads, device)
        except EdgedenseError as error:
            return error.found
        most, labels = max(result.steps, default=0), len(result.flipped)
        return "" if result.passed else f"golden samples off by up to {most} steps, {labels} labels changed"

    def own(self, state: Path) -> None:
        """Make the monitor's `state` this model's: what is usual was learned from a model's own scores, and another
        one's would raise alarms. That of the model from before is put aside, and comes back with it."""
        before = self.models.previous
        found = _model_of(state) or (before.sha256 if before and state.is_file() else self.model.sha256)
        try:
            if found != self.model.sha256 and state.is_file():
                state.replace(_aside(state, found))
                LOG.info(
                    f"the monitor learns anew, for the model is another one; {_aside(state, found)} has what it knew"
                )
            if not state.exists() and _aside(state, self.model.sha256).is_file():
                _aside(state, self.model.sha256).replace(state)
        except OSError as error:
            raise EdgedenseError(f"permission to rename {state}", str(error.strerror)) from error

    def shadow(self, current: Classifier, threshold: float | None, load: Callable[[Path], Classifier]) -> None:
        """Get ready for a candidate. See `Shadow`."""
        self._shadow = Shadow(self.models, self.state, current, threshold, load)

    def tick(self) -> None:
        """The loop has come round."""
        if self._shadow is not None:
            self._shadow.tick()
        if not self._is_steady and self._since is not None and time.monotonic() - self._since > trial.WINDOW:
            self._note_steady()

    def look(self, picture: Pixels, pixels: Pixels, scores: NDArray[np.float32]) -> None:
        """A frame was classified. See `Shadow.look`."""
        if self._since is None:
            self._since = time.monotonic()
        if self._shadow is not None:
            self._shadow.look(picture, pixels, scores)

    def close(self) -> None:
        """The run ends."""
        if self._shadow is not None:
            self._shadow.close()

    def _note_steady(self) -> None:
        try:
            trial.note_steady(self.state, self.model.sha256)
            self._is_steady = True
        except EdgedenseError as error:
            LOG.warning(f"that the model has run for ten minutes was not written: {error}")
            self._since = time.monotonic() - trial.WINDOW + _AGAIN


def _model_of(state: Path) -> str | None:
    """Whose state the monitor's file is, where it says so."""
    try:
        found = json.loads(state.read_bytes()).get("model")
    except (OSError, ValueError, AttributeError):
        return None
    return found if isinstance(found, str) and found else None


def _aside(state: Path, model: str) -> Path:
    return state.with_name(f"{state.name}.{model[:12]}")
