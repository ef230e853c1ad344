"""Options as fields of frozen dataclasses: what the command line, its help and a limit's error say of each.

    @dataclass(frozen=True)
    class Options:
        images: Annotated[int, Flag("How many pictures are used at most.", minimum=2)] = 300

A field with a `Flag` is an option of every command that takes the dataclass, and `check` keeps its limits for those
who call from Python. This module imports nothing heavy, and the modules that hold such dataclasses should not either:
`edgedense --help` reads all of them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import MISSING, dataclass, fields, is_dataclass, replace
from functools import cache, reduce
from typing import Any, Literal, get_type_hints

from edgedense.errors import EdgedenseError


@dataclass(frozen=True)
class Flag:
    """How a value is given on the command line.

    `help` is whole sentences; limits and the default are added to it. `name` is the option, by default --NAME of the
    field, and `panel` the heading that it stands under. `minimum` and `maximum` may be reached, `above` and `below` may
    not. `usual` is told as the default where the value itself is None. An option that does something only beside others
    `needs` one of them: their names. `argument`: the value stands alone, without --NAME before it.

    `takes` is the type that is typed, where it is not the field's, and `read` makes the field's value of it. `writes`
    and `reads` say that the value is the path of a file or folder, and what is done with it. A file that is `secret` is
    one that root alone may be able to read: a service gets its content from systemd.
    """

    help: str
    name: str | None = None
    panel: str | None = None
    metavar: str | None = None
    minimum: float | None = None
    maximum: float | None = None
    above: float | None = None
    below: float | None = None
    usual: str | None = None
    argument: bool = False
    needs: tuple[str, ...] = ()
    takes: Any = None
    read: Callable[[Any], Any] | None = None
    writes: Literal["file", "folder"] | None = None
    reads: Literal["file", "folder"] | None = None
    secret: bool = False

    @property
    def limits(self) -> str:
        """The limits in words: "at least 2", "from 0 to 1", "more than 0 and less than 1"; empty without any."""
        if self.minimum is not None and self.maximum is not None:
            return f"from {self.minimum:g} to {self.maximum:g}"
        words = {"at least": self.minimum, "more than": self.above, "at most": self.maximum, "less than": self.below}
        return " and ".join(f"{word} {limit:g}" for word, limit in words.items() if limit is not None)

    def allows(self, value: Any) -> bool:
        """Whether a number, or each number of a tuple, is within the limits; whatever is no number is."""
        if isinstance(value, (tuple, list)):
            return all(map(self.allows, value))
        if isinstance(value, bool) or not isinstance(value, (int, float)):
            return True
        return not (
            (self.minimum is not None and not value >= self.minimum)  # so put, "not a number" is out of every limit
            or (self.above is not None and not value > self.above)
            or (self.maximum is not None and not value <= self.maximum)
            or (self.below is not None and not value < self.below)
        )

    def check(self, option: str, value: Any) -> None:
        """Raise EdgedenseError when `value` is out of the limits."""
        if not self.allows(value):
            raise EdgedenseError(f"{option} to be {self.limits}", str(value))


@dataclass(frozen=True)
class Option:
    """One option of a dataclass: `path` leads to its field, `name` is what is typed, `type` what a word is read as."""

    path: tuple[str, ...]
    name: str
    type: Any
    default: Any
    flag: Flag


def flag_of(hint: Any) -> Flag | None:
    """The Flag of an annotation."""
    return next((extra for extra in getattr(hint, "__metadata__", ()) if isinstance(extra, Flag)), None)


def option(path: tuple[str, ...], hint: Any, default: Any, flag: Flag) -> Option:
    """The option of a field or parameter annotated with `flag`. MISSING is the default of what must be given."""
    kind = flag.takes if flag.takes is not None else hint.__origin__
    return Option(path, flag.name or "--" + path[-1].replace("_", "-"), kind, default, flag)


@cache
def options_of(cls: type) -> tuple[Option, ...]:
    """The fields with a Flag, in their order, and those of the dataclasses among the fields."""
    found: list[Option] = []
    for name, hint, default in _fields(cls):
        if flag := flag_of(hint):
            found.append(option((name,), hint, default, flag))
        elif is_dataclass(hint):
            found += (replace(inner, path=(name, *inner.path)) for inner in options_of(hint))  # type: ignore[arg-type]
    return tuple(found)


def build(cls: type, chosen: Mapping[tuple[str, ...], Any]) -> Any:
    """A dataclass of options with the values `chosen` by path, and else its defaults."""
    values = {path[0]: value for path, value in chosen.items() if len(path) == 1}
    for name, hint, _ in _fields(cls):
        if is_dataclass(hint):
            inner = {path[1:]: value for path, value in chosen.items() if path[0] == name and len(path) > 1}
            values[name] = build(hint, inner)  # type: ignore[arg-type]
    return cls(**values)


def check(options: Any) -> None:
    """Raise EdgedenseError for the first value of `options`, or of a dataclass in it, that is out of its limits."""
    for found in options_of(options.__class__):
        found.flag.check(found.name, _value(options, found))


def changed(*options: Any) -> list[str]:
    """The names of the options that are not at their defaults: ["--smooth", "--crop"]."""
    return [found.name for one in options for found in options_of(one.__class__) if _value(one, found) != found.default]


def words(options: Any) -> list[str]:
    """What is typed for the options that are not at their defaults: ["--max-slower", "2.0"]. They must be such whose
    value is what was typed."""
    found: list[str] = []
    for one in options_of(options.__class__):
        value = _value(options, one)
        if value != one.default:
            found += [one.name] if value is True else [one.name, str(value)]
    return found


def _value(options: Any, found: Option) -> Any:
    return reduce(getattr, found.path, options)


def _fields(cls: type) -> Iterator[tuple[str, Any, Any]]:
    """Name, annotation and default of each field."""
    hints = get_type_hints(cls, include_extras=True)
    for item in fields(cls):
        made = item.default_factory() if item.default_factory is not MISSING else item.default
        yield item.name, hints[item.name], made
