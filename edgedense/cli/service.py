"""`edgedense service`: install, remove, status, update, rollback, history."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from edgedense.cli.flags import add, command, flags_of
from edgedense.cli.options import AsJson, DeployedFile
from edgedense.cli.run import run
from edgedense.device.service.options import UpdateOptions
from edgedense.errors import DeviceError, EdgedenseError, GateError
from edgedense.flags import Flag

if TYPE_CHECKING:
    from edgedense.device.service.outcome import Update
    from edgedense.device.service.places import Place
    from edgedense.device.service.systemd import Service

app = typer.Typer(
    help="Run at boot, as a systemd service.", no_args_is_help=True, rich_markup_mode=None, add_completion=False
)
ServiceName = Annotated[str, Flag("The service's name.", name="--name", metavar="NAME")]
Camera = Annotated[
    str | None, Flag("A camera or stream, as for edgedense run. By default it is the first camera.", argument=True)
]
OptionsOfRun = Annotated[
    list[str] | None,
    Flag(
        "Options of edgedense run, such as -- --smooth 5 --preview-address :8080. What they write, such as --monitor "
        "state.json, is kept in /var/lib/NAME, the service's own folder, unless the path begins with /.",
        argument=True,
        metavar="-- OPTIONS",
    ),
]
User = Annotated[str | None, Flag("The user to run as. By default it is the one who calls sudo.", metavar="USER")]
PublicKey = Annotated[
    Path | None,
    Flag(
        "From now on the service takes only models that were signed with the private key that belongs to this public "
        "one (edgedense sign). The key stays installed until the service is removed.",
        reads="file",
    ),
]

SECRET = tuple(name for name, flag in flags_of(run).items() if flag.secret)  # options of run


def install(
    model: DeployedFile,
    source: Camera = None,
    words: OptionsOfRun = None,
    *,
    user: User = None,
    name: ServiceName = "edgedense",
    public_key: PublicKey = None,
) -> None:
    """Install a service that classifies from boot on, or change an installed one. Needs root.

    The model is copied to /var/lib/edgedense-models/NAME, where only root writes.
    """
    from edgedense.device.service.systemd import install as write_unit

    service = replace(_service(model, source, list(words or ()), name, user), public_key=public_key)
    token = write_unit(service)
    print(f"{service.unit_path} is installed and started; edgedense service status shows how it goes")
    for place in service.places:
        print(f"it writes to {place.path}")
    if token:
        print(f"the preview page's token is {token}")


def _service(model: Path, source: str | None, words: list[str], name: str, user: str | None) -> Service:
    """What is to run. Raises EdgedenseError for what a service cannot do."""
    from edgedense.device.camera.sources import parse
    from edgedense.device.live.run import address_needs_token
    from edgedense.device.service.systemd import Secret, Service, service_user

    if source is not None and source.startswith("-"):  # only options were given
        words.insert(0, source)
        source = None
    parsed = parse(source) if source is not None else None
    if parsed and not parsed.is_live:
        raise EdgedenseError("a camera or a stream to watch", str(parsed), "edgedense run for files")
    context = _context_of_run([str(model), *([source] if source is not None else ["--camera"]), *words])
    given = context.params
    if len(given["sources"] or ()) + given["camera"] != 1:
        raise EdgedenseError("options of edgedense run behind --", " ".join(words), "name one source before --")
    whole, reads, places = _whole_paths(given, name)
    secrets = tuple(Secret(_option(secret), whole.pop(secret)) for secret in SECRET if secret in whole)
    _require_token(given)
    has_page = given["preview"] or given["preview_address"]
    makes_token = has_page and not given["preview_token_file"] and address_needs_token(given["preview_address"])
    whole_model = whole.pop("model")
    options = tuple(_options(context, whole))
    user = service_user(user)
    return Service(name, whole_model, parsed, user, options, reads, places, bool(makes_token), secrets=secrets)


def _require_token(given: dict[str, Any]) -> None:
    """A token that is made anew at each start would shut out who asks for the figures."""
    from edgedense.device.live.run import address_needs_token

    if address_needs_token(given["metrics"]) and not given["metrics_token_file"]:
        raise EdgedenseError(
            "--metrics-token-file with --metrics at an address that others in the network reach",
            "none",
            'python3 -c "import secrets; print(secrets.token_urlsafe(16))" > /etc/edgedense/metrics.token',
        )


def _context_of_run(words: list[str]) -> Any:
    """What `edgedense run` would be given by these words; exits with its error where they are not right."""
    return command(run).make_context("edgedense run", words)


def _whole_paths(given: dict[str, Any], service: str) -> tuple[dict[str, Path], tuple[Path, ...], tuple[Place, ...]]:
    """(the whole path of each parameter that is one, those to read, the places to write) of what `run` is given."""
    from edgedense.device.service import places

    read, written = {}, {}
    for name, flag in flags_of(run).items():
        option = "MODEL" if name == "model" else _option(name)
        if given[name] is None:
            continue
        if flag.writes:
            written[name] = places.written(given[name], flag.writes, service, option)
        elif flag.reads:
            read[name] = places.read(given[name], option)
    whole = {**read, **{name: place.path for name, place in written.items()}}
    reads = tuple(path for name, path in read.items() if name != "model" and name not in SECRET)
    return whole, reads, tuple(written.values())


def _option(parameter: str) -> str:
    return f"--{parameter.replace('_', '-')}"


def _options(context: Any, paths: dict[str, Path]) -> Iterator[str]:
    """The words of the options that were given, with `paths` in the place of what was given for them."""
    for parameter in context.command.params:
        name = parameter.name or ""
        source = context.get_parameter_source(name)
        if parameter.param_type_name != "option" or name == "camera" or source is None or source.name != "COMMANDLINE":
            continue
        if name in SECRET:
            continue
        value = paths.get(name, context.params[name])
        if value is True:
            yield parameter.opts[0]
            continue
        for one in value if isinstance(value, list | tuple) else (value,):
            yield from (parameter.opts[0], str(one))


def remove(name: ServiceName = "edgedense") -> None:
    """Stop the service and remove it. Needs root."""
    from edgedense.device.service.systemd import remove as remove_unit
    from edgedense.device.versions.models import Models

    folders = (remove_unit(name), Models.of(name).folder)
    left = " and ".join(str(folder) for folder in folders if folder.is_dir())
    print(f"{name} is removed{left and f'; what it wrote, and its models, stay in {left}'}")


def status(name: ServiceName = "edgedense") -> None:
    """Say whether the service runs, with which model, and what it sees; exit with 3 when it does not run."""
    from edgedense.device.service.report import report
    from edgedense.device.service.systemd import status as status_of

    found = status_of(name)
    print(found)
    for line in report(name):
        print(line)
    if not found.is_active:
        raise DeviceError(
            f"{name} to run",
            found.state if found.is_installed else "no such service",
            f"journalctl -u {name}" if found.is_installed else "edgedense service install MODEL",
        )


def update(
    model: DeployedFile, *, name: ServiceName = "edgedense", options: UpdateOptions, as_json: AsJson = False
) -> None:
    """Let the service run another model, which it gives up by itself if it fails. Needs root.

    The file must be whole, signed where a public key is installed, have the labels of the current model, compute its
    golden samples as it did where it was made, and take no more time than --max-slower says. Then the service is
    restarted with it. Exit code 1 when it was refused or taken back. The same file again changes nothing.
    """
    from edgedense.device.service.update import update as change

    result = change(name, model, options)
    _render(result, as_json)
    if not result.succeeded:
        sys.exit(GateError.exit_code)


def rollback(name: ServiceName = "edgedense", *, as_json: AsJson = False) -> None:
    """Let the service run the model from before again. Needs root."""
    from edgedense.device.service.update import rollback as go_back

    _render(go_back(name), as_json)


def _render(result: Update, as_json: bool) -> None:
    if as_json:
        print(json.dumps(result.to_dict(), ensure_ascii=False))
        return
    for check in result.checks:
        print(check)
    print(f"{result.outcome}: {result.reason}")


def history(name: ServiceName = "edgedense", *, as_json: AsJson = False) -> None:
    """List which model the service ran when, who changed it, and why."""
    from edgedense.device.versions import history as kept
    from edgedense.device.versions.models import Models
    from edgedense.device.versions.moments import Moment

    changes = Models.of(name).changes
    if as_json:
        print(json.dumps([change.to_dict() for change in changes], ensure_ascii=False))
        return
    if not changes:
        raise EdgedenseError(f"a history of {name}", "none", "edgedense service install or update begins one")
    rows = kept.rows(changes, Moment.now())
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        print("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip())


for _command in (install, remove, status, update, rollback, history):
    add(app, _command)
