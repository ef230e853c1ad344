"""`edgedense service`: install, remove, status."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from edgedense.cli.flags import add
from edgedense.cli.options import DeployedFile
from edgedense.cli.run import run
from edgedense.errors import DeviceError, EdgedenseError
from edgedense.flags import Flag

if TYPE_CHECKING:
    from edgedense.device.service.systemd import Service

app = typer.Typer(help="Run at boot, as a systemd service.", no_args_is_help=True, rich_markup_mode=None)
ServiceName = Annotated[str, Flag("The service's name.", name="--name")]


def install(
    model: DeployedFile,
    source: Annotated[
        str | None, Flag("A camera or stream, as for edgedense run. By default it is the first camera.", argument=True)
    ] = None,
    words: Annotated[
        list[str] | None,
        Flag(
            "Options of edgedense run, such as -- --smooth 5 --preview-address :8080.",
            argument=True,
            metavar="-- OPTIONS",
        ),
    ] = None,
    *,
    user: Annotated[str | None, Flag("The user to run as. By default it is the one who calls sudo.")] = None,
    name: ServiceName = "edgedense",
) -> None:
    """Install a service that classifies from boot on, or change an installed one. Needs root."""
    from edgedense.device.service.systemd import install as write_unit

    service = _service(model, source, list(words or ()), name, user)
    token = write_unit(service)
    print(f"{service.unit_path} is installed and started; edgedense service status shows how it goes")
    if token:
        print(f"the preview page's token is {token}")


def _service(model: Path, source: str | None, words: list[str], name: str, user: str | None) -> Service:
    """What is to run. Raises EdgedenseError for what a service cannot do."""
    from edgedense.device.camera.sources import parse
    from edgedense.device.live.run import address_needs_token
    from edgedense.device.service.systemd import Service, service_user

    if source is not None and source.startswith("-"):  # only options were given
        words.insert(0, source)
        source = None
    parsed = parse(source) if source is not None else None
    if parsed and not parsed.is_live:
        raise EdgedenseError("a camera or a stream to watch", str(parsed), "edgedense run for files")
    model = model.resolve()
    given = _options_of_run([str(model), *([source] if source is not None else ["--camera"]), *words])
    if given["preview_token_file"]:
        raise EdgedenseError("a service without --preview-token-file", "it", "leave it out: a token is made")
    for option in ("labels", "save"):
        if given[option] and not given[option].is_absolute():
            raise EdgedenseError(f"the whole path for --{option}", str(given[option]), str(given[option].resolve()))
    address = given["preview_address"]
    has_token = bool(given["preview"] or address) and address_needs_token(address)
    return Service(name, model, parsed, service_user(user), tuple(words), given["save"], has_token)


def _options_of_run(words: list[str]) -> dict[str, Any]:
    """What `edgedense run` would be given by these words; exits with its error where they are not right."""
    alone = typer.Typer()
    add(alone, run)
    return typer.main.get_command(alone).make_context("edgedense run", words).params


def remove(name: ServiceName = "edgedense") -> None:
    """Stop the service and remove it. Needs root."""
    from edgedense.device.service.systemd import remove as remove_unit

    remove_unit(name)
    print(f"{name} is removed")


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


for _command in (install, remove, status):
    add(app, _command)
