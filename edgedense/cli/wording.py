"""Help in words: what Typer writes for programmers, such as `<int range>` and `0<=x<=1`, as a person would say it."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

from typer.core import TyperCommand

# What stands for a value behind an option: as Typer writes it since 0.2x, and as Click wrote it before.
_VALUES = {
    "int": "N",
    "int range": "N",
    "float": "X",
    "float range": "X",
    "str": "TEXT",
    "list[str]": "TEXT",
    "path": "PATH",
    "integer": "N",
    "integer range": "N",
}
_VALUE = re.compile(r" (?:<([^>]+)>|([A-Z]+(?: RANGE)?))$")
_NUMBER = r"(-?[\d.]+(?:e-?\d+)?)"
_BOTH = re.compile(rf"{_NUMBER}<=x<={_NUMBER}")
_LEAST = re.compile(rf"x>={_NUMBER}")
_MOST = re.compile(rf"x<={_NUMBER}")


class Command(TyperCommand):
    """A command whose help says what stands for a value, and between which limits, in words."""

    def format_options(self, ctx: Any, formatter: Any) -> None:
        """Typer's own sections of the help, with each row put into words."""
        write = formatter.write_dl

        def write_in_words(rows: Sequence[tuple[str, str]], *given: Any, **named: Any) -> None:
            write([(value_in_words(option), limits_in_words(text)) for option, text in rows], *given, **named)

        formatter.write_dl = write_in_words
        super().format_options(ctx, formatter)


def value_in_words(option: str) -> str:
    """`--size <int range>` -> `--size N`; what names its own value, or lists the choices, stays as it is."""
    found = _VALUE.search(option)
    word = _VALUES.get((found[1] or found[2]).lower()) if found else None
    return f"{option[: found.start()]} {word}" if found and word else option


def limits_in_words(text: str) -> str:
    """`[default: 224; x>=32]` at the end of a help text -> `[default: 224; at least 32]`."""
    body, bracket, limits = text.rpartition("  [")
    if not bracket:
        return text
    limits = _BOTH.sub(r"from \1 to \2", limits)
    limits = _MOST.sub(r"at most \1", _LEAST.sub(r"at least \1", limits))
    return body + bracket + limits
