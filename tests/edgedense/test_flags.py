"""Options as fields of dataclasses: limits, what was changed, and how one is built."""

from __future__ import annotations

from dataclasses import MISSING, dataclass, field
from typing import Annotated, Any, Literal

import pytest

from edgedense import flags
from edgedense.errors import EdgedenseError
from edgedense.flags import Flag


@dataclass(frozen=True)
class Inner:
    share: Annotated[float, Flag("A share.", minimum=0, maximum=1)] = 0.5
    internal: int = 7  # no Flag: no option


@dataclass(frozen=True)
class Outer:
    must: Annotated[int, Flag("A number.", minimum=2)]
    inner: Inner = field(default_factory=Inner)
    size: Annotated[tuple[int, int] | None, Flag("A size.", name="--side", minimum=32, takes=int)] = None
    kind: Annotated[Literal["a", "b"], Flag("A kind.")] = "a"


def test_options_are_the_fields_with_a_flag_in_their_order() -> None:
    found = flags.options_of(Outer)
    assert [(option.path, option.name, option.type, option.default) for option in found] == [
        (("must",), "--must", int, MISSING),
        (("inner", "share"), "--share", float, 0.5),
        (("size",), "--side", int, None),
        (("kind",), "--kind", Literal["a", "b"], "a"),
    ]


def test_build_puts_values_where_they_belong_and_leaves_defaults() -> None:
    assert flags.build(Outer, {("must",): 3, ("inner", "share"): 0.1}) == Outer(3, Inner(0.1, 7), None, "a")
    assert flags.build(Outer, {("must",): 3}) == Outer(3)


def test_changed_names_what_is_not_at_its_default() -> None:
    assert flags.changed(Outer(3, Inner(0.1)), Inner()) == ["--must", "--share"]
    assert flags.changed(Inner(0.5, internal=8)) == []


def test_words_are_what_is_typed_for_it() -> None:
    @dataclass(frozen=True)
    class Options:
        share: Annotated[float, Flag("A share.")] = 0.5
        forced: Annotated[bool, Flag("A switch.", name="--force")] = False
        kind: Annotated[str, Flag("A kind.")] = "a"

    assert flags.words(Options(0.1, True)) == ["--share", "0.1", "--force"]
    assert flags.words(Options()) == []


@pytest.mark.parametrize(
    ("flag", "words", "inside", "outside"),
    [
        (Flag("", minimum=2), "at least 2", (2, 3), (1, float("nan"))),
        (Flag("", minimum=0, maximum=1), "from 0 to 1", (0, 1), (-0.1, 1.1, float("nan"))),
        (Flag("", above=0, below=1), "more than 0 and less than 1", (0.5,), (0, 1, float("nan"))),
        (Flag("", minimum=0, below=1), "at least 0 and less than 1", (0, 0.9), (-1, 1)),
        (Flag("", maximum=5), "at most 5", (5, -9), (6,)),
        (Flag("", minimum=32), "at least 32", ((32, 32), None, "text", True), ((64, 31),)),
    ],
)
def test_limits(flag: Flag, words: str, inside: tuple[Any, ...], outside: tuple[Any, ...]) -> None:
    assert flag.limits == words
    assert all(flag.allows(value) for value in inside)
    for value in outside:
        with pytest.raises(EdgedenseError, match=f"expected --x to be {words}; found"):
            flag.check("--x", value)


def test_limits_are_kept_for_callers_from_python_too() -> None:
    flags.check(Outer(2, Inner(1.0), (32, 48)))
    for wrong, name in ((Outer(1), "--must"), (Outer(2, Inner(2.0)), "--share"), (Outer(2, size=(48, 16)), "--side")):
        with pytest.raises(EdgedenseError, match=name):
            flags.check(wrong)
