"""What `edgedense run` loads before its first result: on a Raspberry Pi that takes longer than the inference."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator

import pytest
from PIL import Image

from tests.device.conftest import COLOURS, RECIPE, bundle, make_colour_model

# What only cameras, services, monitors, heatmaps, reports and other commands need.
NOT_NEEDED = {
    *("rich", "jinja2", "pydantic", "pandas", "cv2", "av", "starlette", "tensorflow", "email", "ssl", "http"),
    *("multiprocessing", "importlib.metadata", "statistics", "PIL.BmpImagePlugin", "PIL.GifImagePlugin"),
}
OWN = {
    *("cli", "cli.app", "cli.bars", "cli.flags", "cli.options", "cli.printing", "cli.run"),
    *("errors", "flags", "notes", "progress", "workers"),
    *("deployed", "deployed.bundle", "measures", "measures.scores"),
    *(f"images{name}" for name in ("", ".decoding", ".depth", ".dicom", ".fitting", ".in_memory", ".memory")),
    *(f"images.{name}" for name in ("places", "preprocessing", "resampling", "resizing", "steps")),
    *("device", "device.run", "device.images", "device.classifier", "device.classifiers", "device.prediction"),
    *("device.board", "device.board.telemetry", "device.camera", "device.camera.sources", "device.camera.view"),
    *("device.engines", "device.engines.edgetpu", "device.engines.interpreter"),
    *("device.live", "device.live.options", "device.live.output", "device.live.results"),
    *("device.metrics", "device.metrics.options", "device.mqtt", "device.mqtt.options"),
}


@pytest.fixture(scope="module")
def loaded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[set[str]]:
    """The modules of a process that has classified one picture."""
    folder = tmp_path_factory.mktemp("first")
    (folder / "colours.tflite").write_bytes(bundle.pack(make_colour_model(), labels=COLOURS, recipe=RECIPE))
    Image.new("RGB", (64, 48), (200, 30, 40)).save(folder / "red.jpg")
    program = (
        "import sys; from edgedense.cli import main; sys.argv = ['edgedense', 'run', 'colours.tflite', 'red.jpg']\n"
        "try: main()\nfinally: print(*sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", program], cwd=folder, capture_output=True, text=True, check=True)
    *_, result, modules = done.stdout.splitlines()
    assert result.startswith("red")
    return set(modules.split())


def test_nothing_is_loaded_that_one_picture_does_not_need(loaded: set[str]) -> None:
    assert {"numpy", "PIL", "typer"} <= loaded  # so that names are looked for where there are some
    assert not NOT_NEEDED & loaded


def test_its_own_modules_are_these(loaded: set[str]) -> None:
    """One more takes a millisecond or two of each start: it should be worth that, and then it belongs in the list."""
    own = {name.removeprefix("edgedense.") for name in loaded if name.startswith("edgedense.")}
    assert sorted(own - OWN) == []
    assert sorted(OWN - own) == []
