"""The sender: a thread that brings what is in the outbox to the broker, for as long as the run lasts.

It sends what has waited longest first, a few messages at a time, and strikes each off when the broker has confirmed it.
When the connection breaks, whatever was not confirmed is sent again on the next one.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from edgedense.device.mqtt.client import Login, client_id, connect, new_client, why
from edgedense.device.mqtt.messages import Name, Status, Topics, decode, encode
from edgedense.device.mqtt.outbox import Kept, Outbox
from edgedense.errors import EdgedenseError

if TYPE_CHECKING:
    from paho.mqtt.client import Client, MQTTMessage

_WINDOW = 16  # messages on their way; brokers may allow less
_POLL = 0.2  # seconds
_WELCOME = 30.0  # seconds for the broker's word after the connection was opened
_DELAY, _LONGEST = 1.0, 60.0  # seconds before the next attempt; it doubles with each one that fails
_LASTING = 60.0  # seconds of a connection after which the attempts are counted anew
_SUSPECT = 3  # connections in a row that did not last
_REFUSED = 30.0  # seconds before a message that the broker did not take is sent again
_FAREWELL = 1.0  # seconds for the last messages at the end, and again for the word that it is the end
_NEWS = 10.0  # seconds for which a report is news where reports come more often
_TWIN = 30.0  # seconds between two answers to another device of the same name


@dataclass(frozen=True)
class Sending:
    """What is sent besides the outbox, and how. `kept` are payloads that the broker keeps, by topic: they are sent at
    each connection. A report that is older than `every` seconds is no longer news."""

    topics: Topics
    boot: str
    every: float
    kept: Mapping[str, bytes]


class Sender:
    """Sends from a thread of its own. `report` is called with a sentence when the connection breaks and when it is
    back. Raises DeviceError without paho-mqtt."""

    def __init__(self, login: Login, sending: Sending, outbox: Outbox, report: Callable[[str], None]) -> None:
        self._login, self._sending, self._outbox, self._report = login, sending, outbox, report
        self._client_id = client_id(sending.topics.device)
        new_client(login, self._client_id)  # now is when to find out that the library is missing
        self._stop = threading.Event()
        self._told = ""
        self._short = 0  # connections in a row that the broker has let in, and that did not last
        self._picture: bytes | None = None
        self._thread = threading.Thread(target=self._work, name="mqtt", daemon=True)

    def start(self) -> None:
        """Begin to connect."""
        self._thread.start()

    def show(self, jpeg: bytes) -> None:
        """Send a picture, where there is a connection with room; a newer one takes the place of one that waits."""
        self._picture = jpeg

    def stop(self) -> None:
        """Send what can be sent in a second, and say goodbye. What is left stays in the outbox."""
        self._stop.set()
        self._thread.join(2 * _FAREWELL + _POLL)

    def _work(self) -> None:
        delay = _DELAY
        while not self._stop.is_set():
            started = time.monotonic()
            problem = self._connection()
            if self._stop.is_set():
                return
            if time.monotonic() - started > _LASTING:
                self._short, delay = 0, _DELAY
            if self._short >= _SUSPECT:  # brokers end a connection when another begins with the same name
                problem += f": does another device call itself {self._sending.topics.device}?"
            if problem != self._told:  # a broker that stays away is told of once
                self._report(f"{self._login.broker}: {problem}. What is to be sent is kept.")
                self._told = problem
            self._stop.wait(delay)
            delay = min(2 * delay, _LONGEST)

    def _connection(self) -> str:
        """One connection, from its opening to its end: why it ended."""
        client = new_client(self._login, self._client_id)
        session = _Session(client, self._sending, self._outbox)
        try:
            connect(client, self._login)
            problem = session.wait_for_welcome(self._stop)
            if problem:
                return problem
            if self._told:
                self._report(f"{self._login.broker} is there, {self._outbox.waiting} messages wait for it")
            self._told, self._short = "", self._short + 1
            while not self._stop.is_set():
                session.feed()
                self._show_picture(client)
                problem = session.go_round()
                for remark in session.remarks():
                    self._report(remark)
                if problem:
                    return problem
            session.say_goodbye()
            return ""
        except (OSError, ValueError) as error:  # ValueError: paho-mqtt's for what is no MQTT
            return why(error)
        finally:
            if opened := client.socket():
                opened.close()  # without a goodbye the broker publishes the last will

    def _show_picture(self, client: Client) -> None:
        picture, self._picture = self._picture, None
        if picture is not None and not client.want_write():
            client.publish(self._sending.topics.of("picture"), picture)


class _Session:
    """What happens on one connection."""

    def __init__(self, client: Client, sending: Sending, outbox: Outbox) -> None:
        self._client, self._sending, self._outbox = client, sending, outbox
        self._status_topic = sending.topics.of("status")
        self._welcome: Any = None
        self._window = _WINDOW
        self._first = list(sending.kept.items())  # of each connection
        self._under_way: dict[int, int] = {}  # the outbox's number by MQTT's
        self._topics: dict[int, str] = {}  # of all that is not yet confirmed
        self._confirmed: list[int] = []
        self._lost = ""
        self._remarks: list[str] = []
        self._paused_until = self._answered_at = float("-inf")
        client.on_connect, client.on_disconnect = self._on_connect, self._on_disconnect
        client.on_publish, client.on_message = self._on_publish, self._on_message
        client.will_set(self._status_topic, encode(Status(sending.boot, False, "connection lost")), 1, retain=True)

    def wait_for_welcome(self, stop: threading.Event) -> str:
        """Why the broker does not let this device in; nothing where it does."""
        until = time.monotonic() + _WELCOME
        while self._welcome is None:
            if time.monotonic() > until or stop.is_set():
                return "it does not answer"
            problem = self.go_round()  # a refusal comes with the end of the connection
            if problem and self._welcome is None:
                return problem
        if self._welcome.is_failure:
            return f"it refuses: {self._welcome}"
        self._client.subscribe(self._status_topic, 1)
        self._say_online()
        return ""

    def _publish(self, topic: str, payload: bytes, *, retain: bool = True) -> int:
        """Send something that the broker is to confirm: by which number of MQTT's."""
        mid = self._client.publish(topic, payload, 1, retain).mid
        self._topics[mid] = topic
        return mid

    def feed(self) -> None:
        """Send as many as the broker may be given at once; none while its end of the line is full."""
        if self._client.want_write():
            return
        while self._first and len(self._topics) < self._window:
            self._publish(*self._first.pop(0))
        room = self._window - len(self._topics)
        waits = self._outbox.waiting > len(self._under_way)
        if waits and room > 0 and time.monotonic() >= self._paused_until:
            for kept in self._outbox.oldest(room, tuple(self._under_way.values())):
                self._send(kept)

    def _send(self, kept: Kept) -> None:
        letter = kept.letter
        limit = max(self._sending.every, _NEWS)
        is_news = letter.boot == self._sending.boot and time.monotonic() - letter.monotonic <= limit
        name: Name = "late" if letter.name == "report" and not is_news else letter.name
        mid = self._publish(self._sending.topics.of(name), letter.payload, retain=name != "late")
        self._under_way[mid] = kept.number

    def go_round(self) -> str:
        """Wait a moment for something to happen: why the connection has ended, if it has."""
        code = self._client.loop(_POLL)
        if self._confirmed:
            self._outbox.remove(self._confirmed)
            self._confirmed = []
        return self._lost or (f"the connection is lost ({code.name})" if code else "")

    def remarks(self) -> list[str]:
        """What was noticed since they were asked for."""
        remarks, self._remarks = self._remarks, []
        return remarks

    def say_goodbye(self) -> None:
        """Send what can be sent in a second, and that the device goes on purpose."""
        until = time.monotonic() + _FAREWELL
        while self._outbox.waiting and time.monotonic() < until:
            self.feed()
            if self.go_round():
                return
        status = encode(Status(self._sending.boot, False, "stopped"))
        last = self._publish(self._status_topic, status)
        while last in self._topics and time.monotonic() < until + _FAREWELL:
            if self.go_round():
                return
        self._client.disconnect()

    def _say_online(self) -> None:
        self._publish(self._status_topic, encode(Status(self._sending.boot, True)))

    def _on_connect(self, client: Client, data: Any, flags: Any, reason: Any, properties: Any) -> None:
        self._welcome = reason
        self._window = min(_WINDOW, getattr(properties, "ReceiveMaximum", _WINDOW))

    def _on_disconnect(self, client: Client, data: Any, flags: Any, reason: Any, properties: Any) -> None:
        self._lost = self._lost or f"the connection is lost ({reason})"

    def _on_publish(self, client: Client, data: Any, mid: int, reason: Any, properties: Any) -> None:
        number, topic = self._under_way.pop(mid, None), self._topics.pop(mid, "")
        if not reason.is_failure:
            self._confirmed += [] if number is None else [number]
            return
        if number is None or time.monotonic() > self._paused_until:
            self._remarks.append(f"the broker does not take what is sent to {topic} ({reason}): may its user publish?")
        if number is not None:  # it stays in the outbox: rights can be given
            self._paused_until = time.monotonic() + _REFUSED

    def _on_message(self, client: Client, data: Any, message: MQTTMessage) -> None:
        """Another word on this device's status: an earlier connection's will that comes late, or a twin's."""
        try:
            status = decode("status", bytes(message.payload))
        except EdgedenseError:
            return
        assert isinstance(status, Status)
        if status.boot == self._sending.boot or time.monotonic() - self._answered_at < _TWIN:
            return
        self._answered_at = time.monotonic()
        if status.online and not message.retain:
            device = self._sending.topics.device
            self._remarks.append(f"another device is called {device} as well: give each a --mqtt-name of its own")
        self._say_online()
