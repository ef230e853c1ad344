"""What became of an update: the one JSON object that `edgedense service update --json` prints."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, get_args

from edgedense.errors import EdgedenseError

# updated: the service runs the new file. same: it ran that very file before. refused: a check failed, and nothing was
# changed. rolled back: the new file ran and failed, and the file from before runs again.
Outcome = Literal["updated", "same", "refused", "rolled back"]


@dataclass(frozen=True)
class Check:
    """One thing that was asked of the new file before the switch, or of the service after it. `detail` is a clause."""

    name: str
    passed: bool
    detail: str

    def __str__(self) -> str:
        return f"{'passed' if self.passed else 'failed'}  {self.name}: {self.detail}"


@dataclass(frozen=True)
class Update:
    """`before` and `after` are the SHA-256 of the file that the service ran and of the one that it was given, in
    hexadecimal; `before` is None where it ran none that is known. `reason` is one sentence for people. The checks are
    in the order in which they were made; what was refused ends with the one that failed."""

    outcome: Outcome
    before: str | None
    after: str
    reason: str
    checks: tuple[Check, ...] = ()

    @property
    def succeeded(self) -> bool:
        """Whether the service runs the file that it was given. The command's exit code is then 0, and else 1."""
        return self.outcome in ("updated", "same")

    def to_dict(self) -> dict[str, Any]:
        """For JSON: outcome, before, after, reason, and checks, each with name, passed and detail."""
        return {**vars(self), "checks": [vars(check) for check in self.checks]}

    @classmethod
    def from_dict(cls, entry: Mapping[str, Any]) -> Update:
        """Read what `to_dict` made. Raises EdgedenseError for anything else."""
        try:
            if entry["outcome"] not in get_args(Outcome):
                raise ValueError(f"the outcome {entry['outcome']!r}")
            before = None if entry["before"] is None else str(entry["before"])
            checks = tuple(
                Check(str(check["name"]), bool(check["passed"]), str(check["detail"])) for check in entry["checks"]
            )
            return cls(entry["outcome"], before, str(entry["after"]), str(entry["reason"]), checks)
        except (KeyError, TypeError, ValueError) as error:
            raise EdgedenseError(
                "the outcome of an update, as edgedense service update --json prints it",
                f"something else ({error or type(error).__name__})",
                "the same version of edgedense on both sides",
            ) from error

    @classmethod
    def from_json(cls, text: str) -> Update:
        """Read what the command printed. Raises EdgedenseError for anything else."""
        try:
            entry = json.loads(text)
        except ValueError as error:
            raise EdgedenseError(
                "the outcome of an update in JSON", f"no JSON ({error})", "edgedense service update FILE --json"
            ) from error
        return cls.from_dict(entry)
