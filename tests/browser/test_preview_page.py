"""The preview page in a real browser, before a running `edgedense run`."""

from __future__ import annotations

import re
import signal
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest

from edgedense.explanations.colormap import overlay
from tests.browser.chromium import Browser, chromium
from tests.browser.measuring import faults
from tests.device.conftest import CARDS, Rpicam

pytestmark = pytest.mark.slow

pytest.importorskip("starlette")

# The colour in the middle of the picture that the page shows.
MIDDLE = """(() => {
  const image = document.getElementById("picture"), canvas = document.createElement("canvas");
  if (!image.naturalWidth) return null;
  canvas.width = image.naturalWidth; canvas.height = image.naturalHeight;
  const context = canvas.getContext("2d");
  context.drawImage(image, 0, 0);
  return Array.from(context.getImageData(canvas.width / 2, canvas.height / 2, 1, 1).data.slice(0, 3));
})()"""
BEST = "document.querySelector('#bars li .name')?.textContent"


@contextmanager
def edgedense(model: Path, *options: str) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """(process, the address of its page)."""
    command = [
        sys.executable,
        "-m",
        "edgedense.cli",
        "run",
        str(model),
        "rpicam",
        "--json",
        "--preview",
        "--preview-address",
        "127.0.0.1:0",
        *options,
    ]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True) as process:
        try:
            assert process.stderr is not None
            address = None
            while address is None:
                line = process.stderr.readline()
                assert line, "it ended"
                address = re.search(r"preview at (\S+)", line)
            yield process, address[1]
        finally:
            process.kill()


@pytest.fixture
def browser(tmp_path: Path) -> Iterator[Browser]:
    with chromium(tmp_path / "profile") as browser:
        yield browser


def shows(colour: str) -> str:
    """JavaScript: the picture has the card's colour."""
    return is_colour(CARDS[colour])


def is_colour(levels: Sequence[int]) -> str:
    """JavaScript: the picture has this colour, but for JPEG's rounding."""
    return f"(({MIDDLE}) || [0, 0, 0]).every((level, i) => Math.abs(level - {list(levels)}[i]) < 12)"


def test_the_page_follows_the_camera_pauses_and_lets_go(
    colours: Path, rpicam: Rpicam, browser: Browser, tmp_path: Path
) -> None:
    with edgedense(colours) as (process, address):
        browser.open(address)
        browser.wait_for(shows("red"))
        browser.wait_for(f"{BEST} === 'red'")

        rpicam.show("blue")
        browser.wait_for(shows("blue"))
        browser.wait_for(f"{BEST} === 'blue'")
        assert browser.wait_for("parseFloat(document.querySelector('.share').textContent)") > 99
        browser.wait_for(
            "document.querySelector('.fill').getBoundingClientRect().width > "
            "0.98 * document.querySelector('.track').getBoundingClientRect().width"
        )
        assert browser.value("document.querySelectorAll('#bars li').length") == 3
        assert browser.wait_for("parseFloat(document.getElementById('fps').textContent)") > 0
        assert " ms" in browser.value("document.getElementById('latency').textContent")
        assert browser.value("document.getElementById('dropped').textContent").isdigit()

        browser.value("document.getElementById('pause').click()")
        browser.wait_for("document.getElementById('pause').getAttribute('aria-pressed') === 'true'")
        rpicam.show("green")
        browser.value("new Promise(resolve => setTimeout(resolve, 1000))")
        assert browser.value(BEST) == "blue"
        assert browser.value(shows("blue"))
        browser.value("document.getElementById('pause').click()")
        browser.wait_for(f"{BEST} === 'green'")
        browser.wait_for(shows("green"))

        process.send_signal(signal.SIGTERM)  # the page stays open
        assert process.wait(5) == 0
        assert "frames classified" in process.stderr.read()  # type: ignore[union-attr]
        browser.wait_for("document.getElementById('notice').textContent.includes('lost')")


def test_findings_are_ticked_and_their_absence_is_said(findings: Path, rpicam: Rpicam, browser: Browser) -> None:
    heading = "document.getElementById('seen').textContent"
    names = "Array.from(document.querySelectorAll('#bars .name')).map(name => name.textContent).join()"
    large = "document.querySelectorAll('#bars li.seen').length"
    with edgedense(findings) as (_, address):
        browser.open(address)
        browser.wait_for(f"{names}.startsWith('\u2713 red,')")
        assert browser.value(heading) == "1 finding"
        assert browser.value("document.querySelectorAll('#bars li').length") == 3
        (rpicam.folder / "card").write_text("#c81edc")  # red and blue
        browser.wait_for(f"{names} === '\u2713 blue,\u2713 red,green'")
        assert browser.value(heading) == "2 findings"
        assert browser.value(large) == 2
        browser.wait_for("document.getElementById('spoken').textContent === 'blue, red'")
        (rpicam.folder / "card").write_text("#102030")
        browser.wait_for(f"{names} === 'blue,green,red'")
        assert browser.value(heading) == "No finding; the nearest classes are"
        assert browser.value(large) == 0
        browser.wait_for("document.getElementById('spoken').textContent === 'no finding'")


HEATMAP = "document.getElementById('heatmap')"


def test_a_heatmap_is_switched_on_and_off(explained_colours: Path, rpicam: Rpicam, browser: Browser) -> None:
    """The card is of one colour, so the heatmap is highest everywhere."""
    picture = np.full((64, 64, 3), CARDS["red"], np.uint8)
    red, hot = CARDS["red"], overlay(picture, np.ones((2, 2)))[0, 0].tolist()
    with edgedense(explained_colours) as (process, address):
        browser.open(address)
        browser.wait_for(is_colour(red))
        assert browser.value(f"{HEATMAP}.hidden") is False
        assert browser.value("document.getElementById('heatmap-cost').hidden") is True
        browser.value(f"{HEATMAP}.click()")
        browser.wait_for(f"{HEATMAP}.getAttribute('aria-pressed') === 'true'")
        browser.wait_for(is_colour(hot))
        browser.wait_for("document.getElementById('heatmap-latency').textContent.includes(' ms')")
        browser.value(f"{HEATMAP}.click()")
        browser.wait_for(is_colour(red))
        process.send_signal(signal.SIGTERM)
        assert process.wait(5) == 0
        assert re.search(r"heatmap [\d.]+ ms in the median, [\d.]+% of the inference", process.stderr.read())  # type: ignore[union-attr]


def test_a_heatmap_from_the_start(explained_colours: Path, rpicam: Rpicam, browser: Browser) -> None:
    hot = overlay(np.full((64, 64, 3), CARDS["red"], np.uint8), np.ones((2, 2)))[0, 0].tolist()
    with edgedense(explained_colours, "--explain") as (_, address):
        browser.open(address)
        browser.wait_for(is_colour(hot))


def test_no_button_where_there_is_no_heatmap(colours: Path, rpicam: Rpicam, browser: Browser) -> None:
    with edgedense(colours) as (_, address):
        browser.open(address)
        browser.wait_for(f"{BEST} === 'red'")
        assert browser.value(f"{HEATMAP}.hidden") is True


def test_a_wrong_token_is_refused_and_the_right_one_opens(
    colours: Path, rpicam: Rpicam, browser: Browser, tmp_path: Path
) -> None:
    (tmp_path / "token").write_text("correct-horse-battery")
    with edgedense(colours, "--preview-token-file", str(tmp_path / "token")) as (_, address):
        assert "token" not in address
        browser.open(f"{address}?token=wrong")
        assert "The token is wrong" in browser.value("document.body.textContent")
        assert browser.value("fetch('/picture').then(answer => answer.status)") == 403
        browser.open(address)
        assert "needs its token" in browser.value("document.body.textContent")
        browser.open(f"{address}?token=correct-horse-battery")
        browser.wait_for(f"{BEST} === 'red'")
        browser.wait_for(shows("red"))
        assert browser.value("location.href") == address
        assert "correct-horse" not in browser.value("document.cookie")


def test_nothing_is_cut_and_letters_can_be_read(explained_colours: Path, rpicam: Rpicam, browser: Browser) -> None:
    with edgedense(explained_colours, "--explain") as (_, address):
        for dark in (False, True):
            browser.emulate(dark=dark)
            for width in (320, 390, 1280):
                browser.resize(width, 844)
                browser.open(address)
                browser.wait_for(f"{BEST} === 'red'")
                browser.wait_for("document.getElementById('heatmap-latency').textContent.includes(' ms')")
                assert faults(browser) == [], (width, dark)


def test_the_page_that_asks_for_the_token_can_be_read(
    colours: Path, rpicam: Rpicam, browser: Browser, tmp_path: Path
) -> None:
    (tmp_path / "token").write_text("correct-horse-battery")
    with edgedense(colours, "--preview-token-file", str(tmp_path / "token")) as (_, address):
        for width in (320, 390, 1280):
            browser.resize(width, 844)
            browser.open(address)
            assert "needs its token" in browser.value("document.body.textContent")
            assert faults(browser) == [], width
        browser.value("document.querySelector('input').value = 'correct-horse-battery'")
        browser.value("document.querySelector('button').click()")
        browser.wait_for(f"{BEST} === 'red'")


def test_a_screen_reader_and_a_phone_can_use_it(colours: Path, rpicam: Rpicam, browser: Browser) -> None:
    with edgedense(colours) as (_, address):
        browser.resize(360, 740)
        browser.open(address)
        browser.wait_for(f"{BEST} === 'red'")
        browser.wait_for(shows("red"))
        # Nothing sticks out to the side, the button is as large as a fingertip, the bars come below the picture.
        assert browser.value("document.documentElement.scrollWidth") <= 360
        assert browser.value("document.getElementById('pause').getBoundingClientRect().height") >= 44
        assert browser.value(
            "document.getElementById('bars').getBoundingClientRect().top > "
            "document.getElementById('picture').getBoundingClientRect().bottom"
        )
        assert browser.value("document.documentElement.lang") == "en"
        assert browser.wait_for("document.getElementById('spoken').textContent") == "red"
        found = browser.accessibility()
        roles = dict(found)
        assert ("button", "Pause") in found
        assert ("meter", "red") in found
        assert "picture" in roles["image"].lower()
        assert roles["heading"]
        assert {"list", "listitem", "status"} <= set(roles)
