"""Completion of commands and options in the shell: `edgedense --install-completion`."""

from __future__ import annotations

import os
from pathlib import Path

import click
from click.shell_completion import get_completion_class

from edgedense.errors import EdgedenseError
from edgedense.files import write_atomically

NAME = "edgedense"
VARIABLE = "_EDGEDENSE_COMPLETE"  # as click names it: by it the script asks `edgedense` for what fits
# For each shell the file of the script, below the home folder, and the file and lines that have the shell read it. What
# fish finds in its folder it reads by itself.
_PLACES = {
    "bash": (".bash_completions/edgedense.sh", ".bashrc", "source ~/.bash_completions/edgedense.sh\n"),
    "zsh": (".zfunc/_edgedense", ".zshrc", "fpath+=~/.zfunc\nautoload -Uz compinit && compinit\n"),
    "fish": (".config/fish/completions/edgedense.fish", "", ""),
}


def script(group: click.Group) -> str:
    """The script that lets the current shell, which the variable SHELL names, complete `group`'s words.

    Raises EdgedenseError for a shell that is not known.
    """
    kind = get_completion_class(_shell())
    assert kind is not None  # click knows the shells of _PLACES
    return kind(group, {}, NAME, VARIABLE).source()


def install(group: click.Group) -> Path:
    """Write the script into the home folder and have the shell read it; the script's path. Raises EdgedenseError for a
    shell that is not known, and where the home folder cannot be written."""
    place, read_by, lines = _PLACES[_shell()]
    path = Path.home() / place
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        write_atomically(path, script(group).encode())
        if read_by:
            _append(Path.home() / read_by, lines)
    except OSError as error:
        raise EdgedenseError(f"permission to write {path}", str(error.strerror)) from error
    return path


def _shell() -> str:
    shell = Path(os.environ.get("SHELL", "")).name
    if shell not in _PLACES:
        raise EdgedenseError(
            f"{', '.join(_PLACES)} as the shell (SHELL in the environment)",
            shell or "none",
            f"SHELL=/bin/bash {NAME} --show-completion",
        )
    return shell


def _append(path: Path, lines: str) -> None:
    """`lines` at the end of the file, once."""
    text = path.read_text() if path.exists() else ""
    if lines not in text:
        with path.open("a") as file:
            file.write(lines if not text or text.endswith("\n") else f"\n{lines}")
