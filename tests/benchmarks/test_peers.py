"""The benchmark's arithmetic and order, with runners that only keep a record."""

from __future__ import annotations

import argparse
import io
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from rich.console import Console

from benchmarks import figures, latency, peers, stage
from benchmarks.figures import Entry, Made, Study
from benchmarks.peer import Job, Peer, Runner
from edgedense.errors import EdgedenseError
from edgedense.images.preprocessing import Preprocessing
from tests import models
from tests.pictures import opened


class Recorder:
    """Calls of several runners in their order, and a clock that each call moves on by the runner's time."""

    def __init__(self, seconds: dict[str, float]) -> None:
        self.calls: list[tuple[str, int]] = []
        self.now = 0.0
        self.runs = {name: self._run(name, duration) for name, duration in seconds.items()}

    def _run(self, name: str, duration: float):
        def run(number: int) -> None:
            self.calls.append((name, number))
            self.now += duration

        return run


def test_every_turn_runs_twice_and_the_order_moves_on() -> None:
    recorder = Recorder({"a": 1, "b": 1, "c": 1})
    latency.interleave(recorder.runs, rounds=4, warmups=0, clock=lambda: recorder.now)
    assert ["".join(name for name, n in recorder.calls if n == number) for number in range(4)] == [
        "aabbcc",
        "bbccaa",
        "ccaabb",
        "aabbcc",
    ]


def test_warm_ups_are_not_timed() -> None:
    recorder = Recorder({"a": 1, "b": 2})
    seconds = latency.interleave(recorder.runs, rounds=3, warmups=5, clock=lambda: recorder.now)
    assert recorder.calls[:4] == [("a", 0), ("b", 0), ("a", 1), ("b", 1)]
    assert seconds == {"a": [1, 1, 1], "b": [2, 2, 2]}


def test_the_ratio_cancels_a_drift_that_all_share() -> None:
    drift = np.linspace(1, 3, 50)
    timings = latency.summarize({"stock": drift, "quick": 0.5 * drift}, "stock", "quick")
    assert timings["quick"].ratio == timings["stock"].subject_ratio == latency.Ratio(0.5, 0.5, 0.5)
    timing = timings["quick"]
    assert timing.median == pytest.approx(1000)
    assert (timing.fastest, timing.rounds) == (500, 50)


def test_p95_is_the_time_that_one_in_twenty_exceeds() -> None:
    times = np.arange(1, 101) / 1000
    timing = latency.summarize({"a": times}, "stock", "quick")["a"]
    assert np.mean(1000 * times > timing.p95) == 0.05
    assert (timing.ratio, timing.subject_ratio) == (None, None)


def test_the_same_times_give_the_same_interval() -> None:
    times = np.random.default_rng(1).uniform(1, 2, (2, 40))
    first, second = (latency.summarize({"stock": times[0], "a": times[1]}, "stock", "a")["a"].ratio for _ in range(2))
    assert first == second
    assert first.low < first.value < first.high


def test_ratio_text() -> None:
    assert figures.ratio(1, 4) == "0.250"
    assert figures.ratio(1, None) == figures.ratio(None, 1) == figures.ratio(1, 0) == figures.NOTHING


def test_quality_against_the_float_scores() -> None:
    reference = np.array([[0.9, 0.1], [0.2, 0.8], [0.6, 0.4], [0.7, 0.3]])
    same = figures.quality(reference, reference, np.array([0, 1, 0, 1]))
    assert (same.images, same.accuracy, same.drop, same.agreement, same.kl_mean) == (4, 0.75, 0, 1, 0)
    worse = figures.quality(reference, reference[:, ::-1], np.array([0, 1, 0, 1]))
    assert (worse.accuracy, worse.drop, worse.agreement) == (0.25, 0.5, 0)
    assert worse.kl_worst > worse.kl_mean > 0


def _peer(**changes: object) -> Peer:
    runner = Runner(lambda pixels: pixels, lambda prepared: prepared)
    return replace(
        Peer(
            "p",
            "A peer",
            "as usual",
            ("json",),
            ("json",),
            lambda job: job.folder,
            lambda path, preprocessing, threads: runner,
        ),
        **changes,
    )


def test_what_is_not_installed_is_named_with_the_extra() -> None:
    assert _peer().missing() == ""
    message = _peer(converters=("json", "no_such_module"), runtimes=("nor_this",)).missing()
    assert message == "needs no_such_module, nor_this: pip install 'edgedense[convert,bench]'"


def test_a_peer_that_is_not_installed_is_skipped(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(stage, "registry", lambda: {"p": _peer(converters=("no_such_module",))})
    entry, text = _only_entry(tmp_path)
    assert entry.problem.startswith("skipped, needs no_such_module")
    assert "A peer: skipped, needs no_such_module" in text


def test_a_peer_that_fails_says_how(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    def fail(*arguments: object) -> Made:
        raise RuntimeError("ValueError: no such operator")

    monkeypatch.setattr(stage, "registry", lambda: {"p": _peer()})
    monkeypatch.setattr(peers, "_make", fail)
    entry, text = _only_entry(tmp_path)
    assert entry.problem == "failed: ValueError: no such operator"
    assert "A peer: failed: ValueError: no such operator" in text


def _only_entry(folder: Path) -> tuple[Entry, str]:
    job = Job(folder / "m.keras", folder, 1, Preprocessing(8, 8, "none"), folder)
    arguments = argparse.Namespace(peers=["p"], threads=["1"])
    study = peers._study("m", job, arguments, Console(file=io.StringIO()))
    return study.entries[0], _shown(study)


def _shown(study: Study) -> str:
    output = io.StringIO()
    figures.show(study, Console(file=output, width=160))
    return output.getvalue()


def _study() -> Study:
    made = Made(Path("a.tflite"), 3_000_000, 2_000_000, 4.0, 8.0, 1.0, 2**30, 2**26, 2**25, {"tensorflow": "2"})
    stock = Entry("stock", "Stock", "", made=replace(made, bare_bytes=4_000_000, seconds=16.0))
    quick = Entry("quick", "Quick", "", made=made)
    timings = latency.summarize({"stock": [0.02, 0.02], "quick": [0.01, 0.01]}, "stock", "quick")
    reference, scores = np.array([[0.9, 0.1]]), np.array([[0.8, 0.2]])
    for entry in (stock, quick):
        entry.latency["1"] = timings[entry.name]
        entry.quality = figures.quality(reference, scores, np.array([0]))
    return Study("study", 32, 32, [quick, stock], {"1": 1}, 1.0)


def _row(text: str, title: str, table: int) -> list[str]:
    lines = [line for line in text.splitlines() if title in line]
    return [cell.strip() for cell in lines[table].strip("│").split("│")]


def test_tables() -> None:
    text = _shown(_study())
    assert _row(text, "Quick", 0) == ["Quick", "3.00", "2.00", "0.500", "4.0", "0.250", "8.0", "1024", "64"]
    assert _row(text, "Quick", 1) == [
        "Quick",
        "10.00",
        "10.00",
        "10.00",
        "0.500",
        "0.500 to 0.500",
        "1.000",
        "1.000 to 1.000",
    ]
    assert _row(text, "Stock", 1)[-2:] == ["0.500", "0.500 to 0.500"]
    assert _row(text, "Quick", 2)[1:5] == ["100.00", "+0.00", "+0.00 to +0.00", "100.00"]
    assert _row(text, "Quick", 2)[6] == "1.000"
    assert "1 thread," in text
    assert "32x32" in text


def test_without_the_baseline_there_are_no_ratios() -> None:
    study = _study()
    study.entries = study.entries[:1]
    study.entries[0].latency = latency.summarize({"quick": [0.01]}, "stock", "none")
    study.entries[0].latency["1"] = study.entries[0].latency.pop("quick")
    text = _shown(study)
    assert _row(text, "Quick", 1) == ["Quick", "10.00", "10.00", "10.00", "-", "-", "-", "-"]
    assert [_row(text, "Quick", 0)[i] for i in (3, 5)] == ["-", "-"]


def test_json_holds_every_figure() -> None:
    content = json.loads(figures.to_json([_study()], {"seed": 0}))
    quick = content["studies"][0]["entries"][0]
    assert content["seed"] == 0
    assert quick["made"]["peak_bytes"] == 2**30
    assert quick["latency"]["1"]["ratio"]["value"] == 0.5
    assert quick["quality"]["kl_mean"] > 0


def test_a_job_survives_the_way_into_its_process(tmp_path: Path) -> None:
    job = Job(tmp_path / "m.keras", tmp_path, 7, Preprocessing(8, 9, "rescale"), tmp_path)
    assert Job.from_json(job.to_json()) == job


@pytest.mark.slow
@pytest.mark.parametrize(("outputs", "kind"), [(3, "softmax"), (1, "sigmoid")])
def test_every_peer_gets_a_model_of_probabilities(tmp_path: Path, outputs: int, kind: str) -> None:
    keras = pytest.importorskip("keras")
    plain = _densenet(tmp_path / "plain.keras", outputs, None)
    with pytest.raises(EdgedenseError, match="--activation"):  # which nobody said
        _reference(tmp_path / "plain.keras")
    scores, chosen = _reference(tmp_path / "plain.keras", kind)
    pixels = np.asarray(opened(tmp_path / "picture.png"), np.float32)[None]
    # float32 through 20 layers
    assert scores == pytest.approx(getattr(keras.ops, kind)(plain(pixels)).numpy(), abs=1e-5)
    assert scores == pytest.approx(keras.models.load_model(chosen)(pixels).numpy(), abs=1e-5)
    size = {"model": str(chosen), "size": 64, "resized": str(tmp_path / "resized.keras")}
    stage.resize(size)
    assert keras.models.load_model(size["resized"]).layers[-1].activation.__name__ == kind


def test_a_model_of_probabilities_is_every_peers_as_it_is(tmp_path: Path) -> None:
    pytest.importorskip("keras")
    _densenet(tmp_path / "model.keras", 3, "softmax")
    assert _reference(tmp_path / "model.keras")[1] == tmp_path / "model.keras"


def _densenet(path: Path, outputs: int, activation: str | None) -> Any:
    def head(k: Any, x: Any) -> Any:
        return k.layers.Dense(outputs, activation=activation)(k.layers.GlobalAveragePooling2D()(x))

    model = models.densenet(before=lambda k, x: k.layers.Rescaling(1 / 255)(x), head=head)
    model.save(path)
    return model


def _reference(model: Path, activation: str | None = None) -> tuple[np.ndarray, Path]:
    """The scores of one picture and the model that the peers get."""
    picture, scores = model.with_name("picture.png"), model.with_name("reference.npy")
    Image.fromarray(np.random.default_rng(0).integers(0, 256, (32, 32, 3)).astype(np.uint8)).save(picture)
    answer = stage.reference(
        {
            "model": str(model),
            "opening": {"activation": activation},
            "preprocess": "none",
            "paths": [str(picture)],
            "scores": str(scores),
        }
    )
    return np.load(scores), Path(answer["model"])


def test_a_stage_that_fails_gives_its_error(tmp_path: Path) -> None:
    with pytest.raises(RuntimeError, match="KeyError: 'peer'"):
        stage.call("convert", {}, tmp_path)


@pytest.mark.parametrize(("text", "found"), [("1,all", ["1", "all"]), ("4", ["4"])])
def test_threads(text: str, found: list[str]) -> None:
    assert peers._threads(text) == found


@pytest.mark.parametrize("text", ["", "0", "1,", "some"])
def test_threads_that_make_no_sense(text: str) -> None:
    with pytest.raises(argparse.ArgumentTypeError):
        peers._threads(text)


def test_peak_memory_counts_what_is_held_in_bytes() -> None:
    held = np.ones(64 << 20, np.uint8)
    assert held.nbytes < stage.peak_memory() < 64 << 30
