"""How a deployment went."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from typing import Any, Literal

from edgedense.device.service.outcome import Check

Outcome = Literal["installed", "updated", "same", "refused", "rolled back", "failed", "not begun"]
GOOD = ("installed", "updated", "same")


@dataclass(frozen=True)
class HostResult:
    """What became of one host.

    `before` and `after` are the SHA-256 of the model that its service ran and runs, None where there is none or nobody
    knows; `package` is the version of edgedense that runs there. `reason` is empty where there is nothing to say.
    `checks` are those that `edgedense service update` made on the host.
    """

    host: str
    outcome: Outcome
    reason: str = ""
    package: str | None = None
    before: str | None = None
    after: str | None = None
    seconds: float = 0.0
    checks: tuple[Check, ...] = ()

    @property
    def is_good(self) -> bool:
        """Whether the host runs the model now."""
        return self.outcome in GOOD


@dataclass(frozen=True)
class Deployment:
    """A model, its SHA-256, and what became of each host, in the order in which they were named."""

    model: str
    sha256: str
    hosts: tuple[HostResult, ...]

    @property
    def is_good(self) -> bool:
        """Whether every host runs the model now."""
        return all(host.is_good for host in self.hosts)

    def to_dict(self) -> dict[str, Any]:
        """For programs."""
        return asdict(self)

    def to_json(self) -> str:
        """One JSON object."""
        return json.dumps(self.to_dict(), ensure_ascii=False)
