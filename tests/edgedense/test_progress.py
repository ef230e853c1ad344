"""Steps of the work, who is told of them, and the bars that the command line draws."""

from __future__ import annotations

import io
import re
import sys
import threading
from collections.abc import Callable

import pytest

from edgedense.cli.bars import Bars, Lines, bars
from edgedense.progress import progress, reporting, say

Calls = list[tuple[str, int, int]]


@pytest.fixture
def calls() -> Calls:
    return []


@pytest.fixture
def listener(calls: Calls) -> Callable[[str, int, int], None]:
    return lambda *call: calls.append(call)


class TestSteps:
    def test_each_piece_is_told(self, calls: Calls, listener: Callable[..., None]) -> None:
        with reporting(listener), progress("count", 3) as tick:
            tick(1)
            tick(2)
        assert calls == [("count", 0, 3), ("count", 1, 3), ("count", 3, 3)]

    def test_a_step_ends_also_with_fewer_pieces_and_never_passes_its_end(
        self, calls: Calls, listener: Callable[..., None]
    ) -> None:
        with reporting(listener):
            with progress("few", 5) as tick:
                tick(1)
            with progress("many", 1) as tick:
                tick(2)
        assert calls == [("few", 0, 5), ("few", 1, 5), ("few", 5, 5), ("many", 0, 1), ("many", 1, 1)]

    def test_a_step_that_fails_does_not_end(self, calls: Calls, listener: Callable[..., None]) -> None:
        with pytest.raises(ValueError, match="no"), reporting(listener), progress("fail", 2):
            raise ValueError("no")
        assert calls == [("fail", 0, 2)]

    def test_without_a_listener(self) -> None:
        with progress("quiet", 1) as tick:
            tick(1)

    def test_none_leaves_the_listener_and_the_last_one_wins(self, calls: Calls, listener: Callable[..., None]) -> None:
        inner: Calls = []
        with reporting(listener):
            with reporting(None), progress("a", 0):
                pass
            with reporting(lambda *call: inner.append(call)), progress("b", 0):
                pass
            with progress("c", 0):
                pass
        assert [step for step, _, _ in calls] == ["a", "c"]
        assert [step for step, _, _ in inner] == ["b"]

    def test_another_thread_has_listeners_of_its_own(self, calls: Calls, listener: Callable[..., None]) -> None:
        def work() -> None:
            with progress("elsewhere", 1):
                pass

        with reporting(listener):
            thread = threading.Thread(target=work)
            thread.start()
            thread.join()
        assert calls == []


class Terminal(io.StringIO):
    """A standard error that says it is a terminal."""

    def isatty(self) -> bool:
        return True


def terminal(monkeypatch: pytest.MonkeyPatch) -> Terminal:
    """Not a fixture: pytest puts its own standard error in place when a test begins."""
    screen = Terminal()
    monkeypatch.setattr(sys, "stderr", screen)
    monkeypatch.setenv("TERM", "xterm")
    return screen


def left(screen: Terminal) -> str:
    """What still stands there: what was written since a line was erased, without control sequences."""
    return re.sub(r"\x1b\[\??\d*[A-Za-z]|\s", "", screen.getvalue().rpartition("\x1b[2K")[2])


class TestBars:
    def test_a_long_step_has_a_bar_that_goes_away(self, monkeypatch: pytest.MonkeyPatch) -> None:
        screen, drawn = terminal(monkeypatch), Bars(patience=-1)
        drawn("measuring", 0, 4)
        assert "measuring" in screen.getvalue()
        assert "0/4" in screen.getvalue()
        drawn("measuring", 4, 4)
        assert left(screen) == ""

    def test_a_step_within_a_step(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """As the training of an attempt is, within the gate's."""
        screen, drawn = terminal(monkeypatch), Bars(patience=-1)
        drawn("outer", 0, 2)
        drawn("inner", 0, 7)
        drawn("inner", 7, 7)
        assert "outer" in left(screen)
        drawn("outer", 2, 2)
        assert screen.getvalue().count("\x1b[?25l") == 1  # one screen for both
        assert left(screen) == ""

    def test_a_short_step_has_none(self, monkeypatch: pytest.MonkeyPatch) -> None:
        screen, drawn = terminal(monkeypatch), Bars()
        for done in range(3):
            drawn("measuring", done, 2)
        drawn.close()
        assert screen.getvalue() == ""

    def test_bars_go_away_after_an_error(self, monkeypatch: pytest.MonkeyPatch) -> None:
        screen = terminal(monkeypatch)
        monkeypatch.setattr("edgedense.cli.bars.PATIENCE", -1.0)

        def work() -> None:
            with bars(), progress("failing", 2) as tick:
                tick(1)
                raise ValueError("no")

        with pytest.raises(ValueError, match="no"):
            work()
        assert "failing" in screen.getvalue()
        assert left(screen) == ""

    def test_what_is_known_stands_beside_the_bar(self, monkeypatch: pytest.MonkeyPatch) -> None:
        screen, drawn = terminal(monkeypatch), Bars(patience=-1)
        monkeypatch.setenv("COLUMNS", "120")
        drawn("validating", 0, 4)
        drawn.say("validating", "drop 0.31 (0.10 to 0.52)")
        drawn("validating", 2, 4)
        drawn.close()
        shown = re.sub(r"\x1b\[[\d;?]*[A-Za-z]", "", screen.getvalue())
        assert re.search(r"2/4 00:00:\d\d left drop 0\.31 \(0\.10 to 0\.52\)", shown)


class TestLines:
    def test_a_line_now_and_then_where_there_is_no_terminal(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """10 seconds a piece, of which an earlier run has left 1,000: 88 pieces are 880 seconds."""
        screen, clock = io.StringIO(), iter(range(0, 1000, 5))
        monkeypatch.setattr(sys, "stderr", screen)
        monkeypatch.setattr("edgedense.cli.bars.time.monotonic", lambda: next(clock))
        drawn = Lines(every=1)
        drawn("validating", 1000, 1091)
        drawn.say("validating", "drop 0.31 (0.10 to 0.52)")
        assert screen.getvalue() == ""
        monkeypatch.setattr("edgedense.cli.bars.time.monotonic", lambda: 35.0)  # 30 seconds after it began
        drawn("validating", 1003, 1091)
        drawn("validating", 1091, 1091)
        drawn.close()
        line = "edgedense: validating 1,003/1,091, 00:14:40 left, drop 0.31 (0.10 to 0.52)\n"
        assert screen.getvalue() == line

    def test_what_is_short_has_none(self, monkeypatch: pytest.MonkeyPatch) -> None:
        screen = io.StringIO()
        monkeypatch.setattr(sys, "stderr", screen)
        with bars(), progress("quick", 2) as tick:
            tick(1)
        assert screen.getvalue() == ""


def test_what_is_known_is_told_to_those_who_have_an_ear_for_it(calls: Calls, listener: Callable[..., None]) -> None:
    with reporting(listener), progress("deaf", 3, done=2) as tick:
        say("deaf", "drop 0.31")
        tick(1)
    assert calls == [("deaf", 2, 3), ("deaf", 3, 3)]
