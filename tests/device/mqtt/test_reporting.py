"""`edgedense run --mqtt`, as a user starts it, with a real broker."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest

from edgedense import cli
from edgedense.device.mqtt.messages import Alert, Report, Status, Topics, decode
from edgedense.device.mqtt.reporting import usual_outbox
from edgedense.errors import EdgedenseError
from edgedense.files import sha256
from tests.device.conftest import Rpicam
from tests.device.mqtt.conftest import Mosquitto, Reader, free_port, wait_for

TOPICS = Topics("farm", "barn-3")


@contextmanager
def running(*arguments: object, **environment: str) -> Iterator[subprocess.Popen[str]]:
    command = [sys.executable, "-m", "edgedense.cli", "run", *map(str, arguments), "--json", "--on-change"]
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env={**os.environ, **environment}
    ) as process:
        try:
            yield process
        finally:
            process.kill()


def ended(process: subprocess.Popen[str]) -> str:
    """What it says in the end, which it has ten seconds for: so long systemd waits."""
    process.send_signal(signal.SIGTERM)
    _, said = process.communicate(timeout=10)
    assert process.returncode == 0, said
    return said


def answers(reader: Reader) -> list[Any]:
    return [read.result and read.result["label"] for _, read in reader.messages if isinstance(read, Report)]


@pytest.mark.slow
def test_what_a_reader_sees_of_a_run(
    colours: Path, rpicam: Rpicam, broker: Mosquitto, read: Callable[[int], Reader], tmp_path: Path
) -> None:
    reader, metrics = read(broker.port), free_port()
    options = ("--mqtt", f"mqtt://127.0.0.1:{broker.port}/farm", "--mqtt-name", "barn-3", "--mqtt-every", 2)
    with running(
        colours, "rpicam", *options, "--metrics", f"127.0.0.1:{metrics}", STATE_DIRECTORY=str(tmp_path)
    ) as process:
        wait_for(lambda: "red" in answers(reader))
        about = decode("about", reader.of(TOPICS, "about")[0])
        assert (about.sha256, about.labels) == (sha256(colours.read_bytes()), ("red", "green", "blue"))  # type: ignore[union-attr]
        assert (about.every, about.source) == (2.0, "rpicam:0")  # type: ignore[union-attr]
        rpicam.show("blue")
        wait_for(lambda: "blue" in answers(reader))
        for pid in rpicam.pids:
            os.kill(pid, signal.SIGKILL)
        wait_for(lambda: any(isinstance(read, Alert) and read.kind == "camera lost" for _, read in reader.messages))
        wait_for(lambda: any(isinstance(read, Alert) and read.kind == "camera back" for _, read in reader.messages))
        with urllib.request.urlopen(f"http://127.0.0.1:{metrics}/metrics", timeout=20) as answer:
            figures = answer.read().decode()
        assert "edgedense_camera_losses_total 1.0" in figures
        said = ended(process)
    assert f"reports to mqtt://127.0.0.1:{broker.port} under farm/barn-3" in said
    wait_for(lambda: len(reader.of(TOPICS, "status")) == 2)
    (there, gone) = (decode("status", payload) for payload in reader.of(TOPICS, "status"))
    assert (there, gone) == (Status(about.boot, True), Status(about.boot, False, "stopped"))
    assert json.loads(next(payload for topic, payload, _ in reader.raw if topic.startswith("homeassistant/device/")))
    assert reader.numbers == list(range(1, len(reader.numbers) + 1))
    assert reader.of(TOPICS, "picture") == []
    classified = sum(read.frames for _, read in reader.messages if isinstance(read, Report))
    assert f"{classified} frames classified" in said
    assert (tmp_path / "barn-3.outbox").is_file()


@pytest.mark.slow
def test_a_run_without_its_broker_goes_on_and_the_next_one_sends_what_was_kept(
    colours: Path, rpicam: Rpicam, broker: Mosquitto, read: Callable[[int], Reader], tmp_path: Path
) -> None:
    reader = read(broker.port)
    broker.end()
    options = ("--mqtt", f"mqtt://127.0.0.1:{broker.port}/farm", "--mqtt-name", "barn-3", "--mqtt-every", 1)
    outbox = ("--mqtt-outbox", tmp_path / "outbox")
    with running(colours, "rpicam", *options, *outbox) as process:
        assert json.loads(process.stdout.readline())["label"] == "red"  # type: ignore[union-attr]
        rpicam.show("green")
        assert json.loads(process.stdout.readline())["label"] == "green"  # type: ignore[union-attr]
        said = ended(process)
    assert "Connection refused. What is to be sent is kept." in said
    broker.start()
    with running(colours, "rpicam", *options, *outbox, "--mqtt-picture") as process:
        wait_for(lambda: "late" in [name for name, _ in reader.messages])
        wait_for(lambda: reader.of(TOPICS, "picture"))
        ended(process)
    reports = [(name, read) for name, read in reader.messages if isinstance(read, Report)]
    assert {read.stamp.start for name, read in reports if name == "late"} == {1}
    assert {read.stamp.start for name, read in reports if name == "report"} == {2}
    orders = [read.stamp.order for _, read in reports]
    assert orders == sorted(orders)
    assert reader.of(TOPICS, "picture")[0].startswith(b"\xff\xd8")


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--mqtt", "broker"], "mqtt://BROKER"),
        (["--mqtt", "mqtt://me:secret@broker"], "--mqtt-password-file"),
        (["--mqtt", "mqtt://broker", "--mqtt-name", "a/b"], "device's name"),
        (["--mqtt", "mqtt://me@broker", "--mqtt-password-file", "none"], "broker's password"),
        (["--mqtt", "mqtts://broker", "--mqtt-ca", "none"], "PEM"),
        (["--mqtt", "mqtt://broker", "--mqtt-ca", "{colours}"], "not encrypted"),
        (["--mqtt", "mqtt://broker", "--mqtt-password-file", "{colours}"], "password"),
        (["--mqtt", "mqtt://broker", "--mqtt-every", "0"], "at least 1"),
        (["--mqtt-picture"], "--mqtt with --mqtt-picture"),
        (["--mqtt", "mqtt://broker", "--mqtt-outbox", "{colours}/o"], "outbox"),
    ],
)
def test_wrong_options_end_before_the_camera_is_opened(
    colours: Path, rpicam: Rpicam, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, words: list[str], message: str
) -> None:
    monkeypatch.chdir(tmp_path)
    filled = [word.format(colours=colours) for word in words]
    with pytest.raises(EdgedenseError, match=message):
        cli.app(["run", str(colours), "rpicam", *filled], standalone_mode=False)
    assert rpicam.pids == []


def test_images_are_not_reported(colours: Path, tmp_path: Path) -> None:
    with pytest.raises(EdgedenseError, match="a camera, a stream or a video for --mqtt"):
        cli.app(["run", str(colours), str(tmp_path), "--mqtt", "mqtt://broker"], standalone_mode=False)


def test_without_the_library_it_is_named(
    colours: Path, rpicam: Rpicam, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in [name for name in sys.modules if name.startswith("paho")]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "paho", None)
    monkeypatch.setenv("STATE_DIRECTORY", str(tmp_path))
    with pytest.raises(EdgedenseError, match=r"edgedense\[fleet\]") as caught:
        cli.app(["run", str(colours), "rpicam", "--mqtt", "mqtt://broker"], standalone_mode=False)
    assert caught.value.exit_code == 3


def test_where_the_outbox_is(monkeypatch: pytest.MonkeyPatch) -> None:
    assert usual_outbox("a", {"STATE_DIRECTORY": "/var/lib/door:/var/lib/door/b"}) == Path("/var/lib/door/a.outbox")
    assert usual_outbox("a", {"XDG_STATE_HOME": "/home/me/state"}) == Path("/home/me/state/edgedense/a.outbox")
    with suppress(RuntimeError):
        assert usual_outbox("a", {}) == Path.home() / ".local" / "state" / "edgedense" / "a.outbox"
