"""convert --prune-channels, --recover ...: what a user sees, and what is left on the disk."""

from __future__ import annotations

import contextlib
from pathlib import Path

import pytest

from edgedense.boards.result import BoardTime
from edgedense.converters import slimming
from edgedense.converters.readers.keras import reader as keras_reader
from edgedense.converters.recovery.loop import RecoverySpec
from edgedense.deployed import bundle
from edgedense.device.classifier import Classifier
from tests.edgedense.test_cli import CLASSES, QUICK, edgedense, refused, succeeded
from tests.pictures import fill

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("classes")
    for number, name in enumerate(CLASSES):
        fill(folder / name, 4, seed=number)
    return folder


@pytest.fixture
def usual(model: Path, folders: Path, tmp_path: Path) -> tuple[object, ...]:
    return "convert", model, "--calibration", folders, "--out", tmp_path / "m.tflite", "--force", *QUICK


def test_every_step_is_told(usual: tuple[object, ...], model: Path, folders: Path, tmp_path: Path) -> None:
    ended = succeeded(
        *usual,
        "--prune-channels",
        "0.1",
        "--recover",
        folders,
        "--epochs",
        "1",
        "--validation",
        folders,
        "--report",
        tmp_path / "m.html",
    )
    names = ["as trained", "prune", "recover"]
    for name in names:
        assert name in ended.out
    found = bundle.read(tmp_path / "m.tflite")
    steps = found.recipe["steps"]
    assert [step["name"] for step in steps] == names
    assert steps[1]["macs"] < steps[0]["macs"] == pytest.approx(_macs(model))
    assert steps[1]["flatbuffer_bytes"] < steps[0]["flatbuffer_bytes"]
    assert all(0 <= step["accuracy"] <= 1 for step in steps)
    page = (tmp_path / "m.html").read_text()
    for words in ("Steps", "prune", "recover", "<svg", "importance: taylor"):
        assert words in page
    assert sorted(path.name for path in tmp_path.iterdir()) == ["m.html", "m.tflite"]  # no work folder

    # What was made of other weights has no layers to compare with the Keras model's.
    line = refused("inspect", tmp_path / "m.tflite", "--layers", "--reference", model, "--data", folders)
    assert "prune, recover" in line


def _macs(model: Path) -> int:
    from edgedense.converters.passes.fold_norms import fold_norms
    from edgedense.converters.pruning.cost import macs

    return macs(fold_norms(keras_reader.read(model).network))


def test_a_named_work_folder_stays_and_the_same_command_gives_the_same_bytes(
    usual: tuple[object, ...], folders: Path, tmp_path: Path
) -> None:
    options = (*usual, "--recover", folders, "--epochs", "2", "--work", tmp_path / "work")
    succeeded(*options)
    assert list((tmp_path / "work").iterdir())
    first = (tmp_path / "m.tflite").read_bytes()
    succeeded(*options)  # all from the checkpoint
    assert (tmp_path / "m.tflite").read_bytes() == first
    line = refused(*usual, "--recover", folders, "--epochs", "3", "--work", tmp_path / "work")
    assert "checkpoint" in line


@pytest.mark.parametrize(
    ("options", "parameters"),
    [
        (("--fit-edgetpu",), {"fit_edgetpu": True}),
        (("--fit-latency", "1000"), {"latency_ms": 1000.0}),
        (("--fit-latency", "1000", "--board", "pi5"), {"latency_ms": 1000.0, "board": "pi5"}),
        (("--prune-channels", "0.1", "--importance", "l1"), {"fraction": 0.1, "importance": "l1"}),
        (("--prune-channels", "0.1", "--board", "pi4"), {"fraction": 0.1, "board": "pi4"}),
    ],
)
def test_what_decides_the_cut_is_recorded(
    usual: tuple[object, ...], tmp_path: Path, options: tuple[str, ...], parameters: dict[str, object]
) -> None:
    """Both fits are met by so small a network as it is."""
    succeeded(*usual, *options)
    before, after = bundle.read(tmp_path / "m.tflite").recipe["steps"]
    assert after["name"] == "prune"
    assert parameters.items() <= after["parameters"].items()
    assert (after["macs"] < before["macs"]) == ("--prune-channels" in options)


def test_sparsity_makes_the_packed_file_smaller_only(
    usual: tuple[object, ...], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(slimming, "SPARSITY_PICTURES", 400)  # 20,000 would take a minute
    succeeded(*usual, "--sparsity", "0.6")
    before, after = bundle.read(tmp_path / "m.tflite").recipe["steps"]
    assert after["parameters"]["zeros"] == pytest.approx(0.6, abs=0.02)  # of a few hundred weights in some kernels
    assert after["compressed_bytes"] < 0.95 * before["compressed_bytes"]
    assert (after["macs"], after["weights"]) == (before["macs"], before["weights"])


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (("--prune-channels", "0.5", "--fit-edgetpu"), "one goal"),
        (("--prune-channels", "2"), "--prune-channels to be more than 0 and less than 1"),
        (("--prune-channels", "0.99"), "99 % fewer multiply-accumulates"),
        (("--recover", "nowhere"), "nowhere"),
        (("--epochs", "2"), "--recover"),
        (("--board", "pi5"), "--prune-channels or --fit-latency with --board"),
        (("--fit-latency", "9", "--board", "n100"), "AVX-VNNI"),
    ],
)
def test_refused(usual: tuple[object, ...], options: tuple[str, ...], words: str, tmp_path: Path) -> None:
    assert words in refused(*usual, *options)
    assert list(tmp_path.iterdir()) == []


def test_validation_without_anything_to_validate(usual: tuple[object, ...], folders: Path) -> None:
    assert "--max-drop" in refused(*usual, "--validation", folders)


def test_the_help_names_the_default_number_of_epochs() -> None:
    words = " ".join(edgedense("convert", "--help").out.split())
    assert f"when --max-drop is kept. [default: {RecoverySpec().epochs};" in words


def test_a_host_gets_files_that_a_device_can_run(
    usual: tuple[object, ...], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is sent to be measured is no bare network: `edgedense benchmark` wants to know how pictures become input."""
    sent = []

    class Board:
        def time(self, file: bytes) -> BoardTime:
            path = tmp_path / "sent.tflite"
            path.write_bytes(file)
            with Classifier(path) as classifier:
                sent.append(classifier.labels)
            path.unlink()
            return BoardTime("Raspberry Pi 5", 1.0, None, False, None)

    monkeypatch.setattr("edgedense.boards.measure.open_board", lambda host: contextlib.nullcontext(Board()))
    succeeded(*usual, "--fit-latency", "60", "--on", "pi@barn-1")
    assert sent
    told = bundle.read(tmp_path / "m.tflite").recipe["steps"][-1]["parameters"]
    assert (told["board"], told["latency_ms"]) == ("Raspberry Pi 5", 60.0)
    assert "estimated_ms" not in told
