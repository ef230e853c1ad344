"""The sender against a real broker: one that stops, is killed, is slow, refuses, or is somebody else."""

from __future__ import annotations

import contextlib
import json
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from edgedense.device.mqtt import sender as module
from edgedense.device.mqtt.address import parse_broker
from edgedense.device.mqtt.client import Login
from edgedense.device.mqtt.messages import Status, Topics, decode, encode
from edgedense.device.mqtt.outbox import MB, Letter, Outbox, Rank
from edgedense.device.mqtt.sender import Sender, Sending
from tests.device.mqtt.conftest import PASSWORD, USER, Certificates, Line, Mosquitto, Reader, wait_for
from tests.device.mqtt.test_messages import ABOUT, ALERT, REPORT

TOPICS = Topics("farm", "barn-3")
BOOT = "boot-of-this-test"


@pytest.fixture(autouse=True)
def soon(monkeypatch: pytest.MonkeyPatch) -> None:
    """Attempts follow each other quickly."""
    monkeypatch.setattr(module, "_DELAY", 0.1)
    monkeypatch.setattr(module, "_LONGEST", 0.2)
    monkeypatch.setattr(module, "_REFUSED", 0.5)
    monkeypatch.setattr(module, "_WELCOME", 1.0)


@pytest.fixture
def outbox(tmp_path: Path) -> Iterator[Outbox]:
    with contextlib.closing(Outbox(tmp_path / "outbox.sqlite", 10 * MB, print)) as made:
        yield made


def letter(number: int, rank: Rank = Rank.INTERVAL, age: float = 0.0) -> Letter:
    """A report, or an alert, of this number."""
    stamp = replace(REPORT.stamp, boot=BOOT, sequence=number)
    message = replace(ALERT, stamp=stamp) if rank is Rank.ALERT else replace(REPORT, stamp=stamp)
    name = "alert" if rank is Rank.ALERT else "report"
    return Letter(rank, name, BOOT, time.monotonic() - age, encode(message))


class Told(list[str]):
    """What the sender has reported."""

    def has(self, text: str) -> bool:
        return any(text in sentence for sentence in self)


@contextlib.contextmanager
def sending(
    outbox: Outbox,
    port: int,
    scheme: str = "mqtt",
    password: str | None = None,
    ca: Path | None = None,
    boot: str = BOOT,
) -> Iterator[tuple[Sender, Told]]:
    """A sender that is at work."""
    user = f"{USER}@" if password else ""
    login = Login(parse_broker(f"{scheme}://{user}127.0.0.1:{port}/farm"), password, ca)
    told = Told()
    made = Sender(
        login, Sending(TOPICS, boot, 60.0, {TOPICS.of("about"): encode(ABOUT), "ha/config": b"{}"}), outbox, told.append
    )
    made.start()
    try:
        yield made, told
    finally:
        made.stop()


def test_each_is_sent_once_in_its_order_and_then_gone(
    broker: Mosquitto, read: Callable[[int], Reader], outbox: Outbox
) -> None:
    reader = read(broker.port)
    outbox.put([letter(number) for number in range(50)])
    with sending(outbox, broker.port) as (_, told):
        wait_for(lambda: len(reader.numbers) == 50)
        wait_for(lambda: outbox.waiting == 0)
        outbox.put([letter(50, Rank.ALERT)])
        wait_for(lambda: len(reader.numbers) == 51)
    assert reader.numbers == list(range(51))
    assert (reader.copies, told) == (0, [])
    assert reader.qualities == {1}


def test_a_broker_that_takes_one_message_at_a_time(
    mosquitto: Callable[..., Mosquitto], read: Callable[[int], Reader], outbox: Outbox
) -> None:
    """Its limit comes with its welcome, and a device that exceeds it is disconnected."""
    broker = mosquitto("allow_anonymous true\nmax_inflight_messages 1")
    reader = read(broker.port)
    outbox.put([letter(number) for number in range(30)])
    with sending(outbox, broker.port) as (_, told):
        wait_for(lambda: len(reader.numbers) == 30)
        wait_for(lambda: outbox.waiting == 0)
    assert reader.numbers == list(range(30))
    assert told == []


def test_what_the_broker_keeps(broker: Mosquitto, read: Callable[[int], Reader], outbox: Outbox) -> None:
    """The newest report and alert, what the device is, whether it is there; and no report that is no longer news."""
    outbox.put([letter(1, age=61.0), replace(letter(2), boot="an earlier start"), letter(3), letter(4, Rank.ALERT)])
    with sending(outbox, broker.port):
        wait_for(lambda: outbox.waiting == 0)
        reader = read(broker.port)
        wait_for(lambda: len(reader.raw) == 5)
        kept = {topic: payload for topic, payload, is_retained in reader.raw if is_retained}
        assert set(kept) == {TOPICS.of(name) for name in ("status", "about", "report", "alert")} | {"ha/config"}
        assert json.loads(kept[TOPICS.of("report")])["seq"] == 3
        assert decode("status", kept[TOPICS.of("status")]) == Status(BOOT, True)
    wait_for(lambda: reader.of(TOPICS, "status")[1:])
    assert decode("status", reader.of(TOPICS, "status")[-1]) == Status(BOOT, False, "stopped")


def test_late_reports_have_a_topic_of_their_own(
    broker: Mosquitto, read: Callable[[int], Reader], outbox: Outbox
) -> None:
    reader = read(broker.port)
    outbox.put([letter(1, age=61.0), replace(letter(2), boot="an earlier start"), letter(3), letter(4, Rank.ALERT, 99)])
    with sending(outbox, broker.port):
        wait_for(lambda: len(reader.numbers) == 4)
    named = [(name, read.stamp.sequence) for name, read in reader.messages if name in ("late", "report", "alert")]  # type: ignore[union-attr]
    assert named == [("late", 1), ("late", 2), ("report", 3), ("alert", 4)]


def test_a_broker_that_stops_gets_the_rest_when_it_is_back(
    broker: Mosquitto, read: Callable[[int], Reader], outbox: Outbox
) -> None:
    reader = read(broker.port)
    with sending(outbox, broker.port) as (_, told):
        outbox.put([letter(1)])
        wait_for(lambda: reader.numbers == [1])
        broker.end()
        wait_for(lambda: told.has("is to be sent is kept"))
        for number in range(2, 40):
            outbox.put([letter(number)])
        assert outbox.waiting == 38
        broker.start()
        wait_for(lambda: len(reader.numbers) == 39)
        wait_for(lambda: outbox.waiting == 0)
        assert told.has("38 messages wait for it")
        assert len([sentence for sentence in told if "refused" in sentence]) <= 1  # of many attempts
    assert reader.numbers == list(range(1, 40))


@pytest.mark.slow
def test_nothing_is_lost_when_a_broker_is_killed_again_and_again(
    broker: Mosquitto, read: Callable[[int], Reader], line: Callable[..., Line], outbox: Outbox
) -> None:
    """On a line of 40 kB a second, 300 reports of 0.6 kB take five seconds: the kills come in between."""
    reader, slow = read(broker.port), line(broker.port, 40_000)
    outbox.put([letter(number) for number in range(300)])
    with sending(outbox, slow.port) as (_, told):
        for kill in range(3):
            wait_for(lambda there=30 + 60 * kill: len(set(reader.numbers)) > there)
            broker.end(signal.SIGKILL)
            slow.cut()
            broker.start()
        wait_for(lambda: outbox.waiting == 0, 60)
        wait_for(lambda: len(reader.numbers) == 300, 60)
    assert sorted(reader.numbers) == list(range(300))
    assert told.has("the connection is lost")


@pytest.mark.slow
def test_a_slow_line_holds_up_nobody(
    broker: Mosquitto, read: Callable[[int], Reader], line: Callable[..., Line], outbox: Outbox
) -> None:
    """At 8 kB a second, 40 reports of 0.6 kB need three seconds. Putting them in and looking at them need none."""
    reader, slow = read(broker.port), line(broker.port, 8_000)
    with sending(outbox, slow.port) as (made, _):
        wait_for(lambda: reader.of(TOPICS, "status"))
        slowest = 0.0
        for number in range(40):
            started = time.monotonic()
            outbox.put([letter(number)])
            made.show(b"\xff\xd8" * 2000)
            slowest = max(slowest, time.monotonic() - started)
        assert slowest < 1.0  # the disk alone; the line would have taken 0.1 seconds for each and 0.5 for the picture
        assert len(reader.numbers) < 40
        wait_for(lambda: len(reader.numbers) == 40, 60)
        wait_for(lambda: outbox.waiting == 0)
    assert reader.copies == 0
    assert 1 <= len(reader.of(TOPICS, "picture")) < 40  # those that found no room were dropped


def test_a_line_that_breaks_makes_copies_that_are_told(
    broker: Mosquitto, read: Callable[[int], Reader], line: Callable[..., Line], outbox: Outbox
) -> None:
    """The broker has a message, and its word that it has it does not come through."""
    reader, one_way = read(broker.port), line(broker.port)
    with sending(outbox, one_way.port):
        wait_for(lambda: reader.of(TOPICS, "status"))
        one_way.rate = 1_000  # 4 bytes of a confirmation take little time, so they wait behind nothing: cut at once
        outbox.put([letter(number) for number in range(16)])
        wait_for(lambda: len(reader.numbers) >= 4)
        one_way.cut()
        one_way.rate = 1e7
        wait_for(lambda: outbox.waiting == 0)
        wait_for(lambda: len(reader.numbers) == 16)
    assert sorted(reader.numbers) == list(range(16))


def test_the_last_will_says_that_the_device_is_no_longer_heard_of(
    broker: Mosquitto, read: Callable[[int], Reader], line: Callable[..., Line], outbox: Outbox
) -> None:
    reader, cable = read(broker.port), line(broker.port)
    with sending(outbox, cable.port):
        wait_for(lambda: reader.of(TOPICS, "status"))
        cable.cut()
        wait_for(lambda: len(reader.of(TOPICS, "status")) >= 3)
    states = [decode("status", payload) for payload in reader.of(TOPICS, "status")]
    assert states[:3] == [Status(BOOT, True), Status(BOOT, False, "connection lost"), Status(BOOT, True)]


def test_another_device_of_the_same_name_is_told_of(
    broker: Mosquitto, read: Callable[[int], Reader], outbox: Outbox, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with sending(outbox, broker.port) as (_, told):
        reader = read(broker.port)
        wait_for(lambda: reader.of(TOPICS, "status"))
        monkeypatch.setattr(module, "client_id", lambda name: f"{name} on another machine")
        other = Outbox(tmp_path / "other.sqlite", MB, print)
        with contextlib.closing(other), sending(other, broker.port, boot="another boot"):
            wait_for(lambda: told.has("another device is called barn-3 as well"))
        # It says that it is there although the other one has said goodbye.
        wait_for(lambda: decode("status", reader.of(TOPICS, "status")[-1]) != Status(BOOT, True))


def test_two_of_one_name_on_one_machine_put_each_other_out_and_are_told(
    broker: Mosquitto, outbox: Outbox, tmp_path: Path
) -> None:
    other = Outbox(tmp_path / "other.sqlite", MB, print)
    with contextlib.closing(other), sending(outbox, broker.port) as (_, told):
        outbox.put([letter(1)])
        wait_for(lambda: outbox.waiting == 0)
        with sending(other, broker.port, boot="another boot"):
            wait_for(lambda: told.has("does another device call itself barn-3?"))


@pytest.fixture
def locked(mosquitto: Callable[..., Mosquitto], tmp_path: Path) -> Mosquitto:
    """A broker with one user, who may publish under farm/ alone."""
    passwords, rights = tmp_path / "passwords", tmp_path / "rights"
    subprocess.run(["mosquitto_passwd", "-b", "-c", passwords, USER, PASSWORD], check=True, capture_output=True)
    rights.write_text(f"user {USER}\ntopic readwrite farm/#\n")
    return mosquitto(f"password_file {passwords}\nacl_file {rights}")


def test_the_password_is_given(locked: Mosquitto, outbox: Outbox) -> None:
    outbox.put([letter(1)])
    with sending(outbox, locked.port, password=PASSWORD) as (_, told):
        wait_for(lambda: outbox.waiting == 0)
        wait_for(lambda: told.has("does not take what is sent to ha/config (Not authorized)"))


def test_a_wrong_password_is_told_of_once_and_what_waits_is_kept(locked: Mosquitto, outbox: Outbox) -> None:
    outbox.put([letter(1)])
    with sending(outbox, locked.port, password="wrong") as (_, told):
        wait_for(lambda: told)
        time.sleep(0.6)  # several attempts
    assert told == [f"mqtt://127.0.0.1:{locked.port}: it refuses: Not authorized. What is to be sent is kept."]
    assert outbox.waiting == 1
    with sending(outbox, locked.port, password=PASSWORD):  # the file was mended
        wait_for(lambda: outbox.waiting == 0)


def test_a_message_that_the_broker_does_not_take_is_kept_until_it_does(
    mosquitto: Callable[..., Mosquitto], outbox: Outbox, tmp_path: Path
) -> None:
    rights = tmp_path / "rights"
    rights.write_text("topic write farm/+/status\n")
    broker = mosquitto(f"allow_anonymous true\nacl_file {rights}")
    outbox.put([letter(1)])
    with sending(outbox, broker.port) as (_, told):
        wait_for(lambda: told.has("does not take what is sent to farm/barn-3/report (Not authorized)"))
        assert outbox.waiting == 1
        rights.write_text("topic readwrite #\n")
        broker._process.send_signal(signal.SIGHUP)  # type: ignore[union-attr]  # it reads its rights anew
        wait_for(lambda: outbox.waiting == 0)


def test_an_encrypted_connection(
    mosquitto: Callable[..., Mosquitto], certificates: Certificates, outbox: Outbox
) -> None:
    broker = mosquitto(certificates.tls("localhost"))
    outbox.put([letter(1)])
    with sending(outbox, broker.port, "mqtts", ca=certificates.authority) as (_, told):
        wait_for(lambda: outbox.waiting == 0)
    assert told == []


@pytest.mark.parametrize(
    ("server", "ca", "message"),
    [
        ("localhost", "foreign.pem", "unable to get local issuer certificate"),
        ("localhost", None, "unable to get local issuer certificate"),
        ("other", "ca.pem", "IP address mismatch"),
        ("early", "ca.pem", "certificate is not yet valid; this machine's clock says 20"),
        (None, "ca.pem", "is it the port for this kind of address?"),
    ],
)
def test_a_broker_that_does_not_prove_who_it_is_gets_nothing(
    mosquitto: Callable[..., Mosquitto],
    certificates: Certificates,
    outbox: Outbox,
    server: str | None,
    ca: str | None,
    message: str,
) -> None:
    broker = mosquitto(certificates.tls(server) if server else "allow_anonymous true")
    outbox.put([letter(1)])
    file = certificates.folder / ca if ca else None
    with sending(outbox, broker.port, "mqtts", ca=file) as (_, told):
        wait_for(lambda: told)
    assert message in told[0]
    assert outbox.waiting == 1


def test_a_broker_that_is_not_there(outbox: Outbox) -> None:
    outbox.put([letter(1)])
    with sending(outbox, 1) as (_, told):
        wait_for(lambda: told)
    assert told == ["mqtt://127.0.0.1:1: Connection refused. What is to be sent is kept."]
    assert outbox.waiting == 1


def test_who_listens_and_says_nothing(outbox: Outbox) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server, sending(outbox, server.getsockname()[1]) as (_, told):
        wait_for(lambda: told)
    assert "it does not answer" in told[0]


def test_what_is_no_broker(outbox: Outbox, network_camera: str) -> None:
    """A web server gets the beginning of TLS, and answers that it does not understand."""
    with sending(outbox, int(network_camera.rpartition(":")[2]), "mqtts") as (_, told):
        wait_for(lambda: told)
    assert "TLS fails (WRONG_VERSION_NUMBER)" in told[0]
