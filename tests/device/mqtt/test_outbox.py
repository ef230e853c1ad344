"""What the outbox keeps, for how long, and what it gives up."""

from __future__ import annotations

import sqlite3
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from edgedense.device.mqtt import outbox as module
from edgedense.device.mqtt.outbox import MB, Letter, Outbox, Rank
from edgedense.errors import EdgedenseError

said: list[str] = []


@pytest.fixture(autouse=True)
def nothing_said() -> None:
    said.clear()


def letter(number: int, rank: Rank = Rank.INTERVAL, size: int = 400) -> Letter:
    return Letter(rank, "report", "boot", float(number), f"{number:0{size}}".encode())


def numbers(outbox: Outbox) -> list[int]:
    return [int(kept.letter.payload) for kept in outbox.oldest(10**6)]


def opened(path: Path, cap: float = 10 * MB) -> Outbox:
    return Outbox(path, cap, said.append)


def test_letters_leave_only_when_they_are_struck_off(tmp_path: Path) -> None:
    outbox = opened(tmp_path / "outbox.sqlite")
    outbox.put([letter(1), letter(2)])
    outbox.put([letter(3)])
    first, second = outbox.oldest(2)
    assert first.letter == letter(1)
    assert [kept.letter for kept in outbox.oldest(2, {first.number})] == [letter(2), letter(3)]
    assert numbers(outbox) == [1, 2, 3]
    outbox.remove([second.number])
    outbox.remove([second.number, 99])  # a copy of the broker's word changes nothing
    assert (numbers(outbox), outbox.waiting, outbox.given_up) == ([1, 3], 2, 0)
    outbox.close()
    assert said == []


def test_who_asks_in_between_is_told_what_was_before(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A report says how many wait, from the thread that classifies, while another one strikes letters off."""
    outbox, told = opened(tmp_path / "outbox.sqlite"), []

    def then_ask(work: Callable[..., bool]) -> Callable[..., bool]:
        def asked(*arguments: object) -> bool:
            done = work(*arguments)
            told.append(outbox.waiting)
            return done

        return asked

    for name in ("put", "remove"):
        monkeypatch.setattr(module._Table, name, then_ask(getattr(module._Table, name)))
    outbox.put([letter(1), letter(2)])
    outbox.remove([kept.number for kept in outbox.oldest(2)])
    assert told == [0, 2, 2]  # put; nothing is struck off in memory; on the disk
    assert outbox.waiting == 0
    outbox.close()


def test_they_wait_for_the_next_start_and_starts_are_counted(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "folder" / "outbox.sqlite"
    for start in (1, 2, 3):
        outbox = opened(path)
        assert outbox.start == start
        outbox.put([letter(start)])
        outbox.close()
    again = opened(path)
    assert numbers(again) == [1, 2, 3]
    again.close()
    assert sorted(file.name for file in path.parent.iterdir()) == ["outbox.sqlite"]


KILLED = """
import os, pathlib, sys
from edgedense.device.mqtt.outbox import Letter, Outbox, Rank
outbox = Outbox(pathlib.Path(sys.argv[1]), 1e6, print)
outbox.put([Letter(Rank.ALERT, "alert", "boot", 0.0, b"1")])
os.kill(os.getpid(), 9)
"""


def test_what_was_put_in_outlasts_a_kill(tmp_path: Path) -> None:
    command = [sys.executable, "-c", KILLED, str(tmp_path / "outbox.sqlite")]
    assert subprocess.run(command, check=False).returncode == -9
    outbox = opened(tmp_path / "outbox.sqlite")
    assert (numbers(outbox), outbox.start) == ([1], 2)
    outbox.close()


FULL = """
import pathlib, resource, sys
from edgedense.device.mqtt.outbox import Letter, Outbox, Rank
resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))  # to write to a file fails, as on a full disk
outbox = Outbox(pathlib.Path(sys.argv[1]), 1e6, print)
outbox.put([Letter(Rank.ALERT, "alert", "boot", 0.0, b"2")])
print(outbox.start, [kept.letter.payload for kept in outbox.oldest(9)])
"""


@pytest.mark.parametrize("there", [False, True])
def test_a_disk_that_is_full_from_the_start_does_not_stop_a_run(tmp_path: Path, there: bool) -> None:
    if there:
        outbox = opened(tmp_path / "outbox.sqlite")
        outbox.put([letter(1, size=1)])
        outbox.close()
    command = [sys.executable, "-c", FULL, str(tmp_path / "outbox.sqlite")]
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    assert result.stdout.splitlines()[1:] == ["2 [b'1', b'2']" if there else "1 [b'2']"], result.stderr
    assert "in memory" in result.stdout


def test_the_oldest_measurements_are_thinned_and_alerts_stay(tmp_path: Path) -> None:
    """20 reports of 400 bytes, and 60 each for the row, are 9,200 bytes; of the cap one half may be letters."""
    outbox = opened(tmp_path / "outbox.sqlite", 2 * 9_200)
    outbox.put([letter(100, Rank.ALERT), letter(101, Rank.CHANGE)])
    for number in range(18):
        outbox.put([letter(number)])
    assert outbox.given_up == 0
    outbox.put([letter(18)])  # one too many: of the oldest 9 of 19 go the first, third, fifth, seventh and ninth
    assert numbers(outbox) == [100, 101, 1, 3, 5, 7, *range(9, 19)]
    assert (outbox.given_up, outbox.waiting) == (5, 16)
    for number in range(19, 60):
        outbox.put([letter(number)])
    kept = numbers(outbox)
    assert kept[:2] == [100, 101]
    assert kept[-5:] == [55, 56, 57, 58, 59]
    assert outbox.given_up == 62 - len(kept)
    outbox.close()


def test_changes_go_before_alerts_and_the_newest_alerts_are_last(tmp_path: Path) -> None:
    outbox = opened(tmp_path / "outbox.sqlite", 2 * 9_200)
    outbox.put([letter(number, Rank.CHANGE) for number in range(10)])
    outbox.put([letter(number, Rank.ALERT) for number in range(10, 28)])
    left = [kept.letter for kept in outbox.oldest(99)]
    assert [int(one.payload) for one in left if one.rank is Rank.ALERT] == list(range(10, 28))
    # 20 fit. Of 0 to 9 go 0, 2, 4; of the oldest three left 1 and 5; then one by one 3, 6 and 7.
    assert [int(one.payload) for one in left if one.rank is Rank.CHANGE] == [8, 9]
    outbox.put([letter(number, Rank.ALERT) for number in range(28, 60)])
    left = [kept.letter for kept in outbox.oldest(99)]
    assert [int(one.payload) for one in left if one.rank is Rank.CHANGE] == [9]
    assert int(left[-1].payload) == 59
    outbox.close()


def test_the_file_stays_below_its_cap(tmp_path: Path) -> None:
    """2.8 MB of letters in reports of 700 bytes, as a run sends them, under a cap of 300 kB."""
    outbox = opened(tmp_path / "outbox.sqlite", 300_000)
    largest = 0
    for number in range(0, 4000, 20):
        outbox.put([letter(number + i, size=700) for i in range(20)])
        largest = max(largest, sum(file.stat().st_size for file in tmp_path.iterdir()))
    assert largest < 300_000 + 64 * 4096 * 2  # and the write-ahead log, which is emptied every 64 pages
    outbox.close()
    assert (tmp_path / "outbox.sqlite").stat().st_size < 300_000


def test_a_letter_that_is_thinned_out_on_its_way_may_be_struck_off(tmp_path: Path) -> None:
    outbox = opened(tmp_path / "outbox.sqlite", 2 * 9_200)
    outbox.put([letter(0)])
    (on_its_way,) = outbox.oldest(1)
    outbox.put([letter(number) for number in range(1, 21)])
    assert 0 not in numbers(outbox)
    there = outbox.waiting
    outbox.remove([on_its_way.number])
    assert outbox.waiting == there == len(numbers(outbox))
    outbox.close()


def test_a_second_run_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "outbox.sqlite"
    outbox = opened(path)
    with pytest.raises(EdgedenseError, match="no other run uses") as caught:
        opened(path)
    assert "--mqtt-name" in caught.value.hint
    outbox.close()


@pytest.mark.parametrize("place", ["file/outbox.sqlite", "folder"])
def test_a_place_that_cannot_be_written(tmp_path: Path, place: str) -> None:
    (tmp_path / "file").touch()
    (tmp_path / "folder").mkdir()
    with pytest.raises(EdgedenseError, match="outbox"):
        opened(tmp_path / place)


def test_a_damaged_file_is_put_aside(tmp_path: Path) -> None:
    path = tmp_path / "outbox.sqlite"
    path.write_bytes(b"what a power cut may leave" * 1000)
    outbox = opened(path)
    outbox.put([letter(1)])
    assert numbers(outbox) == [1]
    assert "is now outbox.sqlite.damaged" in said[0]
    assert (tmp_path / "outbox.sqlite.damaged").read_bytes().startswith(b"what a power cut")
    outbox.close()


def test_a_file_of_another_layout_is_put_aside(tmp_path: Path) -> None:
    path = tmp_path / "outbox.sqlite"
    with sqlite3.connect(path) as database:
        database.execute("PRAGMA user_version = 7")
    database.close()
    opened(path).close()
    assert "layout is 7" in said[0]


def test_a_full_disk_keeps_letters_in_memory_and_each_is_there_once(tmp_path: Path) -> None:
    """SQLite's own limit of pages stands in for a disk that has no more room."""
    outbox = opened(tmp_path / "outbox.sqlite")
    outbox.put([letter(1), letter(2)])
    disk = outbox._disk._database
    pages = disk.execute("PRAGMA page_count").fetchone()[0]
    disk.execute(f"PRAGMA max_page_count = {pages}")
    for number in range(3, 30):
        outbox.put([letter(number)])
    assert numbers(outbox) == list(range(1, 30))
    assert said == [said[0]]
    assert "full" in said[0]
    early, late = outbox.oldest(1), outbox.oldest(29)[-3:]
    outbox.remove(kept.number for kept in (*early, *late))
    assert numbers(outbox) == list(range(2, 27))
    assert outbox.waiting == 25
    disk.execute("PRAGMA max_page_count = 100000")
    outbox.put([letter(30)])
    assert said[1:] == ["the outbox works again"]
    outbox.close()
    again = opened(tmp_path / "outbox.sqlite")
    assert sorted(numbers(again)) == [*range(2, 27), 30]  # at the end the disk got what was in memory
    again.close()


def test_what_a_broken_disk_does_not_strike_off_is_not_sent_again(tmp_path: Path) -> None:
    outbox = opened(tmp_path / "outbox.sqlite")
    outbox.put([letter(1), letter(2)])
    outbox._disk._database.execute("PRAGMA query_only = 1")  # SQLite reads on, and refuses to write
    outbox.remove([outbox.oldest(1)[0].number])
    assert (numbers(outbox), outbox.waiting) == ([2], 1)
    assert len(said) == 1
    outbox._disk._database.execute("PRAGMA query_only = 0")
    outbox.remove([outbox.oldest(1)[0].number])
    assert (numbers(outbox), outbox.waiting) == ([], 0)
    outbox.close()


def test_memory_has_its_limit_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_IN_MEMORY", 4600)  # ten letters
    outbox = opened(tmp_path / "outbox.sqlite")
    outbox._disk._database.execute("PRAGMA query_only = 1")
    for number in range(40):
        outbox.put([letter(number)])
    assert outbox.waiting <= 10
    assert numbers(outbox)[-1] == 39
    assert outbox.waiting + outbox.given_up == 40
    outbox.close()
