"""The page with Chromium's camera that is fed from a file."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest

from tests.browser.chromium import Browser, chromium
from tests.device.conftest import CARDS
from tests.web.page.conftest import BEST, MIDDLE, NAMES, READY, SiteOf, phone, press, problem, shows
from tests.web.page.filming import film
from tests.web.serving import Served

pytestmark = pytest.mark.slow

RUNS = "document.getElementById('video').srcObject?.active === true"
Serve = Callable[[Path], Served]


@pytest.fixture
def filming(opened: Browser) -> Iterator[Browser]:
    """The page with its camera running, before a red card."""
    press(opened, "camera")
    opened.wait_for(f"{BEST} === 'red'")
    yield opened
    if opened.value("document.getElementById('heatmap').getAttribute('aria-pressed') === 'true'"):
        press(opened, "heatmap")
    if opened.value(RUNS):
        press(opened, "camera")


def start(browser: Browser, served: Served) -> None:
    browser.open(served.url)
    browser.wait_for(READY)
    press(browser, "camera")


def hide(browser: Browser, hidden: bool) -> None:
    """Another tab comes to the front, or goes: what a browser tells the page then."""
    browser.value(
        f"Object.defineProperty(document, 'hidden', {{value: {str(hidden).lower()}, configurable: true}});"
        "document.dispatchEvent(new Event('visibilitychange'))"
    )


def test_a_red_card_arrives_as_red_and_is_let_go(filming: Browser) -> None:
    assert filming.value(shows("red")), filming.value(MIDDLE)
    assert float(filming.value("document.querySelector('.share').textContent").split()[0]) > 99
    assert filming.wait_for("parseFloat(document.getElementById('rate').textContent)") > 0
    assert filming.value("document.getElementById('running').textContent").endswith(" ms")
    assert filming.wait_for("document.getElementById('spoken').textContent") == "red"

    press(filming, "freeze")
    filming.value(
        "window.drawn = 0; const kind = CanvasRenderingContext2D.prototype, draw = kind.drawImage;"
        "kind.drawImage = function (...given) { window.drawn++; return draw.apply(this, given) }"
    )
    filming.value("new Promise(resolve => setTimeout(resolve, 500))")
    assert filming.value("window.drawn") == 0
    assert filming.value(BEST) == "red"
    assert filming.value("document.getElementById('caption').textContent") == "Frozen."
    press(filming, "freeze")
    filming.wait_for("window.drawn > 0")

    press(filming, "camera")
    assert not filming.value(RUNS)
    assert filming.value(NAMES) == ""
    assert filming.value("document.getElementById('picture').hidden")


def test_it_is_off_while_nobody_sees_the_page(filming: Browser) -> None:
    hide(filming, True)
    assert not filming.value(RUNS)
    hide(filming, False)
    filming.wait_for(RUNS)
    filming.value("document.getElementById('running').textContent = ''")
    filming.wait_for("document.getElementById('running').textContent !== ''")  # and it is classified again

    press(filming, "freeze")
    hide(filming, True)
    hide(filming, False)
    filming.wait_for(RUNS)
    assert filming.value("document.getElementById('freeze').getAttribute('aria-pressed')") == "true"


def test_one_that_is_unplugged(filming: Browser) -> None:
    filming.value("document.getElementById('video').srcObject.getTracks()[0].dispatchEvent(new Event('ended'))")
    assert problem(filming) == {
        "title": "The camera cannot be used",
        "expected": "frames from the camera",
        "found": "its end: it was unplugged, or another program has taken it",
        "hint": "start the camera again, or choose pictures: that works without a camera",
    }
    press(filming, "camera")
    filming.wait_for(f"{BEST} === 'red'")
    assert filming.value("document.getElementById('problem').hidden")


def test_several_findings(tmp_path: Path, serve: Serve, site_of: SiteOf, findings: Path) -> None:
    """Red and blue at once, which each count as seen from one half on."""
    path = film(tmp_path / "purple.y4m", [np.full((240, 320, 3), (200, 30, 220), np.uint8)])
    with phone(tmp_path, film=path) as browser:
        start(browser, serve(site_of(findings)))
        browser.wait_for(f"{NAMES} === '\u2713 blue,\u2713 red,green'")
        assert browser.value("document.getElementById('seen').textContent") == "2 findings"
        assert browser.value("document.querySelector('.from').textContent") == "counts as seen from 50.0 %"
        assert browser.wait_for("document.getElementById('spoken').textContent") == "blue, red"


def test_a_heatmap_over_the_camera(filming: Browser) -> None:
    """The card is of one colour, so that the heatmap is highest everywhere: three quarters yellow."""
    filming.value(
        "window.said = ''; const caption = document.getElementById('caption');"
        "new MutationObserver(() => { window.said += caption.textContent }).observe(caption, {childList: true})"
    )
    press(filming, "heatmap")
    yellow = [round(0.25 * level + 0.75 * hot) for level, hot in zip(CARDS["red"], (240, 249, 33), strict=True)]
    filming.wait_for(f"({MIDDLE}).every((level, i) => Math.abs(level - {yellow}[i]) < 12)")
    assert "where red is seen" in filming.value("document.getElementById('caption').textContent")
    assert "no heatmap" not in filming.value("window.said")  # of the answer that was on its way without one
    press(filming, "freeze")
    press(filming, "heatmap")  # off, of the frame that stays
    filming.wait_for(shows("red"))
    press(filming, "heatmap")
    filming.wait_for(f"({MIDDLE}).every((level, i) => Math.abs(level - {yellow}[i]) < 12)")


def test_the_other_camera(tmp_path: Path, serve: Serve, site_of: SiteOf, colours: Path) -> None:
    device = "document.getElementById('video').srcObject?.getVideoTracks()[0].getSettings().deviceId"
    with phone(tmp_path, count=2) as browser:
        start(browser, serve(site_of(colours)))
        browser.wait_for("!document.getElementById('turn').hidden")
        first = browser.value(device)
        press(browser, "turn")
        browser.wait_for(f"{device} && {device} !== '{first}'")
        browser.wait_for("!document.getElementById('turn').hidden")
        press(browser, "turn")
        browser.wait_for(f"{device} === '{first}'")


ELSE = "or choose pictures: that works without a camera"


def test_no_camera(tmp_path: Path, serve: Serve, site_of: SiteOf, colours: Path) -> None:
    with phone(tmp_path, count=0) as browser:
        start(browser, serve(site_of(colours)))
        assert problem(browser) == {
            "title": "The camera cannot be used",
            "expected": "a camera",
            "found": "none on this device",
            "hint": f"plug one in and start the camera again, {ELSE}",
        }


def test_a_camera_that_is_denied(tmp_path: Path, serve: Serve, site_of: SiteOf, colours: Path) -> None:
    with chromium(tmp_path / "profile", "--use-fake-device-for-media-stream") as browser:
        browser.permit("camera", "denied")
        start(browser, serve(site_of(colours)))
        assert problem(browser) == {
            "title": "The camera cannot be used",
            "expected": "permission to use the camera",
            "found": "it is denied for this page, or for the browser as a whole",
            "hint": "allow the camera for this page in the browser's settings beside the address, and start the camera "
            f"again; {ELSE}",
        }
        browser.permit("camera", "granted")
        press(browser, "camera")
        browser.wait_for(BEST)
        assert browser.value("document.getElementById('problem').hidden")


def test_a_page_that_came_without_https(
    tmp_path: Path, red_film: Path, serve: Serve, site_of: SiteOf, colours: Path
) -> None:
    """Browsers give such a page no camera, no threads and no service worker, but it classifies pictures."""
    with phone(tmp_path, "--host-resolver-rules=MAP edge.example 127.0.0.1", film=red_film) as browser:
        served = serve(site_of(colours))
        browser.open(served.url.replace("127.0.0.1", "edge.example"))
        browser.wait_for(READY)
        assert "without HTTPS" in browser.wait_for("document.getElementById('flight').textContent")
        press(browser, "camera")
        assert problem(browser) == {
            "title": "The camera cannot be used",
            "expected": "a page that came by HTTPS, since browsers give only those a camera",
            "found": f"one that came by HTTP from edge.example:{served.port}",
            "hint": f"open it by https://, as `edgedense web --serve` shows it, {ELSE}",
        }
