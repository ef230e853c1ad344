"""What is sent is what is read; and what a reader may be sent by others."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from edgedense.device.mqtt.messages import (
    VERSION,
    About,
    Alert,
    Message,
    Name,
    Report,
    Stamp,
    Status,
    Topics,
    decode,
    encode,
    split_topic,
)
from edgedense.errors import EdgedenseError

ROOT = Path(__file__).parents[3]
STAMP = Stamp("9f3c2a1be0d4c5a7", 12, 345, 1795881600.25, True, 61.5)  # 2026-11-28, a quarter past 16:00:00
REPORT = Report(
    stamp=STAMP,
    why="interval",
    result={"label": "cow", "score": 0.98, "top": [{"label": "cow", "score": 0.98}]},
    frames=300,
    seen={"cow": 240, "pig": 60},
    sample={"brightness": 101.25, "entropy": 0.125},
    model="0123456789abcdef",
    camera_lost=False,
    monitor="watching",
    moved=("brightness",),
    temperature=48.3,
    fps=5.25,
    latency=0.0125,
    waiting=2,
    given_up=0,
)
ABOUT = About(
    boot=STAMP.boot,
    start=12,
    started=1795881539.0,
    clock_synchronized=None,
    version="0.2.0",
    model="barn.tflite",
    sha256="0123456789abcdef" * 4,
    labels=("cow", "pig"),
    decides="best",
    thresholds=(None, None),
    unit="",
    source="rpicam:0",
    board="Raspberry Pi 5",
    every=60.0,
)
ALERT = Alert(STAMP, "drift", "the pictures got darker", {"shifts": []})
ALL: list[tuple[Name, Message]] = [
    ("status", Status(STAMP.boot, True)),
    ("status", Status(STAMP.boot, False, "connection lost")),
    ("about", ABOUT),
    ("report", REPORT),
    ("late", replace(REPORT, result=None, temperature=None)),
    ("alert", ALERT),
]


@pytest.mark.parametrize(("name", "message"), ALL)
def test_what_is_sent_is_what_is_read(name: Name, message: Message) -> None:
    assert decode(name, encode(message)) == message


def test_a_report_as_it_is_sent() -> None:
    assert json.loads(encode(REPORT)) == {
        "v": 1,
        "boot": "9f3c2a1be0d4c5a7",
        "start": 12,
        "seq": 345,
        "wall": "2026-11-28T16:00:00.250Z",
        "clock_synchronized": True,
        "monotonic": 61.5,
        "why": "interval",
        "result": {"label": "cow", "score": 0.98, "top": [{"label": "cow", "score": 0.98}]},
        "frames": 300,
        "seen": {"cow": 240, "pig": 60},
        "sample": {"brightness": 101.25, "entropy": 0.125},
        "model": "0123456789abcdef",
        "camera_lost": False,
        "monitor": "watching",
        "moved": ["brightness"],
        "temperature": 48.3,
        "fps": 5.25,
        "latency_ms": 12.5,
        "waiting": 2,
        "given_up": 0,
    }


def test_the_page_shows_a_report_as_it_is() -> None:
    (shown,) = re.findall(r"^```json\n(.*?)^```$", (ROOT / "docs" / "fleet.md").read_text("utf-8"), re.M | re.S)
    report = decode("report", shown.encode())
    assert encode(report) == json.dumps(json.loads(shown), separators=(",", ":")).encode()


def test_a_number_that_json_cannot_hold_becomes_null() -> None:
    sent = encode(replace(REPORT, result={"values": {"age": float("nan"), "size": float("inf")}}))
    assert json.loads(sent)["result"] == {"values": {"age": None, "size": None}}


def test_the_number_tells_copies_and_the_order_without_a_clock() -> None:
    """The third message was made in 1970: the board has lost its clock at its second start."""
    before = [replace(STAMP, start=1, sequence=number) for number in (1, 2)]
    after = replace(STAMP, boot="another", start=2, sequence=1, wall=100.0)
    assert sorted([after, *before], key=lambda stamp: stamp.order) == [*before, after]
    assert len({stamp.key for stamp in (*before, after, before[0])}) == 3


def test_topics() -> None:
    topics = Topics("farm/barns", "barn-3")
    assert topics.of("late") == "farm/barns/barn-3/late"
    assert split_topic("farm/barns", topics.of("late")) == ("barn-3", "late")


@pytest.mark.parametrize(
    "topic", ["farm/barn-3", "farm/barn-3/other", "farm//report", "farmer/barn-3/report", "farm/barn-3/report/old"]
)
def test_a_topic_of_others(topic: str) -> None:
    assert split_topic("farm", topic) is None


def entries(**changed: Any) -> bytes:
    """The report with other entries; one that is ... is left out."""
    given = {**json.loads(encode(REPORT)), **changed}
    return json.dumps({key: value for key, value in given.items() if value is not ...}).encode()


def test_a_reader_takes_no_notice_of_what_it_does_not_know() -> None:
    assert decode("report", entries(humidity=81)) == REPORT
    assert decode("alert", encode({**ALERT.to_dict(), "alert": "fan broken"})) == replace(ALERT, kind="fan broken")


@pytest.mark.parametrize(
    ("payload", "found"),
    [
        (b"", "JSONDecodeError"),
        (b"\xff\xd8\xff\xe0", "UnicodeDecodeError"),
        (b"[1]", "no JSON object"),
        (b'"' + b"[" * 100_000, "Error"),
        (b"[" * 100_000, "RecursionError"),
        (entries(v=2), "version 2"),
        (entries(v=...), "version None"),
        (entries(seq=...), "without 'seq'"),
        (entries(seq=-1), "-1"),
        (entries(seq=2**63), "count"),
        (entries(seq=True), "True"),
        (entries(boot=7), "7"),
        (entries(wall="yesterday"), "yesterday"),
        (entries(wall="2026-13-28T16:00:00.250Z"), "month"),
        (entries(clock_synchronized="yes"), "yes"),
        (entries(fps="fast"), "fast"),
        (entries(fps=float("nan")), "nan"),
        (entries(why="boredom"), "boredom"),
        (entries(moved="brightness"), "brightness"),
        (entries(seen=[]), "items"),
        (entries(result="cow"), "items"),
    ],
)
def test_what_is_no_report(payload: bytes, found: str) -> None:
    with pytest.raises(EdgedenseError, match="a report message of version 1") as caught:
        decode("report", payload)
    assert found in caught.value.found
    assert VERSION == 1
