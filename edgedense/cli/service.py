"""`edgedense service`: install, remove, status."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from edgedense.cli.paths import Writes, marks
from edgedense.cli.run import run
from edgedense.cli.wording import Command
from edgedense.errors import DeviceError, EdgedenseError

if TYPE_CHECKING:
    from edgedense.device.service.places import Place

app = typer.Typer(help="Run at boot, as a systemd service.", no_args_is_help=True, rich_markup_mode=None)
ServiceName = Annotated[str, typer.Option("--name", help="The service's name.")]


@app.command(cls=Command)
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
            help="Options of edgedense run, such as -- --smooth 5 --preview-address :8080. What they write, such as "
            "--monitor state.json, is kept in /var/lib/NAME, the service's own folder, unless the path begins with /.",
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
    words = [str(model), *([source] if source is not None else ["--camera"]), *options]
    context = _context_of_run(words)
    given = context.params
    if len(given["sources"] or ()) + given["camera"] != 1:
        raise EdgedenseError("options of edgedense run behind --", " ".join(options), "name one source before --")
    whole, reads, places = _whole_paths(given, name)
    has_page = given["preview"] or given["preview_address"]
    makes_token = has_page and not given["preview_token_file"] and address_needs_token(given["preview_address"])
    service = Service(
        name,
        whole.pop("model"),
        parsed,
        service_user(user),
        tuple(_options(context, whole)),
        reads,
        places,
        has_token=bool(makes_token),
    )
    token = write_unit(service)
    print(f"{service.unit_path} is installed and started; edgedense service status shows how it goes")
    for place in places:
        print(f"it writes to {place.path}")
    if token:
        print(f"the preview page's token is {token}")


def _context_of_run(words: list[str]) -> Any:
    """What `edgedense run` would be given by these words; exits with its error where they are not right."""
    alone = typer.Typer()
    alone.command()(run)
    return typer.main.get_command(alone).make_context("edgedense run", words)


def _whole_paths(given: dict[str, Any], service: str) -> tuple[dict[str, Path], tuple[Path, ...], tuple[Place, ...]]:
    """(the whole path of each parameter that is one, those to read, the places to write) of what `run` is given."""
    from edgedense.device.service import places

    read, written = {}, {}
    for name, mark in marks(run).items():
        option = "MODEL" if name == "model" else f"--{name.replace('_', '-')}"
        if given[name] is None:
            continue
        if isinstance(mark, Writes):
            written[name] = places.written(given[name], mark.kind, service, option)
        else:
            read[name] = places.read(given[name], option)
    whole = {**read, **{name: place.path for name, place in written.items()}}
    return whole, tuple(path for name, path in read.items() if name != "model"), tuple(written.values())


def _options(context: Any, paths: dict[str, Path]) -> Iterator[str]:
    """The words of the options that were given, with `paths` in the place of what was given for them."""
    for parameter in context.command.params:
        name = parameter.name or ""
        source = context.get_parameter_source(name)
        if parameter.param_type_name != "option" or name == "camera" or source is None or source.name != "COMMANDLINE":
            continue
        value = paths.get(name, context.params[name])
        if value is True:
            yield parameter.opts[0]
            continue
        for one in value if isinstance(value, list | tuple) else (value,):
            yield from (parameter.opts[0], str(one))


@app.command(cls=Command)
def remove(name: ServiceName = "edgedense") -> None:
    """Stop the service and remove it. Needs root."""
    from edgedense.device.service.systemd import remove as remove_unit

    folder = remove_unit(name)
    left = f"; what it wrote stays in {folder}" if folder.is_dir() else ""
    print(f"{name} is removed{left}")


@app.command(cls=Command)
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
