"""Version, shell completion and help, as a user at a terminal meets them."""

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
from typer.core import TyperGroup
from typer.testing import CliRunner

from edgedense import cli


def commands(group: Any, words: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    """The words of every command and group."""
    yield words
    if isinstance(group, TyperGroup):
        for name in group.list_commands(typer.Context(group)):
            yield from commands(group.get_command(typer.Context(group), name), (*words, name))


def help_of(*words: str) -> str:
    """The help as one line: where it is broken depends on the terminal."""
    result = CliRunner().invoke(cli.app, [*words, "--help"])
    assert result.exit_code == 0, result.output
    return " ".join(result.output.split())


@pytest.mark.parametrize("words", list(commands(typer.main.get_command(cli.app))), ids=" ".join)
def test_no_help_is_written_for_programmers(words: tuple[str, ...]) -> None:
    shown = help_of(*words)
    assert not re.search(r"\brange>|INTEGER|FLOAT|<(int|float|str|path)>|<list|[<>]=", shown), shown


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
    assert complete("edgedense service ").split() == ["install", "remove", "status", "update", "rollback", "history"]


def test_completion_can_be_installed(tmp_path: Path) -> None:
    program = "import sys; sys.argv = ['edgedense', *sys.argv[1:]]; from edgedense.cli import main; main()"
    chosen = {**os.environ, "HOME": str(tmp_path), "_TYPER_COMPLETE_TEST_DISABLE_SHELL_DETECTION": "1"}
    for option in ("--show-completion", "--install-completion"):
        command = [sys.executable, "-c", program, option, "bash"]
        done = subprocess.run(command, capture_output=True, text=True, check=False, env=chosen)
        assert done.returncode == 0, done.stderr
    assert "_EDGEDENSE_COMPLETE=complete_bash" in (tmp_path / ".bash_completions" / "edgedense.sh").read_text()
    assert "edgedense.sh" in (tmp_path / ".bashrc").read_text()
