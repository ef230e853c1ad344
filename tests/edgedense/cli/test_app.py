"""Version, shell completion and help, as a user at a terminal meets them."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from importlib.metadata import version
from pathlib import Path
from typing import Any

import click
import pytest
from click.testing import CliRunner

from edgedense import cli


def commands(group: Any, words: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    """The words of every command and group."""
    yield words
    if isinstance(group, click.Group):
        context = click.Context(group)
        for name in group.list_commands(context):
            yield from commands(group.get_command(context, name), (*words, name))


def help_of(*words: str) -> str:
    """The help as one line: where it is broken depends on the terminal."""
    result = CliRunner().invoke(cli.app, [*words, "--help"])
    assert result.exit_code == 0, result.output
    return " ".join(result.output.split())


@pytest.mark.parametrize("words", list(commands(cli.app)), ids=" ".join)
def test_no_help_is_written_for_programmers(words: tuple[str, ...]) -> None:
    shown = help_of(*words)
    assert not re.search(r"\brange>|INTEGER|FLOAT|<(int|float|str|path)>|<list|[<>]=", shown), shown


def test_version() -> None:
    result = CliRunner().invoke(cli.app, ["--version"])
    assert (result.exit_code, result.output) == (0, f"edgedense {version('edgedense')}\n")


def complete(line: str) -> list[str]:
    """What bash would offer behind `line`, asked for as the script of --show-completion does."""
    words = line.split(" ")
    asked = {"_EDGEDENSE_COMPLETE": "bash_complete", "COMP_WORDS": line, "COMP_CWORD": str(len(words) - 1)}
    program = "import sys; sys.argv = ['edgedense']; from edgedense.cli import main; main()"
    command = [sys.executable, "-c", program]
    found = subprocess.run(command, capture_output=True, text=True, check=False, env={**os.environ, **asked}).stdout
    return [line.removeprefix("plain,") for line in found.splitlines()]  # in front of the word stands its kind


def test_the_shell_completes_commands_options_and_choices() -> None:
    assert complete("edgedense va") == ["validate"]
    assert complete("edgedense validate --refer") == ["--reference"]
    assert complete("edgedense service ") == ["install", "remove", "status", "update", "rollback", "history"]


def completion(option: str, shell: str, home: Path) -> subprocess.CompletedProcess[str]:
    program = "import sys; sys.argv = ['edgedense', *sys.argv[1:]]; from edgedense.cli import main; main()"
    chosen = {**os.environ, "HOME": str(home), "SHELL": shell}
    command = [sys.executable, "-c", program, option]
    return subprocess.run(command, capture_output=True, text=True, check=False, env=chosen)


def test_completion_can_be_installed(tmp_path: Path) -> None:
    (tmp_path / ".bashrc").write_text("alias ll='ls -l'")  # without an end of line
    for _ in range(2):  # twice changes nothing more
        done = completion("--install-completion", "/bin/bash", tmp_path)
        assert done.returncode == 0, done.stderr
    shown = completion("--show-completion", "/bin/bash", tmp_path)
    assert shown.stdout == (tmp_path / ".bash_completions" / "edgedense.sh").read_text() + "\n"
    assert "_EDGEDENSE_COMPLETE=bash_complete" in shown.stdout
    assert (tmp_path / ".bashrc").read_text() == "alias ll='ls -l'\nsource ~/.bash_completions/edgedense.sh\n"


@pytest.mark.skipif(shutil.which("bash") is None, reason="no bash")
def test_bash_takes_the_script(tmp_path: Path) -> None:
    script = completion("--show-completion", "/bin/bash", tmp_path).stdout
    done = subprocess.run(
        ["bash", "-c", script + "\ncomplete -p edgedense"], capture_output=True, text=True, check=True
    )
    assert "edgedense" in done.stdout


def test_completion_in_other_shells(tmp_path: Path) -> None:
    assert completion("--install-completion", "/usr/bin/zsh", tmp_path).returncode == 0
    assert (tmp_path / ".zfunc" / "_edgedense").read_text().startswith("#compdef edgedense")
    assert "fpath+=~/.zfunc" in (tmp_path / ".zshrc").read_text()
    assert completion("--install-completion", "/usr/bin/fish", tmp_path).returncode == 0
    assert "edgedense" in (tmp_path / ".config" / "fish" / "completions" / "edgedense.fish").read_text()
    unknown = completion("--install-completion", "/bin/tcsh", tmp_path)
    assert unknown.returncode == 2
    assert "bash, zsh, fish" in unknown.stderr
