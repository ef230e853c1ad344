from __future__ import annotations

import json
import subprocess
import sys
import xml.etree.ElementTree as ElementTree
from pathlib import Path

import pytest

from edgedense.device.board.benchmark import Measurement, Sample, benchmark, measure
from edgedense.device.board.benchmark_plot import plot
from edgedense.device.engines.edgetpu import CUSTOM_OPERATOR, LIBRARY_VARIABLE
from edgedense.device.machine import RecordedMachine
from edgedense.errors import EdgedenseError
from edgedense.progress import reporting
from tests.delegates import HARMLESS, build

BOARDS = Path(__file__).parents[1] / "boards"


def run_of(latencies: list[float], temperature: float | None = 50.0, throttled: int | None = 0) -> Measurement:
    ends = tuple(sum(latencies[: i + 1]) for i in range(len(latencies)))
    samples = (Sample(0.0, 40.0 if temperature else None, 0), Sample(ends[-1], temperature, throttled))
    return Measurement("cpu", 1, 0.5, ends, tuple(latencies), 64 << 20, samples)


def test_percentiles_and_rate() -> None:
    run = run_of([i / 1000 for i in range(1, 102)])  # 1 to 101 ms
    assert run.percentile(50) == pytest.approx(0.051)
    assert run.percentile(95) == pytest.approx(0.096)
    assert run.to_dict()["p99_ms"] == pytest.approx(100)
    assert run.frames_per_second == pytest.approx(101 / 5.151)
    assert run.to_dict()["memory_mib"] == 64


SLOWING = [0.010] * 90 + [0.013] * 10


@pytest.mark.parametrize(
    ("run", "verdict"),
    [
        (run_of([0.010] * 100), ""),
        (run_of([0.010] * 50 + [0.050] + [0.010] * 49), ""),  # one hiccup is none
        (run_of(SLOWING, 84.0), "it got hot (84 °C) and slowed down by 30%"),
        (run_of(SLOWING, None, 0x80008), "it got hot and slowed down by 30%"),
        (run_of([0.010] * 100, 84.0), "it got hot (84 °C), but kept its pace"),
        (run_of(SLOWING, 60.0), "something else used the processor"),
        (run_of(SLOWING, None, None), "something else used the processor"),
    ],
)
def test_the_verdict(run: Measurement, verdict: str) -> None:
    assert verdict in run.verdict
    assert bool(run.verdict) == bool(verdict)


def test_a_run_reads_the_board_while_it_measures(colours: Path) -> None:
    run = measure(colours, "cpu", 1, 0.3, RecordedMachine(BOARDS / "pi5"), started=0.0)
    assert run.hottest == pytest.approx(48.45)
    assert [sample.throttled for sample in run.samples] == [0, 0]
    assert len(run.ends) == len(run.latencies) > 10
    assert run.ends[-1] >= 0.3


def test_each_number_of_threads_is_a_run(colours: Path) -> None:
    told: list[tuple[int, int]] = []
    with reporting(lambda step, done, total: told.append((done, total))):
        runs = benchmark(colours, "cpu", [1, 2], 0.1)
    assert [(run.device, run.threads) for run in runs] == [("cpu", 1), ("cpu", 2)]
    assert all(run.load > 0 and run.memory for run in runs)
    assert told == [(0, 2), (1, 2), (2, 2)]


def test_beside_openvino_the_processor_is_measured_too(colours: Path) -> None:
    pytest.importorskip("openvino")
    runs = benchmark(colours, "openvino", [1], 0.1)
    assert [(run.device, run.threads) for run in runs] == [("openvino", 1), ("cpu", 1)]


def test_an_error_in_the_child_is_told_as_such(tmp_path: Path) -> None:
    path = tmp_path / "text.tflite"
    path.write_text("text")
    with pytest.raises(EdgedenseError, match=r"a \.tflite file"):
        benchmark(path, "cpu", [1], 0.1)


def test_an_edge_tpu_needs_the_file_for_the_processor_beside_it(tmp_path: Path, colours: Path) -> None:
    compiled = tmp_path / "colours_edgetpu.tflite"
    compiled.write_bytes(colours.read_bytes() + CUSTOM_OPERATOR)
    with pytest.raises(EdgedenseError, match=r"no colours\.tflite"):
        benchmark(compiled, "coral", [1], 0.1)
    with pytest.raises(EdgedenseError, match="'gpu'"):
        benchmark(compiled, "gpu", [1], 0.1)


def test_beside_an_edge_tpu_the_processor_is_measured(
    tmp_path: Path, colours: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(LIBRARY_VARIABLE, build(tmp_path, HARMLESS))
    (tmp_path / "colours.tflite").write_bytes(colours.read_bytes())
    compiled = tmp_path / "colours_edgetpu.tflite"
    compiled.write_bytes(colours.read_bytes() + CUSTOM_OPERATOR)
    runs = benchmark(compiled, "coral", [2, 1], 0.1)
    assert [(run.device, run.threads) for run in runs] == [("coral", 2), ("cpu", 2), ("cpu", 1)]


def test_the_plot_draws_every_run_and_leaves_out_a_temperature_that_is_not_known() -> None:
    name = "{http://www.w3.org/2000/svg}polyline"
    for temperature, lines in ((50.0, 4), (None, 2)):
        runs = [run_of([0.010] * 100, temperature), run_of(SLOWING, temperature)]
        runs = [run if temperature else Measurement(**{**vars(run), "samples": ()}) for run in runs]
        drawn = ElementTree.fromstring(plot(runs, "a & b"))
        assert len([line for line in drawn.iter(name) if line.get("points")]) == lines


@pytest.mark.slow
def test_the_command(colours: Path, tmp_path: Path) -> None:
    command = [sys.executable, "-m", "edgedense.cli", "benchmark", str(colours), "--duration", "1", "--threads"]
    done = subprocess.run(
        [*command, "1", "--json", "--plot", tmp_path / "b.svg"], capture_output=True, text=True, check=True
    )
    (run,) = json.loads(done.stdout)["runs"]
    assert run["threads"] == 1
    assert run["p5_ms"] <= run["median_ms"] <= run["p99_ms"]
    assert (tmp_path / "b.svg").read_text().startswith("<svg")
    subprocess.run([*command, "1", "--plot", tmp_path / "b.html"], capture_output=True, text=True, check=True)
    page = (tmp_path / "b.html").read_text()
    assert page.startswith("<!doctype html>")
    assert "frames/s" in page
    other = subprocess.run([*command, "1", "--plot", tmp_path / "b.png"], capture_output=True, text=True, check=False)
    assert other.returncode == 2
    assert "--plot FILE.svg or FILE.html" in other.stderr
    wrong = subprocess.run([*command, "0"], capture_output=True, text=True, check=False)
    assert wrong.returncode == 2
    assert "threads" in wrong.stderr
