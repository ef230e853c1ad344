"""What is shown of a device: one row of the table and of the page, one object of the JSON."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, fields
from functools import cached_property
from typing import Any

from edgedense.device.board.telemetry import iso
from edgedense.device.mqtt.messages import HASH
from edgedense.device.overview.drift import Deviation
from edgedense.device.overview.state import Device, Presence
from edgedense.measures.scores import text

NOTHING = "nothing yet"


@dataclass(frozen=True)
class Row:
    """A device as it was at one moment. Times are in seconds of Unix time, None where they are not known.

    It is `presence` since `since`, and its newest report was made at `last`. `moved` is what its own monitor says.
    `drifts` is in what it drifts against the others, None where that could not be judged. `alert` is what it said last,
    at `alerted`. The other figures are those of the newest report and of `edgedense.device.mqtt.messages.About`.
    """

    device: str
    presence: Presence
    since: float | None = None
    last: float | None = None
    model: str = ""
    sha256: str = ""
    sees: str = NOTHING
    camera_lost: bool = False
    moved: tuple[str, ...] = ()
    drifts: tuple[Deviation, ...] | None = None
    alert: str = ""
    alerted: float | None = None
    temperature: float | None = None
    fps: float | None = None
    latency: float | None = None
    waiting: int = 0
    version: str = ""
    board: str = ""
    source: str = ""

    @property
    def trouble(self) -> str:
        """What a person should look at, in a few words; empty where all is well. A device that was stopped is well."""
        found = [
            {"gone": "is gone", "silent": "is silent", "unknown": "never said that it is there"}.get(self.presence, ""),
            "camera lost" if self.camera_lost else "",
            f"drifts against the others: {', '.join(one.feature for one in self.drifts)}" if self.drifts else "",
            f"drifts, says its monitor: {', '.join(self.moved)}" if self.moved else "",
        ]
        return "; ".join(filter(None, found))

    def to_dict(self) -> dict[str, Any]:
        """For JSON. Times are in UTC."""
        moments = {
            name: None if (at := getattr(self, name)) is None else iso(at) for name in ("since", "last", "alerted")
        }
        drifts = None if self.drifts is None else [one.to_dict() for one in self.drifts]
        latency = None if self.latency is None else round(self.latency * 1e3, 3)
        own = {item.name: getattr(self, item.name) for item in fields(self) if item.name != "latency"}
        return {**own, **moments, "drifts": drifts, "latency_ms": latency, "trouble": self.trouble}

    @cached_property
    def json(self) -> str:
        """`to_dict` as text. It is made once for all who look: a thousand rows take their time."""
        return json.dumps(self.to_dict(), ensure_ascii=False, separators=(",", ":"))


@dataclass(frozen=True)
class Overview:
    """A fleet at one moment: a row for each device, by name."""

    devices: tuple[Row, ...]

    def to_dict(self) -> dict[str, Any]:
        """For JSON. Times are in UTC."""
        return {"devices": [row.to_dict() for row in self.devices]}


def row(device: Device, now: float, drifts: tuple[Deviation, ...] | None = None) -> Row:
    """The row of a device at `now`, in seconds of Unix time."""
    about, report = device.about, device.report
    return Row(
        device=device.name,
        presence=device.presence(now),
        since=device.since(now),
        last=device.moment,
        model=about.model if about else "",
        sha256=about.sha256[:HASH] if about else report.model if report else "",
        sees=said(report.result) if report else NOTHING,
        camera_lost=bool(report and report.camera_lost),
        moved=report.moved if report else (),
        drifts=drifts,
        alert=device.alert.said if device.alert else "",
        alerted=device.alerted,
        temperature=report.temperature if report else None,
        fps=report.fps if report else None,
        latency=report.latency if report else None,
        waiting=report.waiting if report else 0,
        version=about.version if about else "",
        board=about.board if about else "",
        source=about.source if about else "",
    )


def said(result: Mapping[str, Any] | None) -> str:
    """A report's result for people: "cow 98.0 %", "no finding", "weight 4.2 kg". What others may have sent under the
    same topic is told of as far as it has this form."""
    if not result:
        return NOTHING
    values, unit = result.get("values"), result.get("unit", "")
    if isinstance(values, Mapping):
        return ", ".join(f"{name} {_value(value)} {unit}".rstrip() for name, value in values.items())
    findings = result.get("findings")
    if isinstance(findings, list):
        scored = [one for one in findings if isinstance(one, Mapping)]
        return ", ".join(_scored(one) for one in scored) or "no finding"
    return _scored(result) if result.get("label") else "unsure"


def _value(value: Any) -> str:
    return text(value) if isinstance(value, (int, float)) else "not a number"


def _scored(one: Mapping[str, Any]) -> str:
    score = one.get("score")
    return f"{one.get('label')} {100 * score:.1f} %" if isinstance(score, (int, float)) else str(one.get("label"))
