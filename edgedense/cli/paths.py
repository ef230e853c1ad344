"""What a command does with the paths that it is given: marks that stand on its parameters.

    save: Annotated[Path | None, typer.Option(), Writes("folder")] = None

A service is made from these marks: what a command writes gets a writable place there, what it reads is checked.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal, get_type_hints


@dataclass(frozen=True)
class Reads:
    """A file or folder that must be there."""


@dataclass(frozen=True)
class Writes:
    """A file or a folder that the command makes, and changes while it runs."""

    kind: Literal["file", "folder"]


def marks(command: Callable[..., Any]) -> dict[str, Reads | Writes]:
    """The mark of each parameter of `command` that has one, by the parameter's name."""
    hints = get_type_hints(command, include_extras=True)
    return {
        name: mark
        for name, hint in hints.items()
        for mark in getattr(hint, "__metadata__", ())
        if isinstance(mark, Reads | Writes)
    }
