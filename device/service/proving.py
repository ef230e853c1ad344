"""A new model is tried on this machine before it takes the current one's place: does it compute what it should, and how
long does it take?

This is done in a process of its own, which runs as the service's user: a file that ends the process, or takes what is
not its own, must not do so as root, who makes the update.
"""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
import time
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np

from edgedense.deployed import bundle, golden
from edgedense.device.classifier import Classifier, read_labels
from edgedense.device.engines.edgetpu import is_compiled
from edgedense.device.engines.interpreter import placed
from edgedense.device.engines.replay import replay
from edgedense.device.service.outcome import Check
from edgedense.device.service.units import Unit
from edgedense.device.versions.models import Model
from edgedense.errors import EdgedenseError, first_line

WARM_UP = 3  # inferences of each, which fill caches
ROUNDS = 25  # inferences of each that are measured
SECONDS = 20.0  # after which a slow machine may stop, ROUNDS or not
PATIENCE = 600.0  # seconds for all of it
_CHILD = "from edgedense.device.service.proving import main; main()"


def prove(new: Model, old: Model | None, unit: Unit, max_slower: float) -> tuple[Check, Check]:
    """(replay, latency) of the model `new`, the latter beside `old`, both with the options of the service's unit."""
    threads = unit.option("--threads")
    order = {
        "new": str(new.path),
        "old": None if old is None else str(old.path),
        "device": unit.option("--device") or "cpu",
        "threads": None if threads is None else int(threads),
        "labels": unit.option("--labels"),
        "explain": "--explain" in unit.words,
    }
    answer = _apart(unit.user, order)
    proved = Check("replay", answer["replay"]["passed"], answer["replay"]["detail"])
    if answer.get("error"):
        return proved, Check("latency", False, answer["error"])
    return proved, _judged(answer.get("times", {}), max_slower)


def _judged(times: dict[str, float], max_slower: float) -> Check:
    if not times:
        return Check("latency", False, "it was not measured")
    new = times["new"]
    if "old" not in times:
        return Check("latency", True, f"{new * 1e3:.1f} ms; the current model does not run here, to compare with")
    ratio = new / times["old"]
    detail = (
        f"{new * 1e3:.1f} ms, {ratio:.2f} times the current {times['old'] * 1e3:.1f} ms, limit {max_slower:g} times"
    )
    return Check("latency", ratio <= max_slower, detail)


def _apart(user: str, order: dict[str, Any]) -> dict[str, Any]:
    """What the child answers. A child that dies has not passed."""
    command = ["runuser", "-u", user, "--", sys.executable, "-c", _CHILD, json.dumps(order)]
    environment = {**os.environ, "PYTHONSAFEPATH": "1", "PYTHONDONTWRITEBYTECODE": "1"}
    try:
        done = subprocess.run(
            command, cwd="/", env=environment, capture_output=True, text=True, timeout=PATIENCE, check=False
        )
    except subprocess.TimeoutExpired:
        return _failed(f"no end after {PATIENCE:.0f} seconds")
    try:
        answer = json.loads(done.stdout.splitlines()[-1])
        replayed = {"passed": answer["replay"]["passed"] is True, "detail": str(answer["replay"]["detail"])}
        times = {str(name): float(value) for name, value in answer.get("times", {}).items()}
        return {"replay": replayed, "times": times, "error": str(answer.get("error", ""))}
    except (IndexError, KeyError, TypeError, ValueError, AttributeError):
        said = done.stderr.strip().splitlines()
        how = f"signal {-done.returncode}" if done.returncode < 0 else f"exit code {done.returncode}"
        return _failed(f"the process that ran it ended with {how}{': ' + said[-1] if said else ''}")


def _failed(why: str) -> dict[str, Any]:
    return {"replay": {"passed": False, "detail": why}}


def main() -> None:
    """The child: takes the order as JSON, prints the answer as JSON."""
    order = json.loads(sys.argv[1])
    answer: dict[str, Any] = {}
    try:
        passed, detail = replayed(Path(order["new"]), order["device"], order["threads"])
        answer["replay"] = {"passed": passed, "detail": detail}
        if passed:
            answer["times"] = _times(order)
    except (EdgedenseError, RuntimeError, ValueError) as error:
        why = str(error) if isinstance(error, EdgedenseError) else first_line(error)
        answer = {**answer, "error": why} if answer else _failed(why)
    print(json.dumps(answer))


def replayed(path: Path, device: str, threads: int | None) -> tuple[bool, str]:
    """Whether the golden samples in the file give what they gave where it was made, and a clause on it."""
    path, device, _ = placed(path, device, threads)
    content = bundle.read(path)
    if golden.ENTRY not in content.entries:
        if is_compiled(content.model):
            return True, "a file compiled for an Edge TPU has no golden samples; it was only run"
        return False, "the file has no golden samples, by which it could be proved: convert it with edgedense convert"
    result = replay(path, threads, device)
    found = "the same to the bit" if result.bit_equal else f"off by up to {max(result.steps, default=0)} steps"
    named = f", {len(result.flipped)} labels changed" if result.flipped else ""
    return result.passed, f"{result.probes} golden samples, {found}{named} ({result.limit})"


def _times(order: dict[str, Any]) -> dict[str, float]:
    """The median inference time of each in seconds, measured in turns: what else the machine does slows both."""
    labels = read_labels(order["labels"]) if order["labels"] else None

    def opened(path: str) -> Classifier:
        return Classifier(path, order["device"], order["threads"], labels)

    running = {"new": opened(order["new"])}
    if order["explain"]:
        running["new"].require_heatmaps()
    if order["old"]:
        with contextlib.suppress(EdgedenseError):  # then the new one is what mends the service
            running["old"] = opened(order["old"])
    random = np.random.default_rng(0)
    noise = {name: random.integers(0, 256, one.preprocessing.shape, np.uint8) for name, one in running.items()}
    found: dict[str, list[float]] = {name: [] for name in running}
    started = time.monotonic()
    for turn in range(WARM_UP + ROUNDS):
        for name, classifier in running.items():
            classifier.classify(noise[name])
            if turn >= WARM_UP:
                found[name].append(classifier.invoke_seconds)
        if turn > WARM_UP and time.monotonic() - started > SECONDS:
            break
    return {name: median(values) for name, values in found.items()}
