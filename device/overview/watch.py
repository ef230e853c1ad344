"""Puts a fleet together: broker, history and page. What the command calls is here."""

from __future__ import annotations

import gc
import secrets
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from hashlib import sha256

from edgedense.device.mqtt.address import parse_broker, read_password
from edgedense.device.mqtt.client import Login
from edgedense.device.overview.fleet import Fleet
from edgedense.device.overview.history import History
from edgedense.device.overview.judging import Apart
from edgedense.device.overview.options import Entry, Watching
from edgedense.device.overview.reader import Reader, kept, reading
from edgedense.device.overview.rows import Row
from edgedense.errors import EdgedenseError
from edgedense.notes import LOG

LOOK_EVERY = 1.0  # seconds between two looks at what time alone has changed
SAVE_EVERY = 10.0  # seconds between two times that tallies are written
WAIT = 0.25  # seconds after which it is looked whether to stop
SETTLED = 10.0  # seconds after which all that the broker had kept has come
BURST = 0.05  # seconds in which messages are gathered that are kept and confirmed together


def login(broker: str, entry: Entry) -> Login:
    """How to get in at `broker`, such as "mqtts://farmer@broker/farm". Raises EdgedenseError for what is no address,
    and for files that hold no password or no certificate."""
    found = Login(parse_broker(broker), read_password(entry.password_file), entry.ca)
    if found.is_open_to_listeners:
        LOG.warning(f"the password goes to {found.broker} without encryption: use mqtts:// where the broker has it")
    return found


def now(login: Login) -> list[Row]:
    """The fleet as the broker knows it: what each device has said last. Raises DeviceError without a broker."""
    fleet = Fleet(login.broker.prefix)
    with reading(login, f"edgedense-fleet-{secrets.token_hex(8)}", is_lasting=False) as reader:
        for arrival in kept(reader):
            fleet.take(arrival.topic, arrival.payload, arrival.received, arrival.retained)
    fleet.look(time.time())
    return list(fleet.shown().rows)


def watch(login: Login, options: Watching, stop: threading.Event) -> None:
    """Take in what the fleet says until `stop`: into the history, and onto the page.

    Raises EdgedenseError before it begins when the history cannot be written or the page has no address, DeviceError
    when there is no broker.
    """
    with ExitStack() as opened:
        history = opened.enter_context(History(options.history, options.keep)) if options.history else None
        judge = opened.enter_context(Apart(options.history)) if options.history else None
        fleet = Fleet(login.broker.prefix, history, judge)
        reader = opened.enter_context(reading(login, _client_id(options), is_lasting=history is not None))
        opened.enter_context(_page(fleet, options))
        LOG.info(f"following {login.broker.prefix} at {login.broker}; Ctrl-C ends it")
        _follow(reader, fleet, history, stop)


def _follow(reader: Reader, fleet: Fleet, history: History | None, stop: threading.Event) -> None:
    looked = saved = float("-inf")
    begun: float | None = time.monotonic()
    while not stop.is_set():
        arrivals = reader.next(WAIT)
        if arrivals:
            time.sleep(BURST)
            arrivals += reader.next(0.0)
        at = time.monotonic()
        with _kept_going(history):
            for arrival in arrivals:
                fleet.take(arrival.topic, arrival.payload, arrival.received, arrival.retained)
            if at - looked >= LOOK_EVERY:
                looked = at
                fleet.look(time.time())
            if history is not None:
                is_due = at - saved >= SAVE_EVERY
                saved = at if is_due else saved
                history.commit(everything=is_due)
            reader.confirm(arrivals)
        if begun is not None and at - begun >= SETTLED:
            gc.freeze()  # libraries and devices stay. To look through them for garbage stops the page for 0.1 seconds
            begun = None
    if history is not None:
        history.commit(everything=True)  # before the page takes its time to end


@contextmanager
def _kept_going(history: History | None) -> Iterator[None]:
    """A full disk must not end the page. What is not kept is not confirmed either: the broker sends it again when this
    collector is started anew."""
    try:
        yield
    except EdgedenseError as error:
        if history is None:
            raise
        LOG.warning(f"the history was not written: {error}")
        time.sleep(1.0)


@contextmanager
def _page(fleet: Fleet, options: Watching) -> Iterator[None]:
    if options.serve is None:
        yield
        return
    try:
        from edgedense.device.overview.server import FleetServer
    except ImportError as error:
        raise EdgedenseError(
            "starlette and uvicorn for the page", str(error), "pip install 'edgedense[preview]'"
        ) from error
    from edgedense.device.preview.address import parse_address, read_token

    token = read_token(options.token_file) if options.token_file else None
    server = FleetServer(fleet, parse_address(options.serve, "--serve"), token)
    server.start()
    LOG.info(f"the fleet's page is at {server.url}")
    try:
        yield
    finally:
        server.stop()


def _client_id(options: Watching) -> str:
    """What the broker knows this collector by: with the same history it is the same."""
    if options.history is None:
        return f"edgedense-fleet-{secrets.token_hex(8)}"
    place = f"{socket.gethostname()} {options.history.absolute()}"
    return f"edgedense-fleet-{sha256(place.encode()).hexdigest()[:16]}"
