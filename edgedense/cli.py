"""The command line: parse, call one function, render its result."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from edgedense.errors import EdgedenseError

app = typer.Typer(
    help="Takes a trained Keras DenseNet to a Raspberry Pi or a Coral Edge TPU and proves what was lost on the way.",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
)


@app.callback()
def edgedense() -> None:
    """Keeps the commands as sub-commands."""


def main() -> None:
    """The one boundary at which errors become text and exit codes."""
    try:
        app()
    except EdgedenseError as error:
        print(f"edgedense: {error}", file=sys.stderr)
        sys.exit(error.exit_code)


if __name__ == "__main__":
    main()
