"""What is reported of a run, when, and that the run never waits for it."""

from __future__ import annotations

import contextlib
import io
import json
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from edgedense.device.camera.stream import Counts, Frame
from edgedense.device.monitor import drift
from edgedense.device.mqtt import reporter as module
from edgedense.device.mqtt.messages import Alert, Report, decode
from edgedense.device.mqtt.outbox import MB, Letter, Outbox, Rank
from edgedense.device.mqtt.reporter import Device, Reporter
from edgedense.device.prediction import Rule, decide

LABELS = ("red", "green", "blue")
BEST, EACH = Rule(LABELS, (float("-inf"),) * 3), Rule(LABELS, (0.5,) * 3, "each")
VALUES = Rule(("age", "size", "weight"), (float("-inf"),) * 3, "values")
RED, GREEN = np.float32([0.9, 0.1, 0.0]), np.float32([0.2, 0.8, 0.0])
COUNTS = Counts(0, 0, 0, 0, 0.0)
CARD = np.full((60, 80, 3), (200, 30, 40), np.uint8)


class Bench:
    """A reporter, the time that it sees, and what it has put into its outbox."""

    def __init__(self, outbox: Outbox, clock: list[float], rule: Rule, **more: Any) -> None:
        self.outbox, self.rule, self._clock = outbox, rule, clock
        self.said: list[str] = []
        device = Device("boot", 3, "0123456789abcdef" * 4, "rpicam:0", 60.0)
        self.reporter = Reporter(device, rule, outbox, report=self.said.append, **more)
        self._number = 0

    def see(self, scores: Any, after: float = 0.1, picture: Any = CARD) -> None:
        """A frame with these scores, `after` so many seconds."""
        self._clock[0] += after
        self.reporter.passed(COUNTS, False, 10.0)
        frame = Frame(self._number, 0.0, 0.0, picture, picture, True, False)
        scores = np.float32(scores)
        self.reporter.classified(frame, scores, decide(scores, self.rule, 2), 0.0125)
        self._number += 1

    def wait(self, seconds: float, lost: bool = False) -> None:
        """Nothing comes for so long."""
        self._clock[0] += seconds
        self.reporter.passed(COUNTS, lost, 0.0)

    @property
    def sent(self) -> list[Report | Alert]:
        """What is in the outbox once all is written."""
        before = -1
        while self.reporter._queue.qsize() or self.outbox.waiting != before:
            before = self.outbox.waiting
            time.sleep(0.1)
        found = [decode(kept.letter.name, kept.letter.payload) for kept in self.outbox.oldest(999)]
        assert all(isinstance(one, (Report, Alert)) for one in found)
        return found  # type: ignore[return-value]

    @property
    def reports(self) -> list[Report]:
        return [one for one in self.sent if isinstance(one, Report)]


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The time in the reporter's eyes."""
    now = [1000.0]

    class Time:
        monotonic = staticmethod(lambda: now[0])
        time = staticmethod(time.time)

    monkeypatch.setattr(module, "time", Time)
    return now


@pytest.fixture
def bench(tmp_path: Path, clock: list[float]) -> Iterator[Any]:
    """Makes a bench for a rule."""
    with contextlib.ExitStack() as stack:

        def make(rule: Rule = BEST, **more: Any) -> Bench:
            outbox = stack.enter_context(contextlib.closing(Outbox(tmp_path / "outbox.sqlite", MB, print)))
            made = Bench(outbox, clock, rule, **more)
            stack.callback(made.reporter.close)
            return made

        yield make


def test_one_report_an_interval_and_not_one_a_frame(bench: Any) -> None:
    run = bench()
    for _ in range(1000):  # at ten a second these are 100 seconds
        run.see(RED)
    first, second = run.reports
    assert (first.why, first.frames) == ("change", 1)  # the first answer
    assert (second.why, second.frames, second.seen) == ("interval", 600, {"red": 600})
    assert [one.stamp.sequence for one in run.sent] == [1, 2]


def test_a_loop_that_comes_round_late_does_not_make_reports_fewer(bench: Any) -> None:
    """Every 7 seconds: in 630 seconds there are ten intervals of 60, and never a report before it is due."""
    run = bench()
    run.see(RED)
    for _ in range(90):
        run.wait(7)
    moments = [report.stamp.monotonic - 1000.1 for report in run.reports if report.why == "interval"]
    assert moments == pytest.approx([63, 126, 182, 245, 301, 364, 420, 483, 546, 602])
    run.wait(600)
    assert len(run.reports) == 1 + 11  # what was missed is not made up for
    run.wait(7)
    assert len(run.reports) == 1 + 11


def test_what_a_report_says(bench: Any) -> None:
    run = bench()
    run.see(RED)
    (report,) = run.reports
    assert (report.stamp.boot, report.stamp.start, report.stamp.monotonic) == ("boot", 3, 1000.1)
    assert abs(report.stamp.wall - time.time()) < 60
    assert report.result == decide(RED, BEST, 2).to_dict()
    assert (report.model, report.fps, report.latency) == ("0123456789abcdef", 10.0, 0.0125)
    assert (report.camera_lost, report.monitor, report.moved) == (False, "off", ())
    # Of an even red card: its luma is 0.299 * 200 + 0.587 * 30 + 0.114 * 40 = 82; red minus blue is 160.
    assert report.sample["brightness"] == pytest.approx(82, abs=0.5)
    assert (report.sample["contrast"], report.sample["colour"]) == (0, 160)
    assert report.sample["confidence"] == pytest.approx(0.9, abs=1e-3)


def test_a_change_is_reported_at_once_but_not_each_to_and_fro(bench: Any) -> None:
    run = bench()
    run.see(RED)
    for number in range(20):  # two seconds of flicker
        run.see(GREEN if number % 2 else RED, after=0.1)
    changes = run.reports
    assert {report.why for report in changes} == {"change"}
    assert len(changes) == 2  # the first answer, and one second later the next
    run.wait(61)
    last = run.reports[-1]
    assert (last.why, sum(report.frames for report in run.reports)) == ("interval", 21)
    assert sum(report.seen.get("green", 0) for report in run.reports) == 10


def test_findings_are_counted_each_for_itself(bench: Any) -> None:
    run = bench(EACH)
    for scores in ([0.9, 0.8, 0.1], [0.9, 0.1, 0.1], [0.1, 0.1, 0.1]):
        run.see(scores)
    run.wait(61)
    assert [report.seen for report in run.reports] == [{"green": 1, "red": 1}, {"red": 1}]
    assert sum(report.frames for report in run.reports) == 3


def test_values_are_no_answers_that_change(bench: Any) -> None:
    run = bench(VALUES)
    for number in range(100):
        run.see([100.0 + number, float("nan"), 3])
    run.wait(61)
    (report,) = run.reports
    assert (report.why, report.frames, report.seen) == ("interval", 100, {})
    assert report.result == {"values": {"age": 199.0, "size": None, "weight": 3.0}}
    assert set(report.sample) == {"brightness", "contrast", "sharpness", "colour"}


def test_a_lost_camera_is_told_of_at_once(bench: Any) -> None:
    run = bench()
    run.see(RED)
    run.wait(3, lost=True)
    run.wait(1, lost=True)
    run.wait(4, lost=False)
    alerts = [one for one in run.sent if isinstance(one, Alert)]
    assert [(one.kind, one.said) for one in alerts] == [
        ("camera lost", "rpicam:0 is lost"),
        ("camera back", "rpicam:0 is back after 5 seconds"),
    ]
    states = [(report.why, report.camera_lost, report.frames) for report in run.reports]
    assert states == [("change", False, 1), ("alert", True, 0), ("alert", False, 0)]
    assert run.reports[1].sample == {}
    run.wait(61, lost=True)
    assert len(run.sent) == 7
    assert [kept.letter.rank for kept in run.outbox.oldest(99)] == [1, 2, 1, 2, 1, 2, 1]


class Watched:
    """In the place of a monitor that has found something."""

    is_learning = False
    moved = ("brightness",)


def test_drift(bench: Any) -> None:
    run = bench(watch=Watched())
    shift = drift.Shift("brightness", "it got dark", 0.5, 0.2, 1.0, 100.0, 20.0)
    run.reporter.alerted(drift.Alert(5.0, 100, (shift,)))
    run.see(RED)
    alert, state, change = run.sent
    assert (alert.kind, alert.said) == ("drift", "it got dark")
    assert alert.details["shifts"][0]["feature"] == "brightness"
    assert (state.why, state.monitor, state.moved) == ("alert", "watching", ("brightness",))
    assert change.why == "change"


def test_the_last_frames_are_reported_at_the_end(bench: Any) -> None:
    run = bench()
    for _ in range(5):
        run.see(RED)
    run.reporter.close()
    assert [report.frames for report in run.reports] == [1, 4]


def test_no_picture_leaves_unless_it_is_wanted(bench: Any) -> None:
    shown: list[bytes] = []
    wide = np.full((30, 1300, 3), (200, 30, 40), np.uint8)
    run = bench(show=shown.append)
    for _ in range(700):
        run.see(RED, picture=wide)
    assert run.sent
    assert len(shown) == 2  # in 70 seconds, one a minute
    picture = Image.open(io.BytesIO(shown[0]))
    assert picture.size == (434, 10)  # every third pixel: at most 640 wide
    assert picture.getpixel((5, 5)) == pytest.approx((200, 30, 40), abs=6)  # a JPEG's error
    assert all(kept.letter.name != "picture" for kept in run.outbox.oldest(99))  # it is not kept


class Stuck(Outbox):
    """A disk that hangs until it is let go."""

    def __init__(self, *arguments: Any) -> None:
        super().__init__(*arguments)
        self.let_go = threading.Event()

    def put(self, letters: Any) -> None:
        self.let_go.wait(30)
        super().put(letters)


def test_a_disk_that_hangs_holds_up_nobody_and_alerts_stay_longest(tmp_path: Path, clock: list[float]) -> None:
    outbox = Stuck(tmp_path / "outbox.sqlite", 10 * MB, print)
    run = Bench(outbox, clock, BEST)
    started = time.perf_counter()
    for number in range(400):
        run.see(GREEN if number % 2 else RED, after=1.0)
    for _ in range(20):
        run.wait(1, lost=True)
        run.wait(1, lost=False)
    assert time.perf_counter() - started < 10  # the disk would have taken 30 seconds for the first of them
    assert run.said == ["the disk does not keep up with the outbox: reports are left out"]
    outbox.let_go.set()
    sent = run.sent
    assert len([one for one in sent if isinstance(one, Alert)]) == 40
    # The first one hangs at the disk with those that came while its thread was starting.
    assert 256 <= len(sent) - 40 < 400
    assert sent[-1].stamp.sequence > len(sent)  # the numbers that are missing tell the reader
    run.reporter.close()
    outbox.close()


def test_the_ranks(bench: Any) -> None:
    run = bench()
    run.see(RED)
    run.wait(61)
    run.reporter.alerted(drift.Alert(None, 1, ()))
    assert len(run.sent) == 3
    letters: list[Letter] = [kept.letter for kept in run.outbox.oldest(9)]
    assert [(one.rank, one.name) for one in letters] == [
        (Rank.CHANGE, "report"),
        (Rank.INTERVAL, "report"),
        (Rank.ALERT, "alert"),
    ]
    assert json.loads(letters[0].payload)["boot"] == letters[0].boot == "boot"
