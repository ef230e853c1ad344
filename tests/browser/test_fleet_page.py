"""The fleet's page in a real browser: 30 devices, of which one is gone and one drifts."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from edgedense.device.preview.address import Address
from tests.browser.chromium import Browser, chromium
from tests.browser.measuring import faults

pytest.importorskip("starlette")
from edgedense.device.mqtt.messages import Status, Topics, encode
from edgedense.device.overview.drift import Deviation
from edgedense.device.overview.fleet import Fleet
from edgedense.device.overview.history import History
from edgedense.device.overview.server import FleetServer
from tests.device.mqtt.test_messages import ABOUT, ALERT, REPORT
from tests.device.overview.test_fleet import Said

pytestmark = pytest.mark.slow

NOW = REPORT.stamp.wall + 1
ROWS = "Array.from(document.querySelectorAll('#devices tbody tr')).filter(row => !row.hidden)"
NAMES = f"{ROWS}.map(row => row.cells[0].firstChild.textContent).join()"
DARK = Deviation("brightness", "the pictures got darker (mean brightness 118 of 255 before, 58 now)", 0.6, 1e-9)


@pytest.fixture
def fleet(tmp_path: Path) -> Iterator[Fleet]:
    names = [f"barn-{number:02d}" for number in range(30)]
    judged = {name: (DARK,) if name == "barn-07" else () for name in names}
    with History(tmp_path / "fleet.db") as history:
        fleet = Fleet("farm", history, Said(judged))
        for name in names:
            say(fleet, name, "about", encode(ABOUT))
            say(fleet, name, "status", encode(Status(ABOUT.boot, True)))
            say(fleet, name, "report", encode({**REPORT.to_dict(), "moved": []}))
        say(fleet, "barn-11", "status", encode(Status(ABOUT.boot, False, "connection lost")))
        say(fleet, "barn-07", "alert", encode(ALERT))
        fleet.look(NOW)
        yield fleet


def say(fleet: Fleet, device: str, name: str, payload: bytes) -> None:
    fleet.take(Topics("farm", device).of(name), payload, NOW, False)  # type: ignore[arg-type]


def test_the_page_shows_the_fleet_and_follows_it(fleet: Fleet, tmp_path: Path) -> None:
    server = FleetServer(fleet, Address("127.0.0.1", 0))
    server.start()
    try:
        with chromium(tmp_path / "profile") as browser:
            browser.open(server.url)
            browser.wait_for(f"{ROWS}.length === 30")
            for width in (320, 400, 768, 1200):
                browser.resize(width, 900)
                for dark in (False, True):
                    browser.emulate(dark=dark)
                    assert faults(browser) == [], f"{width} pixels"
            assert _figures(browser) == ["30", "29", "1", "1"]
            assert browser.value(NAMES).startswith("barn-07,barn-11,barn-00,barn-01,")  # those to look at come first
            assert browser.value(f"{ROWS}[0].cells[3].textContent") == DARK.said
            assert browser.value(f"{ROWS}[1].cells[1].textContent").startswith("gone")
            assert "is no longer heard of" in browser.value("document.getElementById('events').textContent")

            browser.value("document.getElementById('trouble').click()")
            assert browser.value(NAMES) == "barn-07,barn-11"
            browser.value("document.getElementById('trouble').click()")
            _search(browser, "barn-2")
            assert browser.value(NAMES) == ",".join(f"barn-2{digit}" for digit in range(10))
            _search(browser, "")

            say(fleet, "barn-11", "status", encode(Status("next boot", True)))
            say(fleet, "barn-00", "status", b"")  # taken back: it is no device of the fleet any more
            say(fleet, "<b>barn", "report", encode(REPORT))
            fleet.look(NOW + 1)
            browser.wait_for(f"{NAMES}.includes('<b>barn')")
            assert _figures(browser) == ["30", "29", "0", "1"]
            assert browser.value(f"{NAMES}.includes('barn-00')") is False
            assert browser.value("document.querySelectorAll('#devices b').length") == 0
    finally:
        server.stop()


def _figures(browser: Browser) -> list[str]:
    shown: str = browser.value(
        "['all', 'there', 'away', 'drifting'].map(id => document.getElementById(id).textContent).join()"
    )
    return shown.split(",")


def _search(browser: Browser, text: str) -> None:
    box = "document.getElementById('search')"
    browser.value(f"{box}.value = '{text}', {box}.dispatchEvent(new Event('input'))")
