"""The one error that a user sees: what was expected, what was found, what to try."""

from __future__ import annotations

import re
import textwrap
from collections.abc import Iterable, Sequence
from typing import Any


class EdgedenseError(Exception):
    """A problem that the user can mend. The command line prints it without a traceback.

    `expected` and `found` are clauses without a full stop; `hint` says what to try next.
    """

    exit_code = 2  # usage or input

    def __init__(self, expected: str, found: str, hint: str = "") -> None:
        self.expected, self.found, self.hint = expected, found, hint
        super().__init__(f"expected {expected}; found {found}" + (f". Try: {hint}" if hint else ""))

    def __reduce__(self) -> tuple[Any, ...]:
        """For errors that come from another process: Exception's own would give `__init__` the whole message."""
        return type(self), (self.expected, self.found, self.hint), self.__dict__


class GateError(EdgedenseError):
    """A limit that the user set was not kept: the work was done, its result is not good enough."""

    exit_code = 1


class DeviceError(EdgedenseError):
    """A camera, runtime or accelerator that is missing or misbehaves."""

    exit_code = 3


def first_line(error: Exception) -> str:
    """What another library's error says, in one line of at most 200 characters, behind the name of its class."""
    line = re.split(r"[\r\n]+", str(error).strip())[0]
    return f"{type(error).__name__}: {textwrap.shorten(line, 200)}" if line else type(error).__name__


def listed(names: Iterable[str], limit: int = 6) -> str:
    """Names for people, and how many more there are."""
    names = list(names)
    return ", ".join(names[:limit]) + (f" and {len(names) - limit} more" if len(names) > limit else "")


def raise_unreadable(failures: Sequence[EdgedenseError], images: int) -> None:
    """Raise what was put aside while the other of so many images were worked on; nothing where there is nothing."""
    if len(failures) == 1:
        raise failures[0]
    if failures:
        named = "\n  ".join(failure.found for failure in failures)
        raise EdgedenseError(f"{images} readable images", f"{len(failures)} unreadable ones:\n  {named}")
