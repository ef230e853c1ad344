from __future__ import annotations

import importlib.metadata
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from edgedense.device.engines import interpreter as module
from edgedense.device.engines.interpreter import default_threads, find_runtime, make_interpreter
from edgedense.errors import DeviceError, EdgedenseError

MakeModel = Callable[..., bytes]


def test_bytes_and_path_give_the_same_interpreter(tmp_path: Path, colour_model: MakeModel) -> None:
    path = tmp_path / "model.tflite"
    path.write_bytes(colour_model())
    for model in (colour_model(), path, str(path)):
        assert make_interpreter(model).get_input_details()[0]["shape"].tolist() == [1, 48, 64, 3]


@pytest.mark.parametrize(("threads", "given"), [(None, default_threads()), (1, 1), (3, 3)])
def test_threads_reach_the_runtime(monkeypatch: pytest.MonkeyPatch, threads: int | None, given: int) -> None:
    seen = {}

    class Interpreter:
        def __init__(self, **options: Any) -> None:
            seen.update(options)

        def allocate_tensors(self) -> None:
            pass

    monkeypatch.setattr(module, "find_runtime", lambda: module.Runtime("fake", Interpreter))
    make_interpreter(b"model", threads=threads)
    assert seen == {"model_content": b"model", "num_threads": given}


def test_default_threads_stays_within_the_cores_this_process_may_use() -> None:
    assert 1 <= default_threads() <= 4


@pytest.mark.parametrize("spoil", [lambda model: b"", lambda model: b"text", lambda model: model[:200]])
def test_a_damaged_model_is_explained(colour_model: MakeModel, spoil: Callable[[bytes], bytes]) -> None:
    with pytest.raises(EdgedenseError, match="damaged"):
        make_interpreter(spoil(colour_model()))


def test_an_operator_version_that_the_runtime_lacks_is_named(colour_model: MakeModel) -> None:
    with pytest.raises(EdgedenseError, match="CAST in version 99"):
        make_interpreter(colour_model(version=99))


def test_custom_operators_are_named() -> None:
    explain = module._explain
    assert "_edgetpu" in str(explain("Encountered unresolved custom op: edgetpu-custom-op.\nSee", "LiteRT 1"))
    assert "Foo-Bar" in str(explain("Encountered unresolved custom op: Foo-Bar.\nSee", "LiteRT 1"))
    assert "later" in str(explain("Op builtin_code out of range: 1000. Are you", "LiteRT 1"))
    assert "LiteRT 1" in str(explain("Something\n  unheard of", "LiteRT 1"))


def test_wrong_arguments_are_refused(tmp_path: Path, colour_model: MakeModel) -> None:
    with pytest.raises(EdgedenseError, match="a device: cpu"):
        make_interpreter(colour_model(), device="gpu")
    with pytest.raises(EdgedenseError, match="1 thread"):
        make_interpreter(colour_model(), threads=0)
    with pytest.raises(EdgedenseError, match="missing"):
        make_interpreter(tmp_path / "missing.tflite")


@pytest.fixture
def no_runtime(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    for name in ("ai_edge_litert", "tflite_runtime"):
        monkeypatch.setitem(sys.modules, name, None)
        monkeypatch.setitem(sys.modules, f"{name}.interpreter", None)
    return monkeypatch


def test_a_missing_runtime_is_named_with_its_command(no_runtime: pytest.MonkeyPatch) -> None:
    with pytest.raises(DeviceError, match=r"pip install 'edgedense\[device\]'"):
        find_runtime()


def test_tflite_runtime_is_the_second_choice(no_runtime: pytest.MonkeyPatch) -> None:
    fake = ModuleType("tflite_runtime.interpreter")
    fake.Interpreter = object  # type: ignore[attr-defined]
    no_runtime.setitem(sys.modules, "tflite_runtime", ModuleType("tflite_runtime"))
    no_runtime.setitem(sys.modules, "tflite_runtime.interpreter", fake)
    no_runtime.setattr(importlib.metadata, "version", lambda name: f"version of {name}")
    assert find_runtime() == module.Runtime("tflite-runtime", object)
    assert find_runtime().version == "version of tflite-runtime"


def test_a_runtime_that_does_not_import_is_reported(monkeypatch: pytest.MonkeyPatch) -> None:
    """As a wheel for another NumPy does."""

    def fails(name: str) -> ModuleType:
        raise ImportError("numpy.core.multiarray failed to import")

    monkeypatch.setattr(module.importlib, "import_module", fails)
    with pytest.raises(DeviceError, match=r"ai-edge-litert, whose import failed: numpy.core.multiarray"):
        find_runtime()


@pytest.mark.parametrize(("name", "slow"), [("tflite-runtime", True), ("ai-edge-litert", False)])
def test_the_old_runtime_is_said_to_be_slow(monkeypatch: pytest.MonkeyPatch, name: str, slow: bool) -> None:
    class Interpreter:
        def __init__(self, **options: Any) -> None:
            pass

        def allocate_tensors(self) -> None:
            pass

    monkeypatch.setattr(module, "find_runtime", lambda: module.Runtime(name, Interpreter))
    notes: list[str] = []
    make_interpreter(b"model", notes=notes)
    assert ["10 times slower" in note and "pip install ai-edge-litert" in note for note in notes] == [True] * slow
