"""The fleet's page: who may look, and what they get."""

from __future__ import annotations

import json
import re
import urllib.error
import urllib.request
from collections.abc import Iterator

import pytest

from edgedense.device.preview.address import Address
from tests.device.overview.test_fleet import NOW, REPORT, greeted, replace, take

pytest.importorskip("starlette")
pytest.importorskip("uvicorn")
from edgedense.device.overview.fleet import Fleet
from edgedense.device.overview.server import FleetServer


@pytest.fixture
def served() -> Iterator[tuple[Fleet, FleetServer]]:
    fleet = greeted()
    server = FleetServer(fleet, Address("127.0.0.1", 0))
    server.start()
    yield fleet, server
    server.stop()


def test_the_page_needs_nobody_else(served: tuple[Fleet, FleetServer]) -> None:
    with urllib.request.urlopen(served[1].url) as answer:
        page, policy = answer.read().decode(), answer.headers["Content-Security-Policy"]
    assert "default-src 'none'" in policy
    assert not re.findall(r"https?://|@import|url\(", page)
    assert "--page:" in page  # the look of all pages
    assert "innerHTML" not in page  # names come from others


def test_all_rows_for_programs(served: tuple[Fleet, FleetServer]) -> None:
    with urllib.request.urlopen(f"{served[1].url}devices") as answer:
        rows = json.load(answer)["rows"]
    assert [(row["device"], row["presence"], row["sees"]) for row in rows] == [("barn-3", "there", "cow 98.0 %")]


def test_news_come_by_themselves(served: tuple[Fleet, FleetServer]) -> None:
    fleet, server = served
    with urllib.request.urlopen(f"{server.url}events", timeout=20) as answer:
        assert answer.headers["Content-Type"].startswith("text/event-stream")
        first = json.loads(answer.readline().removeprefix(b"data: "))
        take(fleet, "report", replace(REPORT, stamp=replace(REPORT.stamp, sequence=346), temperature=60.0))
        fleet.look(NOW)
        answer.readline()
        second = json.loads(answer.readline().removeprefix(b"data: "))
    assert [row["temperature"] for row in (*first["rows"], *second["rows"])] == [REPORT.temperature, 60.0]
    assert [event["said"] for event in first["events"]] == ["is there"]
    assert second["events"] is None


def test_there_is_nothing_else(served: tuple[Fleet, FleetServer]) -> None:
    with pytest.raises(urllib.error.HTTPError, match="404") as caught:
        urllib.request.urlopen(f"{served[1].url}other")
    caught.value.close()


def test_others_need_the_token_or_this_machines_name(served: tuple[Fleet, FleetServer]) -> None:
    request = urllib.request.Request(f"{served[1].url}devices", headers={"Host": "evil.example"})
    with pytest.raises(urllib.error.HTTPError, match="403") as caught:
        urllib.request.urlopen(request)
    caught.value.close()
    open_to_all = FleetServer(greeted(), Address("0.0.0.0", 0))
    open_to_all.start()
    try:
        port = re.findall(r":(\d+)/", open_to_all.url)[0]
        with pytest.raises(urllib.error.HTTPError, match="403") as caught:
            urllib.request.urlopen(f"http://127.0.0.1:{port}/devices")
        caught.value.close()
        assert open_to_all.token is not None
    finally:
        open_to_all.stop()
