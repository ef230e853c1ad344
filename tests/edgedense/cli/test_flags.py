"""How a function with dataclasses of options becomes a command, and what the help of all commands looks like."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any, Literal

import pytest
import typer
from typer.testing import CliRunner

from edgedense import cli
from edgedense.cli.flags import add, flags_of
from edgedense.errors import EdgedenseError
from edgedense.flags import Flag
from tests.edgedense.test_cli import COMMANDS, edgedense, succeeded

GROUPS = {"service": COMMANDS["service"].commands}  # type: ignore[attr-defined]
ALL = [[name] for name in COMMANDS if name not in GROUPS] + [[g, name] for g, found in GROUPS.items() for name in found]


@dataclass(frozen=True)
class Colour:
    hue: Annotated[Literal["red", "blue"], Flag("The hue.", panel="Colour")] = "red"
    strength: Annotated[float, Flag("How strong it is.", panel="Colour", above=0)] = 1.5
    bright: Annotated[bool, Flag("Make it bright.", panel="Colour")] = False


@dataclass(frozen=True)
class Drawing:
    colour: Colour = field(default_factory=Colour)
    side: Annotated[
        tuple[int, int] | None, Flag("The size.", name="--size", minimum=8, takes=int, read=lambda n: (n, n))
    ] = None
    words: Annotated[tuple[str, ...], Flag("Words.", name="--word", takes=list[str], read=tuple)] = ()
    page: Annotated[Path | None, Flag("A page.", writes="file")] = None
    title: Annotated[str, Flag("Its title.", needs=("--page",))] = "none"


@pytest.fixture
def draw() -> Callable[..., Any]:
    """A command line: what its command was called with, or the error that it raised."""
    called: list[Any] = []

    def command(
        model: Annotated[Path, Flag("A model.", argument=True)],
        *,
        out: Annotated[Path, Flag("Where to.", writes="file")],
        drawing: Drawing,
        classes: Annotated[list[str] | None, Flag("Classes.", name="--class")] = None,
    ) -> None:
        """Draw it."""
        called.append((model, out, drawing, classes))

    app = typer.Typer(add_completion=False, rich_markup_mode=None)
    add(app, command)

    def run(*words: str) -> Any:
        called.clear()
        result = CliRunner().invoke(app, words)
        if isinstance(result.exception, EdgedenseError):
            return str(result.exception)
        return called[0] if called else result.output

    return run


USUAL = ("m.tflite", "--out", "o")


def test_nothing_given_is_the_dataclass_as_it_is(draw: Callable[..., Any]) -> None:
    assert draw(*USUAL) == (Path("m.tflite"), Path("o"), Drawing(), None)


@pytest.mark.parametrize(
    ("words", "drawing"),
    [
        (("--hue", "blue"), Drawing(Colour("blue"))),
        (("--strength", "2", "--bright"), Drawing(Colour("red", 2.0, True))),
        (("--size", "9"), Drawing(side=(9, 9))),
        (("--word", "a", "--word", "b"), Drawing(words=("a", "b"))),
        (("--page", "p.html", "--title", "x"), Drawing(page=Path("p.html"), title="x")),
    ],
)
def test_options_reach_their_fields(draw: Callable[..., Any], words: tuple[str, ...], drawing: Drawing) -> None:
    assert draw(*USUAL, *words) == (Path("m.tflite"), Path("o"), drawing, None)


def test_an_option_may_have_another_name_than_its_parameter(draw: Callable[..., Any]) -> None:
    assert draw(*USUAL, "--class", "ant", "--class", "bee")[3] == ["ant", "bee"]


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("--strength", "0"), "--strength to be more than 0; found 0"),
        (("--size", "7"), "--size to be at least 8; found 7"),
        (("--title", "none"), "--page with --title; found --title alone"),  # even where it is the default
        (("--hue", "green"), "green"),
        (("--strength", "much"), "--strength"),
    ],
)
def test_what_is_refused(draw: Callable[..., Any], words: tuple[str, ...], message: str) -> None:
    assert message in draw(*USUAL, *words)


def test_what_must_be_given(draw: Callable[..., Any]) -> None:
    assert "--out" in draw("m.tflite")
    assert "MODEL" in draw("--out", "o")


def test_the_help(draw: Callable[..., Any]) -> None:
    assert (
        draw("--help")
        == """\
Usage: command [OPTIONS] MODEL

  Draw it.

Arguments:
  MODEL
      A model. [required]

Options:
  --out FILE
      Where to. [required]
  --size N
      The size. [at least 8]
  --word TEXT
      Words.
  --page FILE
      A page.
  --title TEXT
      Its title. [default: none]
  --class TEXT
      Classes.
  --help
      Show this message and exit.

Colour:
  --hue red|blue
      The hue. [default: red]
  --strength NUMBER
      How strong it is. [default: 1.5; more than 0]
  --bright
      Make it bright.
"""
    )


def test_flags_of_a_command_have_the_names_of_its_values() -> None:
    from edgedense.cli.run import run

    found = flags_of(run)
    assert {name for name, flag in found.items() if flag.writes} == {"save", "monitor", "mqtt_outbox"}
    secret = {"preview_token_file", "mqtt_password_file", "metrics_token_file"}
    assert secret == {name for name, flag in found.items() if flag.secret}
    reading = {name for name, flag in found.items() if flag.reads}
    assert reading == {"model", "labels", "mqtt_ca", "monitor_baseline"} | secret


class TestEveryCommand:
    @pytest.mark.parametrize("words", ALL, ids=" ".join)
    def test_help_fits_80_columns_and_nothing_is_cut(self, words: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("COLUMNS", "80")
        text = succeeded(*words, "--help").out
        assert max(map(len, text.splitlines())) <= 80
        assert "…" not in text
        assert not re.search(r"<(int|float|str|path)|x>=|<=x", text)
        command = GROUPS[words[0]][words[1]] if words[0] in GROUPS else COMMANDS[words[0]]
        together = " ".join(text.split())
        for parameter in command.params:
            assert " ".join(parameter.help.replace("\N{NO-BREAK SPACE}", " ").split()) in together

    @pytest.mark.parametrize("words", ALL, ids=" ".join)
    def test_help_is_whole_sentences(self, words: list[str]) -> None:
        command = GROUPS[words[0]][words[1]] if words[0] in GROUPS else COMMANDS[words[0]]
        for parameter in command.params:
            sentences = parameter.help.partition(" [")[0]
            assert sentences.endswith("."), sentences
            assert sentences[0].isupper() or sentences.startswith("int8"), sentences

    @pytest.mark.parametrize("words", [[], ["service"]])
    def test_the_list_of_commands_is_not_cut(self, words: list[str]) -> None:
        assert "..." not in edgedense(*words).err.partition("Commands:")[2]


@pytest.mark.parametrize("name", ["convert", "train"])
def test_the_first_heading_has_the_five_that_most_people_need(name: str) -> None:
    text = succeeded(name, "--help").out
    first = text.partition("Options:\n")[2].partition("\n\n")[0]
    assert len(re.findall(r"^  --", first, re.MULTILINE)) == 6  # and --help
    assert len(re.findall(r"^\S.*:$", text, re.MULTILINE)) >= 6


def test_functions_of_the_command_line_fit_a_screen() -> None:
    """The signature with all options included."""
    for path in Path(cli.__file__).parent.glob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.FunctionDef):
                lines = (node.end_lineno or 0) - node.lineno
                assert lines <= 40, f"{path.name}: {node.name} has {lines} lines"


def test_options_import_nothing_heavy() -> None:
    """The help of every command, and `edgedense run`, must start on a Raspberry Pi, and quickly."""
    modules = ("flags", "converters.options", "converters.training.options", "device.live.options", "cli")
    program = "import sys\n" + "".join(f"import edgedense.{name}\n" for name in modules) + "print(*sys.modules)"
    loaded = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout.split()
    heavy = {"tensorflow", "keras", "tf_keras", "ai_edge_litert", "tflite_runtime", "cv2", "rich.console", "starlette"}
    assert not heavy & set(loaded)
    assert {name for name in loaded if name.startswith("edgedense.converters")} == {
        "edgedense.converters",
        "edgedense.converters.opening",
        "edgedense.converters.options",
        "edgedense.converters.training",
        "edgedense.converters.training.augmentation",
        "edgedense.converters.training.schedule",
        "edgedense.converters.training.options",
    }
