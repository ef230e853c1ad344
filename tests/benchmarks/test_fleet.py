"""The sizes in docs/fleet.md are those of the messages as they are."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

pytest.importorskip("prometheus_client")
from benchmarks.fleet import DAY, Sizes

pytestmark = pytest.mark.slow

TEXT = (Path(__file__).parents[2] / "docs" / "fleet.md").read_text("utf-8")


def test_the_plan_is_computed_from_the_messages() -> None:
    sizes = Sizes.measured()
    assert f"A report has {sizes.payload} bytes, and\n{sizes.wire} on the wire" in TEXT
    assert f"Prometheus gets {sizes.figures} figures" in TEXT
    kept, hour = map(int, re.findall(r"takes (\d+) bytes for a report, and (\d+) for each hour", TEXT)[0])
    assert sizes.kept == pytest.approx(kept, rel=0.1)  # SQLite and zlib may fill their pages otherwise
    assert sizes.hour == pytest.approx(hour, rel=0.1)
    (row,) = re.findall(r"\| 100,000 \| (.*) \|", TEXT)
    assert row.split(" | ") == [
        f"{1e5 / 60:,.0f}",
        f"{1e5 / 60 * sizes.wire / 1e6:.1f} MB/s",
        f"{1e5 * 30 * 24 * (60 * kept + hour) / 1e9:.0f} GB",
        f"{1e5 * 365 * 24 * (60 * kept + hour) / 1e12:.1f} TB",
        f"{1e5 / 60 * 365 * DAY * sizes.payload / 1e12:.0f} TB",
        f"{1e5 / 60 * 365 * DAY * sizes.figures * 2 / 1e12:.1f} TB",
    ]
