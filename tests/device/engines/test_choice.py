"""--device auto: what is measured, how long the answer holds, and what is said."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from edgedense.device import Classifier
from edgedense.device.classifiers import Classifiers
from edgedense.device.engines import choice, openvino, race
from edgedense.device.engines.choice import place
from edgedense.device.engines.race import Race
from edgedense.errors import DeviceError


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where answers are kept."""
    monkeypatch.delenv("STATE_DIRECTORY", raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return tmp_path / "cache" / "edgedense" / "engines.json"


@pytest.fixture
def races(cache: Path, monkeypatch: pytest.MonkeyPatch) -> list[tuple[Path, int]]:
    """The races that were run; OpenVINO is installed, and wins with an even number of threads."""
    run: list[tuple[Path, int]] = []

    def fake(path: Path, threads: int) -> Race:
        run.append((path, threads))
        return Race("cpu" if threads % 2 else "openvino", {"cpu": 20.0, "openvino": 12.5 + 10 * (threads % 2)})

    monkeypatch.setattr(race, "race", fake)
    monkeypatch.setattr(openvino, "version", lambda: "2026.4.1")
    return run


def test_each_file_is_measured_once(races: list[tuple[Path, int]], proved: Callable[..., Path]) -> None:
    first, second = proved("a.tflite"), proved("b.tflite", "another file")
    for _ in range(2):
        path, device, remark = place(first, 2)
        assert (path, device) == (first, "openvino")
        assert remark is not None
        assert "openvino 2026.4.1 takes 12.5 ms for an inference here, ai-edge-litert" in remark
        assert remark.endswith("20.0 ms")
    assert races == [(first, 2)]
    assert place(first, 1)[1] == "cpu"
    assert place(second, 2)[1] == "openvino"
    assert races == [(first, 2), (first, 1), (second, 2)]


def test_another_version_or_processor_is_measured_anew(
    races: list[tuple[Path, int]], proved: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    path = proved("a.tflite")
    place(path, 2)
    monkeypatch.setattr(openvino, "version", lambda: "2027.0.0")
    place(path, 2)
    monkeypatch.setattr(choice, "_processor", lambda: "another processor")
    place(path, 2)
    assert len(races) == 3


@pytest.mark.parametrize("spoilt", ["", "no JSON", "[]", '{"KEY": {"device": "cpu", "surprise": 1}}', '{"KEY": 3}'])
def test_what_was_kept_and_cannot_be_used_is_measured_anew(
    races: list[tuple[Path, int]], cache: Path, proved: Callable[..., Path], spoilt: str
) -> None:
    path = proved("a.tflite")
    place(path, 2)
    (key,) = json.loads(cache.read_text())
    cache.write_text(spoilt.replace("KEY", key))
    assert place(path, 2)[1] == "openvino"
    assert len(races) == 2
    assert json.loads(cache.read_text())[key]["device"] == "openvino"


def test_where_nothing_can_be_written_it_is_measured_each_time(
    races: list[tuple[Path, int]], proved: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", "/dev/null")
    for _ in range(2):
        assert place(proved("a.tflite"), 2)[1] == "openvino"
    assert len(races) == 2


def test_few_answers_are_kept(
    races: list[tuple[Path, int]], cache: Path, proved: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(choice, "_MOST", 2)
    for threads in (1, 2, 3):
        place(proved("a.tflite"), threads)
    assert [one["device"] for one in json.loads(cache.read_text()).values()] == ["openvino", "cpu"]


def test_a_service_keeps_it_in_its_own_folder(tmp_path: Path) -> None:
    assert choice.usual_folder({"STATE_DIRECTORY": "/var/lib/door:/var/lib/other"}) == Path("/var/lib/door")
    assert choice.usual_folder({"XDG_CACHE_HOME": str(tmp_path)}) == tmp_path / "edgedense"
    assert choice.usual_folder({}) == Path.home() / ".cache" / "edgedense"


def test_without_openvino_there_is_nothing_to_choose(
    races: list[tuple[Path, int]], colours: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(openvino, "version", lambda: None)
    remark = "runs on the processor: there is no colours_edgetpu.tflite beside the file"
    assert place(colours) == (colours, "cpu", remark)
    assert races == []


def test_an_engine_that_fails_is_told_and_tried_again(
    races: list[tuple[Path, int]], cache: Path, colours: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(path: Path, threads: int) -> Race:
        raise DeviceError("the package openvino", "ImportError: no libtbb")

    monkeypatch.setattr(race, "race", fail)
    _, device, remark = place(colours)
    assert device == "cpu"
    assert str(remark).endswith("openvino 2026.4.1 is not used, for it cannot run it: ImportError: no libtbb")
    assert not cache.exists()


def test_a_real_race(cache: Path, proved: Callable[..., Path], colours: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("openvino")
    monkeypatch.setattr(race, "SECONDS", 0.02)
    found = race.race(proved("a.tflite"), 1)
    assert set(found.milliseconds) == {"cpu", "openvino"}
    assert found.milliseconds[found.device] == min(found.milliseconds.values()) > 0
    assert race.race(proved("wrong.tflite", is_wrong=True), 1).refused.startswith("it does not give the same answers")
    assert "no golden samples" in race.race(colours, 1).refused
    with Classifier(colours, device="auto") as classifier:
        assert classifier.device == "cpu"
        assert "is not used, for the file has no golden samples" in classifier.notes[0]
    with Classifiers(colours, 10, device="auto", threads=2) as classifiers:
        assert len(classifiers.each) == 2
        assert classifiers.notes == classifier.notes
    with Classifiers(colours, 10, device="openvino", threads=2) as classifiers:
        assert len(classifiers.each) == 1
