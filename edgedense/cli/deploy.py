"""`edgedense deploy`: a deployed file to devices, over SSH."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from edgedense.cli.options import AsJson, DeployedFile
from edgedense.device.service.options import UpdateOptions
from edgedense.errors import GateError
from edgedense.flags import Flag
from edgedense.rollout.options import DeployOptions

if TYPE_CHECKING:
    from edgedense.rollout.result import Deployment

SHOWN = 8  # digits of a SHA-256 that people compare
Hosts = Annotated[
    list[str] | None,
    Flag(
        "Devices as ssh knows them: pi@barn-1, a name of your ~/.ssh/config, or ssh://pi@barn-1:2222. With --fleet "
        "they name some of its devices.",
        argument=True,
        metavar="HOST",
    ),
]
Fleet = Annotated[
    Path | None,
    Flag("A file that lists the devices, with what each one's service is given.", metavar="FILE.toml", reads="file"),
]


def deploy(
    model: DeployedFile,
    hosts: Hosts = None,
    *,
    fleet: Fleet = None,
    as_json: AsJson = False,
    options: DeployOptions,
    update: UpdateOptions,
) -> None:
    """Bring a deployed file to devices over SSH, and have their service run it.

    A device gets edgedense where it lacks this version, then the file, which edgedense service update proves there. A
    device without a service gets one. The first device goes ahead alone: the others follow when it has succeeded. What
    a device has already is left as it is, so the command may be given again.

    Exit code 1 when a device does not have the file afterwards, or its service fails.
    """
    import edgedense

    result = edgedense.deploy(model, hosts or (), fleet=fleet, options=options, update=update)
    if as_json:
        print(result.to_json())
    else:
        _print(result)
    if not result.is_good:
        raise typer.Exit(GateError.exit_code)


def _print(result: Deployment) -> None:
    """A line for each host, and under the table what there is to say of some."""
    from rich.console import Console

    from edgedense.report.terminal import table

    console = Console()
    rows = [
        (
            host.host,
            host.outcome,
            (host.before or "")[:SHOWN],
            (host.after or "")[:SHOWN],
            host.package or "",
            f"{host.seconds:.1f} s" if host.outcome != "not begun" else "",
        )
        for host in result.hosts
    ]
    headings = ("host", "outcome", "before", "after", "edgedense", "time")
    console.print(table(f"{result.model}, SHA-256 {result.sha256[:SHOWN]}", headings, rows, of_numbers=False))
    for host in result.hosts:
        if host.reason:
            console.print(f"{host.host}: {host.reason}", highlight=False, markup=False, soft_wrap=True)
    good = sum(host.is_good for host in result.hosts)
    console.print(f"{good} of {len(result.hosts)} devices have it.", highlight=False)
