"""Every page in a real browser: on a phone, on a screen and printed nothing is cut and every letter can be read."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from edgedense.device.board import benchmark_plot
from edgedense.device.board.benchmark import Measurement, Sample
from tests import pages
from tests.browser.chromium import Browser, chromium
from tests.browser.measuring import faults

pytestmark = pytest.mark.slow

SCREENS = [320, 390, 1280]  # a small phone, a phone, a desktop
A4 = 718  # CSS pixels between the margins that Chromium leaves


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    with chromium(tmp_path_factory.mktemp("profile")) as browser:
        yield browser


def runs() -> list[Measurement]:
    """More than there are colours, each slower than the one before."""
    samples = tuple(Sample(float(i), 40.0 + i, 0) for i in range(10))
    times = tuple(float(i) for i in range(1, 11))
    return [
        Measurement("coral:usb:0, an accelerator", n, 0.4, times, (0.010 + 0.002 * n,) * 10, 1 << 27, samples)
        for n in range(1, 8)
    ]


NAME = "chest-xray-densenet121-with-a-long-name.tflite"

PAGES: dict[str, Callable[[Path], str]] = {
    "validation of 2 classes": lambda _: pages.validation(2),
    "validation of 10 classes": lambda _: pages.validation(10),
    "validation of 40 classes": lambda _: pages.validation(40),
    "validation of 100 classes": lambda _: pages.validation(100),
    "several findings": lambda _: pages.several(),
    "one finding": lambda _: pages.several(2),
    "one model": lambda _: pages.alone(),
    "values": lambda _: pages.values(),
    "search": lambda _: pages.search(),
    "training": lambda _: pages.training(),
    "training of several findings": lambda _: pages.training_of_several(),
    "noise": lambda _: pages.noise(),
    "benchmark": lambda _: benchmark_plot.page(runs(), NAME),
    "conversion": lambda folder: pages.conversion(folder, labelled=False),
    "conversion, several findings": lambda folder: pages.conversion(folder, labelled=False, activation="sigmoid"),
}


@pytest.mark.parametrize("name", PAGES)
def test_nothing_is_cut_and_letters_can_be_read(name: str, browser: Browser, tmp_path: Path) -> None:
    path = tmp_path / "page.html"
    path.write_text(PAGES[name](tmp_path), "utf-8")
    for dark in (False, True):
        browser.emulate(dark=dark)
        for width in SCREENS:
            browser.resize(width, 844)
            browser.open(path.as_uri())
            assert faults(browser) == [], (width, dark)
    browser.emulate("print")
    browser.resize(A4, 1000)
    browser.open(path.as_uri())
    assert faults(browser) == []


def test_the_benchmark_picture_can_be_read_in_a_narrow_window(browser: Browser, tmp_path: Path) -> None:
    path = tmp_path / "plot.svg"
    path.write_text(benchmark_plot.plot(runs(), NAME), "utf-8")
    browser.emulate()
    for width, shown in ((390, 390), (1280, 720)):
        browser.resize(width, 844, mobile=False)
        browser.open(path.as_uri())
        assert faults(browser) == [], width
        assert browser.value("document.documentElement.getBoundingClientRect().width") == shown


def test_a_class_table_says_on_a_phone_what_each_value_is(browser: Browser, tmp_path: Path) -> None:
    path = tmp_path / "page.html"
    path.write_text(pages.validation(3), "utf-8")
    browser.emulate()
    browser.resize(390, 844)
    browser.open(path.as_uri())
    headings = browser.value(
        "[...document.querySelector('.stack:not(.figures) tbody tr').cells].slice(1).map(cell => "
        "getComputedStyle(cell, '::before').content.slice(1, -1))"
    )
    assert headings == ["precision", "recall", "F1", "recall change", "support"]
    found = browser.accessibility()
    assert ("columnheader", "F1") in found
    assert ("heading", "Classes") in found
    browser.resize(1280, 844)
    assert browser.value("getComputedStyle(document.querySelector('.stack tbody td'), '::before').content") == "none"


def test_dark_and_light_differ(browser: Browser, tmp_path: Path) -> None:
    path = tmp_path / "page.html"
    path.write_text(pages.alone(), "utf-8")
    grounds = []
    for dark in (False, True):
        browser.emulate(dark=dark)
        browser.open(path.as_uri())
        grounds.append(browser.value("getComputedStyle(document.body).backgroundColor"))
    assert grounds == ["rgb(255, 255, 255)", "rgb(20, 23, 26)"]


@pytest.mark.parametrize(
    ("body", "fault"),
    [
        ("<p style='width: 500px'>wide</p>", "sticks out"),
        ("<p style='white-space: nowrap'>" + "far too long to fit " * 9 + "</p>", "sticks out"),
        ("<div style='overflow: hidden; white-space: nowrap'>" + "far too long " * 9 + "</div>", "cut"),
        ("<div style='overflow: hidden; height: 9px'>high</div>", "cut"),
        ("<div style='overflow-x: auto'><p style='width: 900px'>wide</p></div>", "scrolls unseen"),
        ("<p style='width: 90px; white-space: nowrap'>wider than its box</p>", "spills"),
        ("<p style='font-size: 10px'>small</p>", "letters of 10.0"),
        ("<style>p::before { content: 'small'; font-size: 9px }</style><p>large</p>", "letters of 9px in ::before"),
        (
            "<svg viewBox='0 0 600 60' width='300'><text y='20' font-size='12'>half as large</text></svg>",
            "letters of 6.0",
        ),
        ("<svg width='90' height='40'><text y='20'>one</text><text y='22'>other</text></svg>", "'one' lies on 'other'"),
    ],
)
def test_the_measuring_finds_faults(body: str, fault: str, browser: Browser, tmp_path: Path) -> None:
    path = tmp_path / "page.html"
    head = "<!doctype html><meta name='viewport' content='width=device-width'>"
    path.write_text(head + f"<body>{body}</body>", "utf-8")
    browser.emulate()
    browser.resize(390, 844)
    browser.open(path.as_uri())
    assert any(line.startswith(fault) for line in faults(browser)), faults(browser)


def test_the_measuring_leaves_a_good_page_alone(browser: Browser, tmp_path: Path) -> None:
    path = tmp_path / "page.html"
    path.write_text(
        "<!doctype html><meta name='viewport' content='width=device-width'><body><p>Text that wraps where it must, "
        "however long it may be.</p><div tabindex=0 style='overflow-x: auto; background: linear-gradient(red, blue)'>"
        "<p style='width: 900px'>wide</p></div></body>",
        "utf-8",
    )
    browser.emulate()
    browser.resize(390, 844)
    browser.open(path.as_uri())
    assert faults(browser) == []
