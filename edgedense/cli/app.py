"""The command line as a whole: its commands, and the one boundary at which errors become text and exit codes."""

from __future__ import annotations

import os
import sys
import traceback
from importlib.metadata import version
from typing import Annotated

import typer

from edgedense.cli import (
    benchmark,
    compare,
    convert,
    deploy,
    doctor,
    explain,
    fleet,
    inspect,
    run,
    service,
    sign,
    train,
    validate,
    web,
)
from edgedense.cli.bars import bars
from edgedense.cli.flags import add
from edgedense.cli.printing import messages
from edgedense.errors import EdgedenseError

DEFECT = 70  # exit code, as sysexits.h's EX_SOFTWARE: 1 would say that a gate failed

app = typer.Typer(
    help="Takes a trained DenseNet to a Raspberry Pi or a Coral Edge TPU and proves what was lost on the way.",
    no_args_is_help=True,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
)


def _print_version(wanted: bool) -> None:
    if wanted:
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


for _command in (
    convert.convert,
    train.train,
    inspect.inspect,
    run.run,
    validate.validate,
    compare.compare,
    explain.explain,
    web.web,
    benchmark.benchmark,
    doctor.doctor,
    sign.sign,
    deploy.deploy,
    fleet.fleet,
):
    add(app, _command)
app.add_typer(service.app, name="service")


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
