"""What `edgedense fleet` costs: simulated devices report to a real mosquitto, and the collector is measured.

    python benchmarks/fleet.py                               # 1,000 devices, a report a minute, ten minutes
    python benchmarks/fleet.py --devices 100 --minutes 1     # a short one
    python benchmarks/fleet.py --sizes                       # what 1,000 and 100,000 devices send and what is kept

Needs the extras fleet and preview, and Debian's package mosquitto. Exits with 1 when a limit is not kept: 30 % of one
core, 200 ms for an answer of the page, every report kept once.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import random
import shutil
import socket
import sqlite3
import subprocess
import sys
import tempfile
import threading
import time
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean, quantiles
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # as a script, only its own folder is on the path

from benchmarks import processor
from edgedense.device.metrics.figures import Figures
from edgedense.device.mqtt.messages import HASH, About, Alert, Report, Stamp, Status, Topics, encode
from edgedense.device.overview.history import DAY, History
from edgedense.device.prediction import Rule

PREFIX = "bench"
LABELS = ("cow", "pig", "hen", "nothing")
SHA256 = "0123456789abcdef" * 4
PASTS = 20  # devices whose days before are simulated; the others have the same ones
SAMPLE = 2  # bytes that Prometheus takes for a figure at most, as its documentation says
CORE, ANSWER = 0.30, 0.200  # the limits: of a core, and seconds
USUAL = {"brightness": 120, "contrast": 50, "sharpness": -2, "colour": 10, "confidence": 0.9, "entropy": 0.3}
SPREAD = {"brightness": 20, "contrast": 8, "sharpness": 0.5, "colour": 10, "confidence": 0.05, "entropy": 0.1}


class Device:
    """One simulated device, whose messages are those that a real one sends. `darker` by so many levels is what it sees
    from now on."""

    def __init__(self, number: int, every: float = 60.0) -> None:
        self.random = random.Random(number)
        self.topics = Topics(PREFIX, f"barn-{number:04d}")
        self.boot, self.every, self.sequence, self.darker = f"{self.random.getrandbits(64):016x}", every, 0, 0.0
        self._level = {name: value + self.random.gauss(0, SPREAD[name]) for name, value in USUAL.items()}
        self._wander = dict.fromkeys(USUAL, 0.0)

    @property
    def name(self) -> str:
        return self.topics.device

    def status(self, *, online: bool = True) -> Status:
        return Status(self.boot, online, "" if online else "connection lost")

    def about(self, started: float) -> About:
        return About(
            boot=self.boot,
            start=1,
            started=started,
            clock_synchronized=True,
            version="0.2.0",
            model="barn.tflite",
            sha256=SHA256,
            labels=LABELS,
            decides="best",
            thresholds=(None,) * len(LABELS),
            unit="",
            source="rpicam:0",
            board="Raspberry Pi 5 Model B Rev 1.0",
            every=self.every,
        )

    def report(self, wall: float) -> Report:
        """The next report, made at `wall` seconds of Unix time."""
        self._wander = {n: 0.9 * self._wander[n] + self.random.gauss(0, 0.2 * SPREAD[n]) for n in USUAL}
        sample = {name: self._level[name] + self._wander[name] for name in USUAL}
        sample["brightness"] -= self.darker
        first = self.random.randint(150, 300)
        score = self.random.uniform(0.6, 0.99)
        top = [{"label": "cow", "score": round(score, 6)}]
        return Report(
            stamp=self._stamp(wall),
            why="interval",
            result={**top[0], "top": top},
            frames=300,
            seen={"cow": first, "pig": 300 - first},
            sample=sample,
            model=SHA256[:HASH],
            camera_lost=False,
            monitor="watching",
            moved=(),
            temperature=self.random.gauss(52, 3),
            fps=5.0,
            latency=0.0312,
            waiting=0,
            given_up=0,
        )

    def alert(self, wall: float, said: str) -> Alert:
        return Alert(self._stamp(wall), "drift", said, {"shifts": []})

    def _stamp(self, wall: float) -> Stamp:
        self.sequence += 1
        return Stamp(self.boot, 1, self.sequence, round(wall, 3), True, round(wall % 1e6, 3))


def fill(history: History, devices: list[Device], until: float, days: float = 8.0, every: float = 800.0) -> None:
    """What devices would have reported in the days before `until`. A report `every` so many seconds stands for all in
    between."""
    for device in devices:
        history.about(device.name, device.about(until - days * DAY))
        for number in range(round(days * DAY / every)):
            report = device.report(until - days * DAY + (number + 0.5) * every)
            history.report(device.name, report, report.stamp.wall)


def _copy(path: Path, devices: list[Device], until: float) -> None:
    """Give each device the past of one of the first ones."""
    with History(path) as history:
        for device in devices[PASTS:]:
            history.about(device.name, device.about(until - 8 * DAY))
    with contextlib.closing(sqlite3.connect(path)) as file, file:
        numbers = dict(file.execute("SELECT name, id FROM devices"))
        for place, device in enumerate(devices[PASTS:]):
            old, new = numbers[devices[place % PASTS].name], numbers[device.name]
            file.execute("INSERT INTO hours SELECT hour, ?, sha256, tally FROM hours WHERE device = ?", (new, old))


@contextlib.contextmanager
def mosquitto(folder: Path, lines: str = "allow_anonymous true\nmax_queued_messages 100000") -> Iterator[int]:
    """A broker on a free port of loopback, which is given. `lines` are added to its configuration."""
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        port = int(found.getsockname()[1])
    program = shutil.which("mosquitto", path=f"{os.environ.get('PATH', '')}:/usr/sbin")
    if program is None:
        raise FileNotFoundError("needs Debian's package mosquitto")
    config = folder / "mosquitto.conf"
    config.write_text(f"listener {port} 127.0.0.1\n{lines}\npersistence false\n")
    with subprocess.Popen([program, "-c", config], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
        try:
            _wait_for(port)
            yield port
        finally:
            process.terminate()


def _wait_for(port: int) -> None:
    until = time.monotonic() + 20
    while time.monotonic() < until:
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
            return
        time.sleep(0.05)
    raise TimeoutError("mosquitto does not answer")


@contextlib.contextmanager
def publisher(port: int) -> Iterator[Any]:
    """A client that publishes for all devices."""
    from paho.mqtt.client import Client
    from paho.mqtt.enums import CallbackAPIVersion, MQTTProtocolVersion

    client = Client(CallbackAPIVersion.VERSION2, "devices", protocol=MQTTProtocolVersion.MQTTv5)
    client.connect("127.0.0.1", port)
    client.loop_start()
    try:
        yield client
    finally:
        client.disconnect()
        client.loop_stop()


def greet(client: Any, devices: list[Device], started: float) -> None:
    """What devices say at their start; the broker keeps it."""
    for device in devices:
        client.publish(device.topics.of("status"), encode(device.status()), 1, retain=True)
        last = client.publish(device.topics.of("about"), encode(device.about(started)), 1, retain=True)
        last.wait_for_publish(20)


@contextlib.contextmanager
def collector(port: int, history: Path, *options: str) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """(the process, the address of its page)."""
    command = [sys.executable, "-m", "edgedense.cli", "fleet", f"mqtt://127.0.0.1:{port}/{PREFIX}"]
    further = ["--history", str(history), "--serve", "127.0.0.1:0", *options]
    with subprocess.Popen([*command, *further], stderr=subprocess.PIPE, text=True) as process:
        try:
            assert process.stderr is not None
            line = next((line for line in process.stderr if "http://" in line), "")
            if not line:
                raise RuntimeError("the collector did not start")
            threading.Thread(target=_pass_on, args=(process.stderr,), daemon=True).start()
            yield process, line.split()[-1]
        finally:
            process.terminate()
            process.wait(20)


def _pass_on(lines: Any) -> None:
    for line in lines:
        print(line, end="", file=sys.stderr)


def _used(process: int) -> float:
    """Seconds of processor time that a process has taken."""
    fields = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def _resident(process: int) -> float:
    """Its memory in MiB."""
    return int(Path(f"/proc/{process}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 2**20


def _fetch(url: str) -> tuple[float, int]:
    """(seconds, bytes) of one answer."""
    begun = time.perf_counter()
    with urllib.request.urlopen(url, timeout=20) as answer:
        size = len(answer.read())
    return time.perf_counter() - begun, size


def measure(count: int, minutes: float, every: float) -> bool:
    """Run it, print what it took, and say whether the limits were kept."""
    devices = [Device(number, every) for number in range(count)]
    with tempfile.TemporaryDirectory() as folder, mosquitto(Path(folder)) as port, publisher(port) as client:
        path, now = Path(folder) / "fleet.db", time.time()
        with History(path) as history:
            fill(history, devices[:PASTS], now)
        _copy(path, devices, now)
        before = _count(path)
        greet(client, devices, now - 8 * DAY)
        with collector(port, path) as (process, url):
            _fetch(url)
            used, begun = _used(process.pid), time.monotonic()
            pages: list[float] = []
            rows: list[float] = []
            looking = threading.Thread(target=_look, args=(url, minutes * 60, pages, rows))
            looking.start()
            sent = _send(client, devices, minutes * 60, every)
            looking.join()
            seconds = time.monotonic() - begun
            share, memory = (_used(process.pid) - used) / seconds, _resident(process.pid)
            time.sleep(2)
            size = _fetch(url + "devices")[1]
        kept = _count(path) - before
    print(f"{count} devices, a report each {every:g} s, {seconds / 60:.1f} minutes: {sent} reports sent, {kept} kept")
    print(f"processor: {100 * share:.1f} % of one core (limit {100 * CORE:.0f} %), memory {memory:.0f} MiB")
    for name, times in (("page", pages), (f"all rows, {size / 1e3:.0f} kB", rows)):
        worst = max(times)
        print(
            f"{name}: mean {1e3 * fmean(times):.1f} ms, 95 % within {1e3 * quantiles(times, n=20)[-1]:.1f} ms, "
            f"longest {1e3 * worst:.1f} ms of {len(times)} (limit {1e3 * ANSWER:.0f} ms)"
        )
    return share < CORE and max(*pages, *rows) < ANSWER and kept == sent


def _look(url: str, seconds: float, pages: list[float], rows: list[float]) -> None:
    """Ask for the page and for all rows every two seconds."""
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        pages.append(_fetch(url)[0])
        rows.append(_fetch(url + "devices")[0])
        time.sleep(2)


def _send(client: Any, devices: list[Device], seconds: float, every: float) -> int:
    """A report of each device in each interval, evenly spread. How many those were."""
    begun, sent = time.monotonic(), 0
    total = int(len(devices) * seconds / every)
    while sent < total:
        device = devices[sent % len(devices)]
        client.publish(device.topics.of("report"), encode(device.report(time.time())), 1, retain=True)
        sent += 1
        time.sleep(max(0.0, begun + sent * every / len(devices) - time.monotonic()))
    return sent


def _count(path: Path) -> int:
    with contextlib.closing(sqlite3.connect(path)) as file:
        return int(file.execute("SELECT COUNT(*) FROM reports").fetchone()[0])


@dataclass(frozen=True)
class Sizes:
    """What one device costs: bytes of its report as it is sent, bytes on the wire for it with the broker's answer,
    bytes that the history takes for a report and for the tally of an hour, and the figures that Prometheus gets."""

    payload: int
    wire: int
    kept: float
    hour: float
    figures: int

    @classmethod
    def measured(cls) -> Sizes:
        """Of a report as the simulated devices make it, and of a history of some devices over a day."""
        device = Device(0)
        payload, topic = len(encode(device.report(20_000 * DAY))), len(device.topics.of("report"))
        # PUBLISH: type and length (3), length of the topic (2), number (2), no properties (1). PUBACK: 4. At this rate
        # each goes in a segment of its own: IPv4 and TCP with timestamps 52, a record of TLS 1.3 22. TCP's ACK: 52.
        wire = (3 + 2 + topic + 2 + 1 + payload) + 4 + 2 * (52 + 22) + 52
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "fleet.db"
            devices = [Device(number) for number in range(10)]
            with History(path) as history:
                fill(history, devices, 20_000 * DAY, days=1, every=60)
            with contextlib.closing(sqlite3.connect(path)) as file:
                kept, hour = (_bytes_of_a_row(file, table) for table in ("reports", "hours"))
        rule = Rule(LABELS, (0.5,) * len(LABELS))
        registry = Figures(rule, model="barn.tflite", sha256=SHA256, source="rpicam:0").registry
        figures = sum(len(family.samples) for family in registry.collect())
        return cls(payload, wire, kept, hour, figures)


def _bytes_of_a_row(file: sqlite3.Connection, table: str) -> float:
    """In the table and its indexes: what is free once the table is dropped.

    SQLite's own table of sizes, dbstat, is not in every build of it, and not in the one that TensorFlow brings along.
    """

    def asked(words: str) -> int:
        return int(file.execute(words).fetchone()[0])

    rows, free = asked(f"SELECT COUNT(*) FROM {table}"), asked("PRAGMA freelist_count")
    file.execute(f"DROP TABLE {table}")
    return (asked("PRAGMA freelist_count") - free) * asked("PRAGMA page_size") / rows


def print_sizes() -> None:
    """The table of docs/fleet.md: what fleets send and what is kept of it, with a report a minute."""
    sizes = Sizes.measured()
    print(f"a report: {sizes.payload} bytes, {sizes.wire} on the wire with TLS and the broker's answer")
    print(f"the history: {sizes.kept:.0f} bytes for a report, {sizes.hour:.0f} for each hour of a device")
    print(f"Prometheus: {sizes.figures} figures of a device")
    print("devices  messages/s     kB/s  history, 30 days    a year  as sent, a year  Prometheus, a year")
    for devices in (100, 1_000, 10_000, 100_000):
        rate, year = devices / 60, 365 * DAY
        history = devices * (sizes.kept / 60 + sizes.hour / 3600)  # bytes a second
        sent, figures = rate * sizes.payload, rate * sizes.figures * SAMPLE
        print(
            f"{devices:>7,} {rate:>11,.0f} {rate * sizes.wire / 1e3:>8,.0f} {30 * DAY * history / 1e9:>14,.1f} GB"
            f" {year * history / 1e12:>6,.2f} TB {year * sent / 1e12:>13,.2f} TB {year * figures / 1e12:>16,.2f} TB"
        )


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--devices", type=int, default=1000)
    parser.add_argument("--minutes", type=float, default=10.0)
    parser.add_argument("--every", type=float, default=60.0, help="seconds between two reports of a device")
    parser.add_argument("--sizes", action="store_true", help="print what is sent and kept, and measure nothing")
    chosen = parser.parse_args()
    if chosen.sizes:
        print_sizes()
        return 0
    print(f"measured on {processor.here()}")
    return 0 if measure(chosen.devices, chosen.minutes, chosen.every) else 1


if __name__ == "__main__":
    sys.exit(main())
