"""`edgedense service`: install, remove, status."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from edgedense.cli.run import run
from edgedense.errors import DeviceError, EdgedenseError

app = typer.Typer(help="Run at boot, as a systemd service.", no_args_is_help=True, rich_markup_mode=None)
ServiceName = Annotated[str, typer.Option("--name", help="The service's name.")]


@app.command()
def install(
    model: Annotated[Path, typer.Argument(metavar="MODEL", help="A deployed .tflite file.", show_default=False)],
    source: Annotated[
        str | None,
        typer.Argument(
            metavar="SOURCE",
            help="A camera or stream, as for edgedense run; by default the first camera.",
            show_default=False,
        ),
    ] = None,
    options: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="-- OPTIONS",
            help="Options of edgedense run, such as -- --smooth 5 --preview-address :8080.",
            show_default=False,
        ),
    ] = None,
    user: Annotated[
        str | None, typer.Option(help="The user to run as; by default the one who calls sudo.", show_default=False)
    ] = None,
    name: ServiceName = "edgedense",
) -> None:
    """Install a service that classifies from boot on, or change an installed one. Needs root."""
    from edgedense.device.camera.sources import parse
    from edgedense.device.live.run import address_needs_token
    from edgedense.device.service.systemd import Service, service_user
    from edgedense.device.service.systemd import install as write_unit

    options = list(options or ())
    if source is not None and source.startswith("-"):  # only options were given
        options.insert(0, source)
        source = None
    parsed = parse(source) if source is not None else None
    if parsed and not parsed.is_live:
        raise EdgedenseError("a camera or a stream to watch", str(parsed), "edgedense run for files")
    model = model.resolve()
    words = [str(model), *([source] if source is not None else ["--camera"]), *options]
    given = _options_of_run(words)
    if given["preview_token_file"]:
        raise EdgedenseError("a service without --preview-token-file", "it", "leave it out: a token is made")
    for option in ("labels", "save"):
        if given[option] and not given[option].is_absolute():
            raise EdgedenseError(f"the whole path for --{option}", str(given[option]), str(given[option].resolve()))
    has_page = given["preview"] or given["preview_address"]
    service = Service(
        name,
        model,
        parsed,
        service_user(user),
        tuple(options),
        given["save"],
        has_token=bool(has_page) and address_needs_token(given["preview_address"]),
    )
    token = write_unit(service)
    print(f"{service.unit_path} is installed and started; edgedense service status shows how it goes")
    if token:
        print(f"the preview page's token is {token}")


def _options_of_run(words: list[str]) -> dict[str, Any]:
    """What `edgedense run` would be given by these words; exits with its error where they are not right."""
    alone = typer.Typer()
    alone.command()(run)
    return typer.main.get_command(alone).make_context("edgedense run", words).params


@app.command()
def remove(name: ServiceName = "edgedense") -> None:
    """Stop the service and remove it. Needs root."""
    from edgedense.device.service.systemd import remove as remove_unit

    remove_unit(name)
    print(f"{name} is removed")


@app.command()
def status(name: ServiceName = "edgedense") -> None:
    """Say whether the service runs, and what it sees; exit with 3 when it does not run."""
    from edgedense.device.service.systemd import status as status_of

    found = status_of(name)
    print(found)
    if not found.is_active:
        raise DeviceError(
            f"{name} to run",
            found.state if found.is_installed else "no such service",
            f"journalctl -u {name}" if found.is_installed else "edgedense service install MODEL",
        )
