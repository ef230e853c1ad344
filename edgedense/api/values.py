"""Keywords as options: the dataclasses that hold the options are the one place where these are listed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import fields, is_dataclass, replace
from pathlib import Path
from typing import Any, Literal, TypeVar, get_args, get_origin, get_type_hints

from edgedense.errors import EdgedenseError

Options = TypeVar("Options")


def with_values(options: Options, values: Mapping[str, Any]) -> Options:
    """`options`, a dataclass, with new `values` for its fields, or for those of the dataclasses that it holds.

    Raises TypeError, as Python does, for a keyword that none of them has.
    """
    taken: set[str] = set()
    result = _replaced(options, values, taken)
    if unknown := [name for name in values if name not in taken]:
        raise TypeError(f"unexpected option '{unknown[0]}'; there are {', '.join(sorted(_names(options)))}")
    return result


def check_choices(options: Any) -> None:
    """Raise EdgedenseError where a field of a dataclass, or of one in it, is none of the values that it may have."""
    hints = get_type_hints(type(options))
    for field in fields(options):
        value = getattr(options, field.name)
        if is_dataclass(value):
            check_choices(value)
        else:
            check_choice(field.name, value, hints[field.name])


def check_choice(name: str, value: Any, hint: Any) -> None:
    """Raise EdgedenseError where `hint` is a Literal, or a union with one, and `value` is none of its values."""
    kinds = [kind for kind in (hint, *get_args(hint)) if get_origin(kind) is Literal]
    allowed = [choice for kind in kinds for choice in get_args(kind)]
    if allowed and value is not None and value not in allowed:
        raise EdgedenseError(f"{name} to be one of {', '.join(map(str, allowed))}", repr(value))


def labels_of(labels: Path | str | Sequence[str] | None) -> tuple[str, ...] | None:
    """Class names: as they are, or out of a text file with one per line. Raises EdgedenseError when it is none."""
    from edgedense.device.classifier import read_labels

    if labels is None:
        return None
    return read_labels(labels) if isinstance(labels, str | Path) else tuple(labels)


def _replaced(options: Any, values: Mapping[str, Any], taken: set[str]) -> Any:
    changes: dict[str, Any] = {}
    for field in fields(options):
        value = values.get(field.name, getattr(options, field.name))
        if field.name in values:
            taken.add(field.name)
        if is_dataclass(value):
            value = _replaced(value, values, taken)
        changes[field.name] = value
    return replace(options, **changes)


def _names(options: Any) -> set[str]:
    names = set()
    for field in fields(options):
        value = getattr(options, field.name)
        names |= _names(value) if is_dataclass(value) else {field.name}
    return names
