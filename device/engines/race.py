"""LiteRT against OpenVINO: which runs a file faster on this processor, measured for about a second."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from edgedense.deployed import bundle, golden
from edgedense.device.engines.interpreter import make_interpreter
from edgedense.device.engines.replay import replay

SECONDS = 1.0
LEAST = 5  # inferences of each, on machines that do fewer in that time


@dataclass(frozen=True)
class Race:
    """The `device` that won, "cpu" (LiteRT) or "openvino", and the milliseconds of the shortest inference of each.
    Where OpenVINO was not let in, `refused` says why, in a clause, and nothing was measured."""

    device: str
    milliseconds: Mapping[str, float] = field(default_factory=dict)
    refused: str = ""


def race(path: Path, threads: int) -> Race:
    """Run the file at `path` on noise, one inference of each in turns. The shortest ones are compared: what else the
    machine does can only make one longer.

    An engine with other kernels takes part only where the golden samples in the file show that it gives the same
    answers. Raises what `make_interpreter` raises.
    """
    content = bundle.read(path)
    refused = _refused(path, threads, golden.ENTRY in content.entries)
    if refused:
        return Race("cpu", refused=refused)
    runners = {device: make_interpreter(content.model, device, threads) for device in ("cpu", "openvino")}
    for runner in runners.values():
        _prepare(runner)
    times: dict[str, list[float]] = {device: [] for device in runners}
    ends = time.perf_counter() + SECONDS
    while time.perf_counter() < ends or len(times["openvino"]) < LEAST:
        for device, runner in runners.items():
            begun = time.perf_counter()
            runner.invoke()
            times[device].append(1e3 * (time.perf_counter() - begun))
    found = {device: round(min(taken), 3) for device, taken in times.items()}
    return Race(min(found, key=found.__getitem__), found)


def _refused(path: Path, threads: int, has_samples: bool) -> str:
    """Why OpenVINO must not run the file, in a clause; empty where it may."""
    if not has_samples:
        return "the file has no golden samples, which could show that it gives the same answers"
    proved = replay(path, threads, "openvino")
    return "" if proved.passed else f"it does not give the same answers: golden samples want that {proved.limit}"


def _prepare(runner: Any) -> None:
    """Give it noise, and let it run once: the first inference packs weights."""
    given = runner.get_input_details()[0]
    shape = [int(side) for side in given["shape"]]
    runner.set_tensor(given["index"], np.random.default_rng(0).integers(0, 256, shape).astype(given["dtype"]))
    runner.invoke()
