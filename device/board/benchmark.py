"""`edgedense benchmark`: how long an inference takes on this machine, and whether it stays so when it gets hot."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from edgedense.device.board.doctor import HOT
from edgedense.device.board.hardware import Throttling, read_temperature, read_throttling, resident_bytes
from edgedense.device.engines.edgetpu import is_compiled
from edgedense.device.engines.interpreter import engine_of
from edgedense.device.machine import Machine
from edgedense.errors import DeviceError, EdgedenseError
from edgedense.progress import progress

WARM_UP = 5  # inferences; the first ones pack weights and fill caches
SLOWER = 1.10  # the last tenth's median over the first's from which a run counts as slowed down
SAMPLE_INTERVAL = 1.0  # seconds between looks at temperature and throttling: each costs a process or some files
_CHILD = "from edgedense.device.board.benchmark import main; main()"


@dataclass(frozen=True)
class Sample:
    """The state of the processor at `second` of the run; None where the machine does not say."""

    second: float
    temperature: float | None
    throttled: int | None


@dataclass(frozen=True)
class Measurement:
    """One run. `ends` are the times at which inferences ended, in seconds from its start, `latencies` how long they
    took in seconds; `load` is the time from nothing to the first result, with all imports; `memory` in bytes."""

    device: str
    threads: int
    load: float
    ends: tuple[float, ...]
    latencies: tuple[float, ...]
    memory: int | None
    samples: tuple[Sample, ...]

    def percentile(self, share: float) -> float:
        """The latency in seconds that `share` of 100 inferences do not exceed."""
        return float(np.percentile(self.latencies, share))

    @property
    def frames_per_second(self) -> float:
        """Inferences a second, one after the other, with nothing else to do."""
        return len(self.latencies) / sum(self.latencies)

    @property
    def slowdown(self) -> float:
        """The median of the last tenth over that of the first: 1.2 is a fifth slower at the end."""
        tenth = max(len(self.latencies) // 10, 1)
        return float(np.median(self.latencies[-tenth:]) / np.median(self.latencies[:tenth]))

    @property
    def hottest(self) -> float | None:
        """The highest temperature that was seen, in degrees Celsius."""
        return max((s.temperature for s in self.samples if s.temperature is not None), default=None)

    @property
    def was_throttled(self) -> bool:
        """Whether the firmware slowed the processor at any look."""
        return any(Throttling(s.throttled).is_slowed for s in self.samples if s.throttled is not None)

    @property
    def verdict(self) -> str:
        """What to make of it, in a sentence; empty when nothing is wrong."""
        slower = self.slowdown
        hot = self.was_throttled or (self.hottest is not None and self.hottest >= HOT)
        if slower < SLOWER:
            return f"it got hot ({self.hottest:.0f} °C), but kept its pace" if hot and self.hottest is not None else ""
        if hot:
            degrees = f" ({self.hottest:.0f} °C)" if self.hottest is not None else ""
            return (
                f"it got hot{degrees} and slowed down by {slower - 1:.0%}: "
                "fit a heat sink or a fan, or ask for fewer frames a second"
            )
        return f"it slowed down by {slower - 1:.0%} without getting hot: something else used the processor"

    def to_dict(self) -> dict[str, Any]:
        """Figures for JSON, in milliseconds and MiB, and the samples; not every single latency."""
        return {
            "device": self.device,
            "threads": self.threads,
            "inferences": len(self.latencies),
            "first_result_ms": _ms(self.load),
            "median_ms": _ms(self.percentile(50)),
            "p5_ms": _ms(self.percentile(5)),
            "p95_ms": _ms(self.percentile(95)),
            "p99_ms": _ms(self.percentile(99)),
            "frames_per_second": round(self.frames_per_second, 2),
            "memory_mib": None if self.memory is None else round(self.memory / 2**20, 1),
            "slowdown": round(self.slowdown, 3),
            "verdict": self.verdict,
            "samples": [asdict(sample) for sample in self.samples],
        }


def benchmark(model: Path, device: str, threads: Sequence[int], seconds: float) -> list[Measurement]:
    """Measure `model` with each number of threads, each in a process of its own; beside an Edge TPU and OpenVINO also
    with LiteRT on the processor.

    Beside an Edge TPU that runs the file that was given to the compiler, NAME.tflite beside NAME_edgetpu.tflite. Raises
    EdgedenseError when it is missing, or whatever running the model raises.
    """
    runs = [(model, device, count) for count in threads]
    engine = engine_of(device)
    if engine == "openvino":
        runs += [(model, "cpu", count) for count in threads]
    elif engine == "edgetpu":
        plain = model.with_name(model.name.replace("_edgetpu.tflite", ".tflite"))
        if is_compiled(_content(model)) and (plain == model or not plain.exists()):
            raise EdgedenseError(
                "the file for the processor beside the compiled one, to compare with",
                f"no {plain.name}",
                "copy it there",
            )
        runs = [(model, device, threads[0])] + [(plain, "cpu", count) for count in threads]
    measured = []
    with progress("measuring", len(runs)) as tick:
        for run in runs:
            measured.append(_measure_apart(*run, seconds))
            tick(1)
    return measured


def measure(model: Path, device: str, threads: int, seconds: float, machine: Machine, started: float) -> Measurement:
    """Run the model on noise for `seconds`, in this process. `started` is the wall-clock time when it was wanted."""
    from edgedense.device.classifier import Classifier

    with Classifier(model, device=device, threads=threads) as classifier:
        image = np.random.default_rng(0).integers(0, 256, classifier.preprocessing.shape, np.uint8)
        classifier.classify(image)
        load = time.time() - started
        for _ in range(WARM_UP):
            classifier.classify(image)
        begin = time.perf_counter()
        samples = [_sample(machine, 0.0)]
        ends: list[float] = []
        latencies: list[float] = []
        while (now := time.perf_counter() - begin) < seconds or not latencies:
            if now - samples[-1].second >= SAMPLE_INTERVAL:
                samples.append(_sample(machine, now))
            classifier.classify(image)
            ends.append(time.perf_counter() - begin)
            latencies.append(classifier.invoke_seconds)
    samples.append(_sample(machine, ends[-1]))
    return Measurement(device, threads, load, tuple(ends), tuple(latencies), resident_bytes(), tuple(samples))


def _sample(machine: Machine, second: float) -> Sample:
    throttling = read_throttling(machine)
    return Sample(round(second, 3), read_temperature(machine), None if throttling is None else throttling.bits)


def _measure_apart(model: Path, device: str, threads: int, seconds: float) -> Measurement:
    """In a process of its own: its memory is the model's, its first load is a first load."""
    order = json.dumps([str(model), device, threads, seconds, time.time()])
    done = subprocess.run(
        [sys.executable, "-c", _CHILD, order], capture_output=True, check=False, stdin=subprocess.DEVNULL
    )
    try:
        answer = json.loads(done.stdout.splitlines()[-1])
    except (IndexError, ValueError) as error:
        said = done.stderr.decode(errors="replace").strip().splitlines()
        raise DeviceError(
            "a run that ends", f"exit code {done.returncode}: {said[-1] if said else 'no message'}", "edgedense doctor"
        ) from error
    if "error" in answer:
        kind = DeviceError if answer["exit_code"] == DeviceError.exit_code else EdgedenseError
        raise kind(*answer["error"])
    answer["samples"] = tuple(Sample(**sample) for sample in answer["samples"])
    return Measurement(**answer)


def _content(model: Path) -> bytes:
    try:
        return model.read_bytes()
    except OSError as error:
        raise EdgedenseError("a .tflite file that can be read", f"{model}: {error.strerror}") from error


def _ms(seconds: float) -> float:
    return round(seconds * 1e3, 3)


def main() -> None:
    """The child: takes [model, device, threads, seconds, time] as JSON, prints the measurement or the error as JSON."""
    model, device, threads, seconds, started = json.loads(sys.argv[1])
    try:
        answer: dict[str, Any] = asdict(measure(Path(model), device, threads, seconds, Machine(), started))
    except EdgedenseError as error:
        answer = {"error": [error.expected, error.found, error.hint], "exit_code": error.exit_code}
    print(json.dumps(answer))


def table(measured: Sequence[Measurement]) -> list[tuple[str, ...]]:
    """The figures for people: a row of headings, and one for each run."""
    rows: list[tuple[str, ...]] = [
        ("device", "threads", "first load", "median", "p5", "p95", "p99", "frames/s", "memory", "hottest")
    ]
    for run in measured:
        rows.append(
            (
                run.device,
                str(run.threads),
                f"{run.load:.2f} s",
                *(f"{run.percentile(share) * 1e3:.2f} ms" for share in (50, 5, 95, 99)),
                f"{run.frames_per_second:.1f}",
                "-" if run.memory is None else f"{run.memory / 2**20:.0f} MiB",
                "-" if run.hottest is None else f"{run.hottest:.0f} °C",
            )
        )
    return rows
