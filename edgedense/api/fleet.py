"""`edgedense.fleet`: all devices that report to a broker, or what a history says of them."""

from __future__ import annotations

import time
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, overload

from edgedense.errors import EdgedenseError

if TYPE_CHECKING:
    from edgedense.device.overview.archive import Period
    from edgedense.device.overview.rows import Overview

_EXAMPLE = "edgedense fleet mqtts://BROKER/PREFIX"


@overload
def fleet(
    broker: str | None = None,
    *,
    password_file: Path | str | None = None,
    ca: Path | str | None = None,
    history: Path | str | None = None,
    at: str | date | None = None,
    since: None = None,
    until: None = None,
) -> Overview: ...


@overload
def fleet(
    broker: None = None, *, history: Path | str, since: str | date, until: str | date | None = None
) -> Period: ...


def fleet(
    broker: str | None = None,
    *,
    password_file: Path | str | None = None,
    ca: Path | str | None = None,
    history: Path | str | None = None,
    at: str | date | None = None,
    since: str | date | None = None,
    until: str | date | None = None,
) -> Overview | Period:
    """What the devices of a fleet have said: now, at a moment, or in a period.

    `broker` is asked what each device has said last: it is the address and the prefix that the devices report to, such
    as "mqtts://farmer@broker.example/farm". The user's password is the only line of `password_file`, and `ca` is a file
    in PEM format with the certificates that the broker's is to be signed by, by default those that the system trusts.

    Without a broker it is read from `history`, a file that `edgedense fleet BROKER --history FILE` keeps: how the fleet
    was `at` a moment, by default now, or what happened from `since` to `until`, by default now. Moments are `datetime`s
    or texts such as "2026-11-24 15:30", in this machine's time where they name no zone. A day, as a `date` or a text,
    is its first moment, and as `until` its last.

    Gives an Overview, or with `since` a Period.

    Raises EdgedenseError for what does not go together, for what is no address and no moment, for files that cannot be
    read or hold something else, and for a period that ends before it begins. DeviceError where the broker does not
    answer or lets nobody in, and without paho-mqtt.
    """
    given = {"--at": at, "--since": since, "--until": until}
    asked = [name for name, value in given.items() if value is not None]
    if broker is None:
        if password_file is not None or ca is not None:
            raise EdgedenseError(f"a BROKER with {'--password-file' if ca is None else '--ca'}", "none", _EXAMPLE)
        return _read(None if history is None else Path(history), at, since, until)
    if asked:
        raise EdgedenseError(f"no BROKER with {asked[0]}, which reads the history alone", broker, "leave it out")
    if history is not None:
        raise EdgedenseError(
            "a BROKER to ask, or --history FILE to read", "both", f"{_EXAMPLE} --history FILE, which keeps one"
        )
    from edgedense.device.overview.options import Entry
    from edgedense.device.overview.rows import Overview
    from edgedense.device.overview.watch import login, now

    entry = Entry(*(None if file is None else Path(file) for file in (password_file, ca)))
    return Overview(tuple(now(login(broker, entry))))


def _read(
    history: Path | None, at: str | date | None, since: str | date | None, until: str | date | None
) -> Overview | Period:
    from edgedense.device.overview import archive
    from edgedense.device.overview.rows import Overview

    if history is None:
        raise EdgedenseError("a BROKER, or --history FILE to read", "neither", _EXAMPLE)
    if at is not None and since is not None:
        raise EdgedenseError("either --at or --since", "both")
    if since is None and until is not None:
        raise EdgedenseError("--since with --until", "none", "--since 2026-11-24")
    if since is None:
        return Overview(tuple(archive.at(history, time.time() if at is None else archive.parse_moment(str(at)))))
    end = time.time() if until is None else archive.parse_end(str(until))
    return archive.between(history, archive.parse_moment(str(since)), end)
