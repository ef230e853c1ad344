"""Help, version and shell completion, as a user at a terminal meets them."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pytest
import typer
from typer.testing import CliRunner

from edgedense import cli
from edgedense.cli.wording import limits_in_words, value_in_words


def commands(group: Any, words: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    """The words of every command and group."""
    yield words
    for name, command in getattr(group, "commands", {}).items():
        yield from commands(command, (*words, name))


def help_of(*words: str) -> str:
    """The help as one line: where it is broken depends on the terminal."""
    result = CliRunner().invoke(cli.app, [*words, "--help"])
    assert result.exit_code == 0, result.output
    return " ".join(result.output.split())


@pytest.mark.parametrize(
    ("typer_says", "we_say"),
    [
        ("--size <int range>", "--size N"),
        ("--dropout <float range>", "--dropout X"),
        ("--size INTEGER RANGE", "--size N"),
        ("--fps FLOAT RANGE", "--fps X"),
        ("--weights <str>", "--weights TEXT"),
        ("--out <path>", "--out PATH"),
        ("--out PATH", "--out PATH"),
        ("--save DIR", "--save DIR"),
        ("--fit <coral>", "--fit <coral>"),
        ("--flip <none|horizontal>", "--flip <none|horizontal>"),
        ("--range", "--range"),
        ("-- OPTIONS <list[str]>", "-- OPTIONS TEXT"),
    ],
)
def test_what_stands_for_a_value(typer_says: str, we_say: str) -> None:
    assert value_in_words(typer_says) == we_say


@pytest.mark.parametrize(
    ("typer_says", "we_say"),
    [
        ("Size in pixels.  [default: 224; x>=32]", "Size in pixels.  [default: 224; at least 32]"),
        ("Share.  [default: 0.2; 0<=x<=0.9]", "Share.  [default: 0.2; from 0 to 0.9]"),
        ("Rate.  [x>=1e-08]", "Rate.  [at least 1e-08]"),
        ("Steps.  [x<=3; required]", "Steps.  [at most 3; required]"),
        ("At most so many.  [default: 8]  [x>=1]", "At most so many.  [default: 8]  [at least 1]"),
        ("The formula 0<=x<=1 of a text stays.", "The formula 0<=x<=1 of a text stays."),
    ],
)
def test_limits(typer_says: str, we_say: str) -> None:
    assert limits_in_words(typer_says) == we_say


@pytest.mark.parametrize("words", list(commands(typer.main.get_command(cli.app))), ids=" ".join)
def test_no_help_is_written_for_programmers(words: tuple[str, ...]) -> None:
    shown = help_of(*words)
    assert not re.search(r"\brange>|INTEGER|FLOAT|<(int|float|str|path)>|<list|[<>]=", shown), shown


def test_help_in_words() -> None:
    shown = help_of("run")
    assert "--top N How many classes to report, best first. [default: 1; at least 1]" in shown
    assert "--threshold X Report only classes that score at least this. [default: 0.0; from 0 to 1]" in shown
    assert "MODEL PATH A deployed .tflite file. [required]" in shown
    assert "--save DIR Keep frames" in shown


def test_version() -> None:
    result = CliRunner().invoke(cli.app, ["--version"])
    assert (result.exit_code, result.output) == (0, f"edgedense {version('edgedense')}\n")


def complete(line: str) -> str:
    """What bash would offer behind `line`, asked for as the script of --show-completion does."""
    words = line.split(" ")
    asked = {"_EDGEDENSE_COMPLETE": "complete_bash", "COMP_WORDS": line, "COMP_CWORD": str(len(words) - 1)}
    program = "import sys; sys.argv = ['edgedense']; from edgedense.cli import main; main()"
    command = [sys.executable, "-c", program]
    return subprocess.run(command, capture_output=True, text=True, check=False, env={**os.environ, **asked}).stdout


def test_the_shell_completes_commands_options_and_choices() -> None:
    assert complete("edgedense va").split() == ["validate"]
    assert complete("edgedense validate --refer").split() == ["--reference"]
    assert complete("edgedense service ").split() == ["install", "remove", "status"]


def test_completion_can_be_installed(tmp_path: Path) -> None:
    program = "import sys; sys.argv = ['edgedense', *sys.argv[1:]]; from edgedense.cli import main; main()"
    chosen = {**os.environ, "HOME": str(tmp_path), "_TYPER_COMPLETE_TEST_DISABLE_SHELL_DETECTION": "1"}
    for option in ("--show-completion", "--install-completion"):
        command = [sys.executable, "-c", program, option, "bash"]
        done = subprocess.run(command, capture_output=True, text=True, check=False, env=chosen)
        assert done.returncode == 0, done.stderr
    assert "_EDGEDENSE_COMPLETE=complete_bash" in (tmp_path / ".bash_completions" / "edgedense.sh").read_text()
    assert "edgedense.sh" in (tmp_path / ".bashrc").read_text()
