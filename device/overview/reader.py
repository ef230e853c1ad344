"""Messages from a broker, for one fleet: all that it has kept, or all that come until somebody says stop."""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from edgedense.device.mqtt.client import KEEP_ALIVE, Login, new_client, why
from edgedense.device.mqtt.messages import NAMES
from edgedense.errors import DeviceError
from edgedense.notes import LOG

if TYPE_CHECKING:
    from paho.mqtt.client import Client

QUIET = 1.0  # seconds without a message: what the broker had kept has come
PATIENCE = 15.0  # seconds for the broker's answer, and at most so long for what it has kept
REMEMBERED = 24 * 3600  # seconds that the broker keeps messages for a collector that is away
WAITING = 20_000  # messages that may wait here; the broker holds back those that are not yet confirmed


@dataclass(frozen=True)
class Arrival:
    """A message as it came, at `received` seconds of Unix time. `number` is what it is confirmed by."""

    topic: str
    payload: bytes
    received: float
    retained: bool
    number: int
    qos: int


class Reader:
    """A connection with the broker that asks for the messages of all devices below its prefix. Made by `reading`."""

    def __init__(self, client: Client, login: Login, is_lasting: bool) -> None:
        self._client, self._login, self._is_lasting = client, login, is_lasting
        self._arrivals: queue.Queue[Arrival] = queue.Queue(WAITING)
        self._answered = threading.Event()
        self._refusal = ""
        client.on_connect = self._connected
        client.on_subscribe = self._subscribed
        client.on_disconnect = self._disconnected
        client.on_message = self._arrived
        client.manual_ack_set(is_lasting)

    def open(self) -> None:
        """Connect, and wait until the broker has agreed. Raises DeviceError when it does not."""
        from paho.mqtt.packettypes import PacketTypes
        from paho.mqtt.properties import Properties

        properties = Properties(PacketTypes.CONNECT)
        if self._is_lasting:
            properties.SessionExpiryInterval = REMEMBERED
        broker = self._login.broker
        try:
            self._client.connect(
                broker.host, broker.port, KEEP_ALIVE, clean_start=not self._is_lasting, properties=properties
            )
        except OSError as error:
            raise DeviceError(f"the broker {broker} to answer", why(error)) from error
        self._client.loop_start()
        if not self._answered.wait(PATIENCE):
            raise DeviceError(f"the broker {broker} to answer", f"nothing within {PATIENCE:.0f} seconds")
        if self._refusal:
            raise DeviceError(f"the broker {broker} to let this reader in", self._refusal)

    def next(self, patience: float, most: int = 200) -> list[Arrival]:
        """What has come, at most so many: after `patience` seconds nothing may have."""
        found = []
        try:
            found.append(self._arrivals.get(timeout=patience))
            while len(found) < most:
                found.append(self._arrivals.get_nowait())
        except queue.Empty:
            pass
        return found

    def confirm(self, arrivals: list[Arrival]) -> None:
        """Tell the broker that these need not be sent again."""
        if self._is_lasting:
            for arrival in arrivals:
                self._client.ack(arrival.number, arrival.qos)

    def _connected(self, client: Client, _: Any, flags: Any, reason: Any, properties: Any) -> None:
        if reason.is_failure:
            self._refuse(str(reason))
            return
        prefix = self._login.broker.prefix
        quality = int(self._is_lasting)  # at least once, or at most once for who asks for what is kept alone
        client.subscribe([(f"{prefix}/+/{name}", quality) for name in NAMES if name != "picture"])

    def _subscribed(self, client: Client, _: Any, number: int, reasons: list[Any], properties: Any) -> None:
        refused = next((str(reason) for reason in reasons if reason.is_failure), "")
        if refused:
            self._refuse(f"{self._login.broker.prefix} may not be read: {refused}")
        elif self._answered.is_set():
            LOG.info(f"the connection with {self._login.broker} is back")
        self._answered.set()

    def _disconnected(self, client: Client, _: Any, flags: Any, reason: Any, properties: Any) -> None:
        if reason.is_failure and self._answered.is_set() and not self._refusal:
            LOG.warning(f"the connection with {self._login.broker} is lost ({reason}); trying again")

    def _refuse(self, said: str) -> None:
        if self._answered.is_set() and said != self._refusal:
            LOG.warning(f"{self._login.broker} does not let this reader in: {said}; trying again")
        self._refusal = said
        self._answered.set()

    def _arrived(self, client: Client, _: Any, message: Any) -> None:
        arrival = Arrival(message.topic, message.payload, time.time(), message.retain, message.mid, message.qos)
        self._arrivals.put(arrival)  # a full queue holds back the connection, and so the broker


@contextmanager
def reading(login: Login, client_id: str, *, is_lasting: bool) -> Iterator[Reader]:
    """A reader that is connected. With `is_lasting` the broker keeps messages for a day while it is away, and sends
    those again that were not confirmed. Raises DeviceError when the broker cannot be reached, or refuses."""
    client = new_client(login, client_id)
    reader = Reader(client, login, is_lasting)
    try:
        reader.open()
        yield reader
    finally:
        client.disconnect()
        client.loop_stop()


def kept(reader: Reader) -> Iterator[Arrival]:
    """The messages that the broker had kept: until nothing comes for a second."""
    ends = time.monotonic() + PATIENCE
    while time.monotonic() < ends and (found := reader.next(QUIET)):
        yield from found
