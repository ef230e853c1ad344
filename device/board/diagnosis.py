"""What a user sends when something is wrong on a device: one zip that can become a test."""

from __future__ import annotations

import io
import json
import zipfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from edgedense.device.board.benchmark import benchmark
from edgedense.device.board.doctor import Finding
from edgedense.device.engines.replay import replay
from edgedense.device.machine import Machine
from edgedense.errors import EdgedenseError

SECONDS = 60.0  # of the benchmark: long enough for a board without a heat sink to get hot


def proofs(model: Path, threads: int, seconds: float = SECONDS) -> dict[str, Any]:
    """Golden replay and benchmark of `model`. What fails is told, not raised: it is what the report is for."""
    return {
        "replay.json": _told(lambda: replay(model).to_dict()),
        "benchmark.json": _told(lambda: [m.to_dict() for m in benchmark(model, "cpu", [threads], seconds)]),
    }


def pack(machine: Machine, findings: Sequence[Finding], proved: Mapping[str, Any]) -> bytes:
    """The zip: doctor.json, the proofs, and under machine/ the recording that `findings` come from."""
    contents: dict[str, bytes] = {"doctor.json": _json([finding.to_dict() for finding in findings])}
    contents |= {name: _json(proof) for name, proof in proved.items()}
    contents |= {f"machine/{path}": data for path, data in machine.recording().items()}
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in sorted(contents.items()):
            archive.writestr(name, data)
    return file.getvalue()


def _told(prove: Any) -> Any:
    try:
        return prove()
    except EdgedenseError as error:
        return {"error": str(error)}


def _json(value: Any) -> bytes:
    return (json.dumps(value, indent=1, ensure_ascii=False) + "\n").encode()
