"""Who may import whom: an import goes down or sideways, never up.

A room is a package. Modules that stand directly in `converters/` and `device/` use all rooms below them, but for those
in ALONE, which others build on. `edgedense` itself (errors, files, progress) is for all, and imports nobody; its
`__init__.py` is the door that opens all rooms, when a name is asked for.
"""

from __future__ import annotations

import ast
from collections import defaultdict
from collections.abc import Iterator
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
ALONE = {
    *("device.machine", "device.classifier", "device.prediction", "converters.opening", "converters.options"),
    *("converters.readers.source", "converters.readers.programs", "converters.readers.assembly"),
    *("edgedense.searching.result", "edgedense.boards.known", "edgedense.boards.coefficients"),
}

# Each room, and the rooms that it may import besides itself and `edgedense`.
MAY: dict[str, set[str]] = {
    "edgedense": set(),
    "edgedense.images": set(),
    "edgedense.jobs": {"edgedense.images"},
    "edgedense.measures": {"edgedense.images", "edgedense.jobs"},
    "edgedense.deployed": {"edgedense.images", "edgedense.measures"},
    "edgedense.explanations": {"edgedense.images", "edgedense.measures"},
    "edgedense.searching.result": set(),
    "edgedense.boards.known": set(),
    "edgedense.boards.coefficients": set(),
    "edgedense.report": {
        *("edgedense.images", "edgedense.deployed", "edgedense.measures", "edgedense.searching.result"),
        *("edgedense.boards.known", "edgedense.boards.coefficients"),
    },
    "edgedense.boards": {"edgedense.deployed"},
}
BOARDS = {"edgedense.boards.known", "edgedense.boards.coefficients"}
SHARED = set(MAY) - {"edgedense"}
DATA = {"edgedense.images", "edgedense.measures", "edgedense.deployed"}
MAY |= {
    "converters.opening": {"edgedense.images"},
    "converters.options": {"edgedense.images", "edgedense.boards", "converters.opening"},
    "converters.network": DATA | {"converters.tflite"},
    "converters.tflite": DATA,
    "converters.calibration": DATA | {"converters.options", "converters.network"},
}
MAY["converters.readers.source"] = DATA | {"converters.network", "converters.opening"}
MAY["converters.readers.assembly"] = DATA | {"converters.network"}
MAY["converters.readers.programs"] = MAY["converters.readers.assembly"] | {"converters.readers.source"}
READERS = {f"converters.readers.{name}" for name in ("source", "programs", "assembly")}
MAY["converters.readers.structure"] = DATA | {"converters.network", "converters.readers.assembly"}
MATCHED = READERS | {"converters.readers.structure"}
MAY["converters.readers.keras"] = DATA | MATCHED | {"converters.network", "converters.opening"}
MAY["converters.readers.keras_weights"] = MAY["converters.readers.keras"]
MAY["converters.readers.keras_hub"] = MAY["converters.readers.keras"] | {
    "converters.readers.keras",
    "converters.readers.keras_weights",
}
MAY["converters.readers.onnx"] = MAY["converters.readers.keras"]
MAY["converters.readers.state_dicts"] = DATA | READERS | {"converters.network", "converters.opening"}
KINDS = {f"converters.readers.{kind}" for kind in ("keras", "keras_hub", "keras_weights", "onnx", "state_dicts")}
MAY |= {
    "converters.readers": DATA
    | MATCHED
    | KINDS
    | {f"converters.{name}" for name in ("opening", "network", "calibration")},
    "converters.passes": DATA | {"converters.network", "converters.calibration"},
    "converters.pruning": DATA
    | BOARDS
    | {"edgedense.boards", "converters.options", "converters.network", "converters.passes"},
    "converters.quantization": DATA
    | {f"converters.{name}" for name in ("options", "network", "calibration", "passes", "pruning", "tflite")},
    "converters.recovery": DATA | {"converters.network", "converters.quantization", "converters.tflite"},
}
BUILDING = {room for room in MAY if room.startswith("converters.")}
MAY |= {"converters": SHARED | BUILDING, "converters.training": SHARED | BUILDING | {"converters"}}
MAY["converters.rivals"] = SHARED | BUILDING | {"converters"}
MAY |= {
    "device.machine": set(),
    "device.engines": DATA | {"device.machine"},
    "device.prediction": {"edgedense.measures"},
    "device.classifier": DATA | {"device.engines", "device.prediction"},
    "device.camera": DATA,
    "device.preview": DATA | {"edgedense.explanations"},
    "device.versions": DATA
    | {f"device.{name}" for name in ("engines", "classifier", "prediction", "board", "machine")},
    "device.service": DATA | {f"device.{name}" for name in ("camera", "engines", "classifier", "versions")},
    "device.monitor": DATA | {"device.classifier", "device.prediction"},
    "device.board": DATA | {"edgedense.report", "device.machine", "device.engines", "device.classifier"},
    "device.metrics": DATA | {"device.preview", "device.board", "device.prediction", "device.monitor", "device.camera"},
    "device.mqtt": DATA | {"device.machine", "device.board", "device.prediction", "device.monitor", "device.camera"},
}
MAY["device.overview"] = DATA | {f"device.{name}" for name in ("board", "monitor", "mqtt", "preview")}
RUNNING = {room for room in MAY if room.startswith("device.")}
MAY |= {"device.live": SHARED | RUNNING, "device": SHARED | RUNNING | {"device.live"}}
MAY["edgedense.scoring"] = DATA | {
    *("edgedense.jobs", "device", "device.classifier"),
    *("converters.opening", "converters.readers", "converters.readers.source"),
}
MAY["edgedense.website"] = SHARED | RUNNING
MAY["edgedense.searching"] = (
    SHARED | BUILDING | {"converters", "converters.rivals", "edgedense.boards", "edgedense.jobs"}
)
MAY["edgedense.rollout"] = {"device.service"}
MAY["edgedense.boards"] = {"edgedense.deployed", "edgedense.rollout"} | BOARDS
MAY["edgedense.api"] = set(MAY)
MAY["edgedense.cli"] = set(MAY)


def place(room: str) -> Path:
    return ROOT.joinpath(*room.split("."))


def files(room: str) -> list[Path]:
    """The modules of a room."""
    if room in ALONE:
        return [place(room).with_suffix(".py")]
    alone = {place(name).with_suffix(".py") for name in ALONE} | {ROOT / "edgedense" / "__init__.py"}
    return sorted(path for path in place(room).glob("*.py") if path not in alone)


def room_of(module: str) -> str:
    """The room of something named as it is imported, such as edgedense.device.camera.sources.parse."""
    parts = module.split(".")
    parts = parts[1:] if len(parts) > 1 and parts[1] in ("converters", "device") else parts
    for length in (2, 3):
        if ".".join(parts[:length]) in ALONE:
            return ".".join(parts[:length])
    while not ROOT.joinpath(*parts).is_dir():
        parts = parts[:-1]
    return ".".join(parts)


def imported(path: Path) -> Iterator[str]:
    """What a file imports of edgedense, also inside of functions and for types only."""
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names if alias.name.split(".")[0] == "edgedense")
        elif isinstance(node, ast.ImportFrom) and str(node.module).split(".")[0] == "edgedense":
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def test_every_package_is_in_the_table() -> None:
    found = {
        ".".join(path.relative_to(ROOT).parent.parts)
        for top in ("edgedense", "converters", "device")
        for path in ROOT.joinpath(top).rglob("__init__.py")
        if path.parts[len(ROOT.parts) : len(ROOT.parts) + 2]
        not in (("edgedense", "converters"), ("edgedense", "device"))
    }
    assert found == set(MAY) - ALONE


@pytest.mark.parametrize("room", MAY)
def test_a_room_imports_only_what_it_may(room: str) -> None:
    found = defaultdict(set)
    for path in files(room):
        for module in imported(path):
            found[room_of(module)].add(f"{path.name}: {module}")
    allowed = MAY[room] | {room, "edgedense"}
    assert {other: sorted(places) for other, places in found.items() if other not in allowed} == {}


def test_nobody_may_import_what_imports_it() -> None:
    tuple(TopologicalSorter(MAY).static_order())  # graphlib.CycleError if there were a circle


def test_an_import_upwards_is_seen(tmp_path: Path) -> None:
    path = tmp_path / "up.py"
    path.write_text("def f():\n    from edgedense.device.live import loop\n")
    assert [room_of(module) for module in imported(path)] == ["device.live"]
    assert "device.live" not in MAY["device.camera"]
