"""A new model is on trial until it has run for ten minutes: what counts against it, and when the service goes back."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from edgedense.device.versions.history import ITSELF, short
from edgedense.device.versions.models import Models
from edgedense.device.versions.moments import Moment
from edgedense.errors import GateError
from edgedense.files import write_atomically

WINDOW = 600.0  # seconds: so long a model has to run, and so near to each other are failures that belong together
FAILURES = 3  # in the window, and the service goes back
NOT_THE_MODELS = 3  # exit code of camera, runtime and device: another model would end in the same way
NOT_AS_MADE = GateError.exit_code  # exit code of a run whose file is damaged, or whose golden samples did not replay
_LONGEST = 100_000  # bytes that are read of a file that the service's user may have written
_STEADY = "steady.json"  # in the service's state folder


@dataclass(frozen=True)
class Trial:
    """That of the model with the SHA-256 `model`, and the moments at which the service failed with it."""

    model: str
    failures: tuple[Moment, ...] = ()

    def after(self, failure: Moment) -> Trial:
        """With one failure more. Those of other boots and of long ago no longer count."""
        near = [one for one in self.failures if (since := failure.since(one)) is not None and since <= WINDOW]
        return replace(self, failures=(*near, failure))

    @property
    def is_lost(self) -> bool:
        """Whether it failed too often."""
        return len(self.failures) >= FAILURES


def begin(models: Models, model: str) -> None:
    """From now on the model of this hash is on trial. Raises EdgedenseError when that cannot be written."""
    _write(models, Trial(model))


def end(models: Models) -> None:
    """Nothing is on trial."""
    _path(models).unlink(missing_ok=True)


def current(models: Models) -> Trial | None:
    """The trial of the current model; None where it has none, or where it is over."""
    try:
        entry = json.loads(_path(models).read_bytes())
        trial = Trial(str(entry["model"]), tuple(Moment(**one) for one in entry["failures"]))
    except (OSError, ValueError, KeyError, TypeError):
        return None
    model = models.current
    return trial if model is not None and trial.model == model.sha256 else None


def note_steady(state: Path, model: str) -> None:
    """For the running service: its model has run for WINDOW. Raises EdgedenseError when that cannot be written."""
    write_atomically(state / _STEADY, json.dumps({"model": model}).encode())


def is_steady(state: Path, model: str) -> bool:
    """Whether the service has noted that. Its user may write there what it likes, and gains nothing by it but a model
    that is not taken back."""
    found = read_unsafe(state / _STEADY)
    return found is not None and found.get("model") == model


def read_unsafe(path: Path) -> dict[str, Any] | None:
    """The JSON object in a file that the service's user writes and root reads: no link is followed, little is read.
    None for anything else."""
    try:
        with open(path, "rb", opener=_no_links) as file:
            found = json.loads(file.read(_LONGEST))
    except (OSError, ValueError, RecursionError):
        return None
    return found if isinstance(found, dict) else None


def _no_links(path: str, flags: int) -> int:
    return os.open(path, flags | os.O_NOFOLLOW | os.O_NONBLOCK)  # nor wait for whoever writes into a pipe


def after_stop(models: Models, state: Path, ended: Mapping[str, str], now: Moment) -> str | None:
    """What the end of the service's process means for its model. Goes back where it must: what it says then, or None.

    `ended` are the variables SERVICE_RESULT and EXIT_STATUS that systemd sets for ExecStopPost= (systemd.exec(5)).
    Raises EdgedenseError when a change cannot be written.
    """
    result, status = ended.get("SERVICE_RESULT", ""), ended.get("EXIT_STATUS", "")
    with models.changing():
        model = models.current
        if model is None or result in ("", "success") or status == str(NOT_THE_MODELS):
            return None
        if status == str(NOT_AS_MADE):
            return go_back(
                models, "it was damaged, or its golden samples did not give what they gave where it was made"
            )
        trial = current(models)
        if trial is None or is_steady(state, model.sha256):
            return None
        trial = trial.after(now)
        if trial.is_lost:
            why = f"it failed {FAILURES} times within {WINDOW / 60:.0f} minutes, at last with {_said(result, status)}"
            return go_back(models, why)
        _write(models, trial)
        failed = f"failed {len(trial.failures)} of {FAILURES} times"
        return f"{model.path.name} ({short(model.sha256)}) is on trial and {failed}: {_said(result, status)}"


def go_back(models: Models, why: str) -> str | None:
    """Make the previous model the current one, by itself; what is said of it, or None where there is none to go back
    to. To be called while `models.changing()`."""
    failed, before = models.current, models.previous
    if failed is None or before is None:
        return None
    models.switch(before, None)
    end(models)
    models.note(who=ITSELF, before=failed, after=before, outcome="rolled back", why=why)
    return (
        f"{failed.path.name} ({short(failed.sha256)}) is taken back: {why}. "
        f"{before.path.name} ({short(before.sha256)}) runs again"
    )


def _said(result: str, status: str) -> str:
    return f"{result}, {status}" if status else result


def _path(models: Models) -> Path:
    return models.folder / "trial.json"


def _write(models: Models, trial: Trial) -> None:
    content = {"model": trial.model, "failures": [asdict(one) for one in trial.failures]}
    write_atomically(_path(models), json.dumps(content).encode())
    _path(models).chmod(0o644)
