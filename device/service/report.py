"""What `edgedense service status` says of the model: which it is, whether it is on trial, what was changed last."""

from __future__ import annotations

from edgedense.device.service import places
from edgedense.device.versions import history, trial
from edgedense.device.versions.models import Models
from edgedense.device.versions.moments import Moment


def report(name: str) -> list[str]:
    """Lines for people; none where the service has no models, as one that an earlier version installed."""
    models = Models.of(name)
    current, previous, changes = models.current, models.previous, models.changes
    if current is None:
        return []
    lines = [f"model {current.path.name} ({history.short(current.sha256)})"]
    if (tried := trial.current(models)) and not trial.is_steady(places.STATE / name, current.sha256):
        lines[0] += f", on trial, failed {len(tried.failures)} times"
    if previous:
        lines.append(
            f"before it {previous.path.name} ({history.short(previous.sha256)}), for edgedense service rollback"
        )
    if changes:
        _, when, who, _, to, outcome, why = history.rows(changes, Moment.now())[-1]
        lines.append(f"last change: {when}, {who}: {to} {outcome}, {why}")
    return lines
