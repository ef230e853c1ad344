"""The command line as a whole: its commands, and the one boundary at which errors become text and exit codes."""

from __future__ import annotations

import importlib
import os
import sys
import traceback
from typing import Any

import click

from edgedense.cli.bars import bars
from edgedense.cli.flags import command
from edgedense.cli.printing import messages
from edgedense.errors import EdgedenseError

DEFECT = 70  # exit code, as sysexits.h's EX_SOFTWARE: 1 would say that a gate failed
INTERRUPTED = 130  # as shells have it: 128, and 2 for SIGINT
# In the order of the help. Each is a module of this folder, and in it a function of the same name, or `app`, a group.
COMMANDS = (
    *("convert", "train", "search", "inspect", "run", "validate", "compare", "explain", "web", "benchmark", "doctor"),
    *("sign", "deploy", "fleet", "service"),
)


class Commands(click.Group):
    """All commands. A module is loaded when its command is asked for: loading all takes longer than classifying."""

    def list_commands(self, ctx: click.Context | None) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: click.Context | None, cmd_name: str) -> click.Command | None:
        if cmd_name in COMMANDS and cmd_name not in self.commands:
            module = importlib.import_module(f"edgedense.cli.{cmd_name}")
            self.add_command(module.app if hasattr(module, "app") else command(getattr(module, cmd_name)))
        return self.commands.get(cmd_name)

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except KeyboardInterrupt:
            ctx.exit(INTERRUPTED)


def _print_version(context: click.Context, _: click.Parameter, wanted: bool) -> None:
    if wanted and not context.resilient_parsing:
        from importlib.metadata import version

        print(f"edgedense {version('edgedense')}")
        context.exit()


def _install_completion(context: click.Context, _: click.Parameter, wanted: bool) -> None:
    if wanted and not context.resilient_parsing:
        from edgedense.cli import completion

        print(f"{completion.install(app)} completes edgedense in every terminal that is opened from now on")
        context.exit()


def _show_completion(context: click.Context, _: click.Parameter, wanted: bool) -> None:
    if wanted and not context.resilient_parsing:
        from edgedense.cli import completion

        print(completion.script(app))
        context.exit()


@click.group(cls=Commands)
@click.option(
    "--version",
    is_flag=True,
    is_eager=True,
    expose_value=False,
    callback=_print_version,
    help="Show which version this is and exit.",
)
@click.option(
    "--install-completion",
    is_flag=True,
    is_eager=True,
    expose_value=False,
    callback=_install_completion,
    help="Install completion for the current shell: bash, zsh or fish.",
)
@click.option(
    "--show-completion",
    is_flag=True,
    is_eager=True,
    expose_value=False,
    callback=_show_completion,
    help="Show completion for the current shell, to copy it or customize the installation.",
)
@click.pass_context
def app(context: click.Context) -> None:
    """Takes a trained DenseNet to a Raspberry Pi or a Coral Edge TPU and proves what was lost on the way."""
    context.with_resource(messages())  # every command's remarks and bars go to stderr
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
