"""Against a real broker: what it has kept, and what comes while a collector runs, is away, or is cut off."""

from __future__ import annotations

import contextlib
import logging
import signal
import sqlite3
import subprocess
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

import edgedense
from edgedense.device.mqtt.messages import Status
from edgedense.device.overview import watch as watching
from edgedense.device.overview.options import Entry, Watching
from edgedense.errors import DeviceError, EdgedenseError
from tests.device.mqtt.conftest import PASSWORD, USER, Certificates, Mosquitto, wait_for
from tests.device.mqtt.test_messages import ABOUT
from tests.device.overview.conftest import Publish, report


@contextlib.contextmanager
def collector(port: int, history: Path, caplog: pytest.LogCaptureFixture) -> Iterator[None]:
    """It runs, and follows the broker."""
    stop, before = threading.Event(), len(caplog.records)
    login = watching.login(f"mqtt://127.0.0.1:{port}/farm", Entry())
    thread = threading.Thread(target=watching.watch, args=(login, Watching(history=history), stop))
    with caplog.at_level(logging.INFO, "edgedense"):
        thread.start()
        wait_for(lambda: any("following farm" in record.message for record in caplog.records[before:]))
        try:
            yield
        finally:
            stop.set()
            thread.join(20)


def numbers(history: Path) -> list[int]:
    """The sequence numbers of the reports that were kept."""
    with contextlib.closing(sqlite3.connect(history)) as file:
        return [number for (number,) in file.execute("SELECT sequence FROM reports ORDER BY sequence")]


def test_what_the_broker_has_kept_is_the_fleet(broker: Mosquitto, publish: Publish) -> None:
    for device in ("barn-3", "barn-4"):
        publish(device, "about", ABOUT)
        publish(device, "status", Status(ABOUT.boot, device == "barn-3", "" if device == "barn-3" else "stopped"))
    publish("barn-3", "report", report(1))
    publish("barn-3", "report", report(2))
    rows = edgedense.fleet(f"mqtt://127.0.0.1:{broker.port}/farm").devices
    assert [(row.device, row.sees) for row in rows] == [("barn-3", "cow 98.0 %"), ("barn-4", "nothing yet")]
    assert rows[0].presence in ("there", "silent")  # which depends on the year in which this runs
    assert rows[1].presence == "stopped"
    assert rows[0].last == report(2).stamp.wall
    assert watching.now(watching.login(f"mqtt://127.0.0.1:{broker.port}/other", Entry())) == []


def test_each_report_is_kept_once_also_what_came_while_the_collector_was_away(
    broker: Mosquitto, publish: Publish, history: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with collector(broker.port, history, caplog):
        publish("barn-3", "report", report(1))
        publish("barn-3", "report", report(1))
        publish("barn-3", "late", report(2))
        wait_for(lambda: numbers(history) == [1, 2])
    publish("barn-3", "late", report(3))
    publish("barn-3", "report", report(4))
    with collector(broker.port, history, caplog):
        wait_for(lambda: numbers(history) == [1, 2, 3, 4])
        publish("barn-3", "report", report(5))
        wait_for(lambda: numbers(history) == [1, 2, 3, 4, 5])


def test_a_broker_that_is_killed_is_found_again(
    broker: Mosquitto, history: Path, caplog: pytest.LogCaptureFixture, publish: Publish
) -> None:
    with collector(broker.port, history, caplog):
        publish("barn-3", "report", report(1))
        wait_for(lambda: numbers(history) == [1])
        broker.end(signal.SIGKILL)
        wait_for(lambda: any("is lost" in record.message for record in caplog.records))
        broker.start()
        wait_for(lambda: any("is back" in record.message for record in caplog.records))
        publish("barn-3", "report", report(2))
        wait_for(lambda: numbers(history) == [1, 2])


def test_who_is_let_in(
    mosquitto: Callable[..., Mosquitto], certificates: Certificates, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    users, password, wrong = (tmp_path / name for name in ("users", "password", "wrong"))
    subprocess.run(["mosquitto_passwd", "-b", "-c", users, USER, PASSWORD], check=True, capture_output=True)
    password.write_text(f"{PASSWORD}\n")
    wrong.write_text("wrong\n")
    tls = certificates.tls("localhost").replace("allow_anonymous true", f"password_file {users}")
    port, authority = mosquitto(tls).port, certificates.authority
    assert watching.now(watching.login(f"mqtts://{USER}@localhost:{port}/farm", Entry(password, authority))) == []
    with pytest.raises(DeviceError, match="to let this reader in; found Not authorized"):
        watching.now(watching.login(f"mqtts://{USER}@localhost:{port}/farm", Entry(wrong, authority)))
    with pytest.raises(DeviceError, match="its certificate is not accepted"):
        watching.now(watching.login(f"mqtts://{USER}@localhost:{port}/farm", Entry(password)))
    with pytest.raises(DeviceError, match="Connection refused"):
        watching.now(watching.login("mqtt://127.0.0.1:1/farm", Entry()))
    with pytest.raises(EdgedenseError, match="password in a file"):
        watching.login("mqtt://me:secret@broker", Entry())
    watching.login(f"mqtt://{USER}@broker.example/farm", Entry(password))
    assert "without encryption" in caplog.text


def test_a_disk_that_is_full_does_not_end_the_page(caplog: pytest.LogCaptureFixture, tmp_path: Path) -> None:
    from edgedense.device.overview.history import History

    with History(tmp_path / "fleet.db") as history:
        with watching._kept_going(history):
            raise EdgedenseError("a file for the history that can be written", "database or disk is full")
        assert "the history was not written" in caplog.text
    with pytest.raises(EdgedenseError), watching._kept_going(None):
        raise EdgedenseError("something", "else")
