"""What is wrong with how a page is laid out: what is cut off, and letters that are too small."""

from __future__ import annotations

from pathlib import Path

from tests.browser.chromium import Browser

SMALLEST = 11  # CSS pixels of a letter
_SCRIPT = (Path(__file__).parent / "faults.js").read_text("utf-8").replace("SMALLEST", str(SMALLEST))


def faults(browser: Browser) -> list[str]:
    """A line for each fault of the page that is open; a good page has none."""
    found: list[str] = browser.value(_SCRIPT)
    return found
