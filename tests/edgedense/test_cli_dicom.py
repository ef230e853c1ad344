"""DICOM files and grey pictures of 12 bits through the commands; and that no patient is found in what they write."""

from __future__ import annotations

import json
import logging
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from edgedense.deployed import bundle
from tests import models
from tests.dicoms import PATIENT, dicom
from tests.edgedense.test_cli import QUICK, Ended, edgedense, succeeded
from tests.pictures import picture

keras = pytest.importorskip("keras")
pytest.importorskip("pydicom")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same six grey pictures of two classes as PNG, as PNG with 12 of 16 bits, and as DICOM; and a model."""
    folder = tmp_path_factory.mktemp("dicom")
    random = np.random.default_rng(4)
    for number in range(6):
        name = Path("ab"[number % 2]) / str(number)
        for kind in ("png", "twelve", "dicom"):
            (folder / kind / name).parent.mkdir(parents=True, exist_ok=True)
        levels = np.asarray(picture(random).convert("L"))
        Image.fromarray(levels).save(folder / "png" / f"{name}.png")
        Image.fromarray(np.rint(levels / 255 * 4095).astype(np.uint16)).save(folder / "twelve" / f"{name}.png")
        (folder / "dicom" / f"{name}.dcm").write_bytes(dicom(levels, WindowCenter=128, WindowWidth=256))
    small = models.densenet(head=two, body=lambda k, x: models.body(k, x, (1, 1)))
    small.save(folder / "model.keras")
    return folder


def two(k: Any, x: Any) -> Any:
    return k.layers.Dense(2, activation="softmax")(k.layers.GlobalAveragePooling2D()(x))


def converted(folder: Path, kind: str, *options: object) -> tuple[Path, Ended]:
    out = folder / f"{kind}{len(options)}.tflite"
    return out, succeeded(
        *("convert", folder / "model.keras", "--calibration", folder / kind, "--out", out, *QUICK, *options)
    )


@pytest.fixture(scope="module")
def deployed(folder: Path) -> dict[str, tuple[Path, Ended]]:
    """A file calibrated with each kind of pictures, and what the command said."""
    dicoms = converted(folder, "dicom", "--explain", "--golden-images", 2, "--report", folder / "conversion.html")
    return {"png": converted(folder, "png"), "twelve": converted(folder, "twelve"), "dicom": dicoms}


def scores(ended: Ended) -> list[list[tuple[str, float]]]:
    lines = [json.loads(line) for line in ended.out.splitlines()]
    return [[(one["label"], one["score"]) for one in line["top"]] for line in lines]


@pytest.mark.slow
def test_every_kind_gives_the_same_scores(folder: Path, deployed: dict[str, tuple[Path, Ended]]) -> None:
    """The files are made from the same pixels, and differ in what they say of how to read them alone."""
    found = {
        kind: scores(succeeded("run", deployed[kind][0], folder / kind, "--json", "--top", 2))
        for kind in ("png", "twelve", "dicom")
    }
    assert len(found["png"]) == 6
    assert found["twelve"] == found["png"]
    assert found["dicom"] == found["png"]


@pytest.mark.slow
def test_the_depth_is_found_out_told_and_recorded(deployed: dict[str, tuple[Path, Ended]]) -> None:
    path, ended = deployed["twelve"]
    assert "grey pictures of 16 bits use 12" in ended.err
    assert bundle.read(path).recipe["preprocessing"]["depth"] == 12
    for kind in ("png", "dicom"):
        path, ended = deployed[kind]
        assert "16 bits" not in ended.err
        assert "depth" not in bundle.read(path).recipe["preprocessing"]


def test_a_depth_that_is_named_is_recorded(folder: Path) -> None:
    path, ended = converted(folder, "twelve", "--depth", 16)
    assert "use 12" not in ended.err
    assert bundle.read(path).recipe["preprocessing"]["depth"] == 16


def test_explain_finds_the_depth_of_its_pictures(folder: Path, tmp_path: Path) -> None:
    for kind in ("png", "twelve"):
        ended = succeeded("explain", folder / "model.keras", folder / kind / "a", "--out", tmp_path / kind)
        assert ("use 12" in ended.err) == (kind == "twelve")
    written = [sorted((tmp_path / kind).glob("*.png")) for kind in ("png", "twelve")]
    assert len(written[0]) == 9
    assert [path.read_bytes() for path in written[0]] == [path.read_bytes() for path in written[1]]


@pytest.mark.slow
def test_no_patient_is_found_in_what_is_written(
    folder: Path, deployed: dict[str, tuple[Path, Ended]], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    file, ended = deployed["dicom"]
    damaged = tmp_path / "damaged.dcm"
    damaged.write_bytes((folder / "dicom" / "a" / "0.dcm").read_bytes()[:900])
    data = folder / "dicom"
    commands: list[tuple[object, ...]] = [
        ("run", file, data, damaged, "--json"),
        ("run", file, data),
        ("validate", file, "--data", data, "--reference", folder / "model.keras", "--report", tmp_path / "r.html"),
        ("validate", file, "--data", data, "--json"),
        ("compare", file, deployed["png"][0], "--data", data, "--report", tmp_path / "c.html"),
        ("explain", file, data, "--out", tmp_path / "explained"),
        ("run", file, data, "--monitor", tmp_path / "state.json"),
    ]
    said = [ended, *(edgedense(*command) for command in commands)]
    assert [one.code for one in said] == [0, 2, 0, 0, 0, 0, 0, 0]
    texts = [one.out + one.err for one in said] + [caplog.text]
    written = [file, folder / "conversion.html", *(path for path in tmp_path.rglob("*") if path.is_file())]
    contents = {path.name: path.read_bytes() for path in written if path != damaged}
    assert len(contents) > 20
    for words in PATIENT:
        for text in texts:
            assert words not in text
        assert [name for name, content in contents.items() if words.encode() in content] == []
    assert any(words.encode() in damaged.read_bytes() for words in PATIENT)  # where they are, they are found
