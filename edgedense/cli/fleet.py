"""`edgedense fleet`."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Annotated

from edgedense.cli.options import AsJson
from edgedense.device.overview.options import Asked, Entry, Watching
from edgedense.errors import EdgedenseError
from edgedense.flags import Flag, changed

if TYPE_CHECKING:
    from edgedense.device.overview.archive import Period
    from edgedense.device.overview.rows import Overview, Row

Broker = Annotated[
    str | None,
    Flag(
        "The broker and the prefix that the devices report to, as it was given to edgedense run --mqtt. mqtts:// is "
        "encrypted, mqtt:// is not.",
        argument=True,
        metavar="mqtts://USER@BROKER/PREFIX",
    ),
]
HEADINGS = ("device", "state", "since", "sees", "against the others", "model", "°C", "last report")


def fleet(broker: Broker = None, *, entry: Entry, watching: Watching, asked: Asked, as_json: AsJson = False) -> None:
    """Tell of all devices that report to a broker: who is there, since when, which model, what it sees, who drifts.

    With a BROKER alone it prints what each device has said last, and ends. With --serve it shows the fleet on a page,
    and with --history it keeps what is said, until Ctrl-C. Without a BROKER it reads a history: --at a moment, or what
    happened --since a day --until another.
    """
    import edgedense

    if broker is not None and not changed(asked) and (watching.serve or watching.history):
        if as_json:
            raise EdgedenseError("--json without --serve and --history", "both", "ask for /devices of the page")
        _watch(broker, entry, watching)
        return
    beside = [name for name in changed(watching) if name != "--history"]
    if broker is None and beside:
        raise EdgedenseError(f"a BROKER with {beside[0]}", "none", "edgedense fleet mqtts://BROKER/PREFIX")
    _print(edgedense.fleet(broker, history=watching.history, **vars(entry), **vars(asked)), as_json)


def _watch(broker: str, entry: Entry, watching: Watching) -> None:
    from edgedense.device.live.loop import stop_on_signals
    from edgedense.device.overview.watch import login, watch

    with stop_on_signals() as stop:
        watch(login(broker, entry), watching, stop)


def _print(found: Overview | Period, as_json: bool) -> None:
    from edgedense.device.overview.rows import Overview

    if as_json:
        print(json.dumps(found.to_dict(), indent=2, ensure_ascii=False))
    elif isinstance(found, Overview):
        _print_rows(found.devices)
    else:
        _print_period(found)


def _print_rows(rows: Sequence[Row]) -> None:
    from rich.console import Console

    from edgedense.report.terminal import print_in_parts

    console = Console()
    if not rows:
        console.print("0 devices. Is the prefix that of the devices, and may this user read it?", highlight=False)
        return
    print_in_parts("Fleet", HEADINGS, [_cells(row) for row in rows], console)
    trouble = [row for row in rows if row.trouble]
    for row in trouble:
        console.print(f"{row.device}: {row.trouble}", highlight=False, markup=False)
        for one in row.drifts or ():
            console.print(f"  {one.said}", highlight=False, markup=False)
    there = sum(row.presence == "there" for row in rows)
    console.print(f"{len(rows)} devices, {there} there, {len(trouble)} to look at.", highlight=False)


def _cells(row: Row) -> tuple[str, ...]:
    drifts = "–" if row.drifts is None else ", ".join(one.feature for one in row.drifts) or "as they do"
    heat = "–" if row.temperature is None else f"{row.temperature:.0f}"
    sees = "camera lost" if row.camera_lost else row.sees
    model = f"{row.model} {row.sha256[:8]}".strip()
    return row.device, row.presence, _local(row.since), sees, drifts, model, heat, _local(row.last)


def _print_period(period: Period) -> None:
    from rich.console import Console

    from edgedense.report.terminal import print_in_parts, table

    console = Console()
    title = f"{_local(period.since)} to {_local(period.until)}"
    events = [(_local(event.moment), event.device, event.said) for event in period.events]
    console.print(table(f"What happened, {title}", ("when", "device", "what"), events))
    rows = [
        (
            *(stay.device, str(stay.reports), _shares(stay.seen.items())),
            "–" if stay.drifts is None else ", ".join(one.feature for one in stay.drifts) or "as they do",
            "–" if stay.coldest is None or stay.warmest is None else f"{stay.coldest:.0f} to {stay.warmest:.0f}",
        )
        for stay in period.devices
    ]
    print_in_parts("Devices", ("device", "reports", "saw", "against the others", "°C"), rows, console)


def _shares(seen: Iterable[tuple[str, float]], most: int = 3) -> str:
    return ", ".join(f"{name} {100 * share:.0f} %" for name, share in list(seen)[:most]) or "–"


def _local(moment: float | None) -> str:
    return "–" if moment is None else f"{datetime.fromtimestamp(moment):%Y-%m-%d %H:%M}"
