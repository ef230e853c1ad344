"""The command line as a whole: its commands, and the one boundary at which errors become text and exit codes."""

from __future__ import annotations

import importlib
import os
import sys
import traceback
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from edgedense.cli.bars import bars
from edgedense.cli.flags import command
from edgedense.cli.printing import messages
from edgedense.errors import EdgedenseError

DEFECT = 70  # exit code, as sysexits.h's EX_SOFTWARE: 1 would say that a gate failed
# In the order of the help. Each is a module of this folder, and in it a function of the same name, or `app`, a group.
COMMANDS = (
    *("convert", "train", "search", "inspect", "run", "validate", "compare", "explain", "web", "benchmark", "doctor"),
    *("sign", "deploy", "fleet", "service"),
)


class Commands(TyperGroup):
    """All commands. A module is loaded when its command is asked for: loading all takes longer than classifying."""

    def list_commands(self, ctx: Any) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        if cmd_name in COMMANDS and cmd_name not in self.commands:
            module = importlib.import_module(f"edgedense.cli.{cmd_name}")
            has_several = hasattr(module, "app")
            made = typer.main.get_command(module.app) if has_several else command(getattr(module, cmd_name))
            self.add_command(made, cmd_name)
        return self.commands.get(cmd_name)


app = typer.Typer(
    cls=Commands,
    help="Takes a trained DenseNet to a Raspberry Pi or a Coral Edge TPU and proves what was lost on the way.",
    no_args_is_help=True,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
)


def _print_version(wanted: bool) -> None:
    if wanted:
        from importlib.metadata import version

        print(f"edgedense {version('edgedense')}")
        raise typer.Exit


@app.callback()
def edgedense(
    context: typer.Context,
    version: Annotated[
        bool,
        typer.Option("--version", help="Show which version this is and exit.", is_eager=True, callback=_print_version),
    ] = False,
) -> None:
    """Prepares every command: remarks and bars go to stderr."""
    context.with_resource(messages())
    context.with_resource(bars())


def main() -> None:
    """The one boundary at which errors become text and exit codes."""
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")  # TensorFlow greets every user with its build options
    # The child process of --sparsity trains on the same GPU: TensorFlow would else take all of its memory at once.
    os.environ.setdefault("TF_FORCE_GPU_ALLOW_GROWTH", "true")
    try:
        app()
    except EdgedenseError as error:
        print(f"edgedense: {error}", file=sys.stderr)
        sys.exit(error.exit_code)
    except Exception:
        traceback.print_exc()
        print("edgedense: this is a defect of edgedense; please report it with the lines above", file=sys.stderr)
        sys.exit(DEFECT)
