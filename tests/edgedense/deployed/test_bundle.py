"""The deployed file: labels, recipe and entries in an archive behind the flatbuffer."""

from __future__ import annotations

import contextlib
import io
import zipfile
from pathlib import Path

import numpy as np
import pytest

from edgedense.deployed import bundle
from edgedense.errors import EdgedenseError
from edgedense.images.preprocessing import Preprocessing

MODEL = b"\x1c\x00\x00\x00TFL3" + bytes(range(200))
LABELS = ("cat", "grüner Hund", "emu 3")
RECIPE = {"edgedense": "1", "preprocessing": Preprocessing(32, 48, "rescale").to_dict(), "options": {"b": 1, "a": [2]}}


def refused(path: Path | str, *words: str) -> None:
    with pytest.raises(EdgedenseError) as caught:
        bundle.read(path)
    for word in words:
        assert word in str(caught.value)


def written(folder: Path, data: bytes, name: str = "model.tflite") -> Path:
    (folder / name).write_bytes(data)
    return folder / name


def test_round_trip(tmp_path: Path) -> None:
    data = bundle.pack(MODEL, LABELS, RECIPE, {"golden.json": b"{}"})
    found = bundle.read(written(tmp_path, data))
    assert found.model == data
    assert found.labels == LABELS
    assert found.recipe == RECIPE
    assert found.preprocessing == Preprocessing(32, 48, "rescale")
    assert found.entries["golden.json"] == b"{}"


def test_thresholds_are_numbers_between_0_and_1_or_none_at_all() -> None:
    def of(recipe: dict[str, object]) -> tuple[float | None, ...]:
        return bundle.parse(bundle.pack(MODEL, LABELS, recipe)).thresholds

    assert of(RECIPE) == ()
    assert of({"thresholds": [0.25, None, 1]}) == (0.25, None, 1)
    for wrong in (0.5, [1.5], ["0.5"], [True], [float("nan")]):
        with pytest.raises(EdgedenseError, match="thresholds between 0 and 1 in the recipe"):
            of({"thresholds": wrong})


def test_the_unit_of_values_is_text() -> None:
    def of(recipe: dict[str, object]) -> str:
        return bundle.parse(bundle.pack(MODEL, LABELS, recipe)).unit

    assert (of(RECIPE), of({"unit": "months"})) == ("", "months")
    with pytest.raises(EdgedenseError, match="name of a unit in the recipe"):
        of({"unit": 3})


def test_the_flatbuffer_comes_first_and_can_be_taken_out() -> None:
    data = bundle.pack(MODEL, LABELS, RECIPE)
    assert data.startswith(MODEL)
    assert bundle.without_archive(data) == MODEL
    assert bundle.without_archive(MODEL) == MODEL


def test_other_tools_find_the_labels() -> None:
    with zipfile.ZipFile(io.BytesIO(bundle.pack(MODEL, LABELS, RECIPE))) as archive:
        assert archive.read("labels.txt").decode().splitlines() == list(LABELS)
        assert {info.compress_type for info in archive.infolist()} == {zipfile.ZIP_STORED}


def test_without_labels_there_is_no_label_file() -> None:
    found = bundle.parse(bundle.pack(MODEL, (), RECIPE))
    assert found.labels == ()
    assert "labels.txt" not in found.entries


def test_a_model_of_another_tool(tmp_path: Path) -> None:
    found = bundle.read(written(tmp_path, MODEL))
    assert (found.model, found.labels, found.recipe, found.preprocessing) == (MODEL, (), {}, None)


def test_the_same_content_gives_the_same_bytes() -> None:
    other = {"options": {"a": [2], "b": 1}, "preprocessing": RECIPE["preprocessing"], "edgedense": "1"}
    entries = {"b": b"1", "a": b"2"}
    first = bundle.pack(MODEL, LABELS, RECIPE, entries)
    assert bundle.pack(MODEL, LABELS, other, dict(reversed(entries.items()))) == first
    assert bundle.pack(MODEL, LABELS, {**RECIPE, "edgedense": "2"}, entries) != first


class TestReadErrors:
    def test_no_file(self, tmp_path: Path) -> None:
        refused(tmp_path / "missing.tflite", "missing.tflite", "No such file")

    def test_a_folder(self, tmp_path: Path) -> None:
        refused(tmp_path, "directory")

    def test_a_keras_file(self, tmp_path: Path) -> None:
        refused(written(tmp_path, b"PK\x03\x04 and so on", "m.keras"), "a Keras file", "edgedense convert")

    @pytest.mark.parametrize("data", [b"", b"TFL3", b"hello, this is text"])
    def test_another_file(self, tmp_path: Path, data: bytes) -> None:
        refused(written(tmp_path, data), "another kind of file")

    def test_a_file_that_was_cut_off(self, tmp_path: Path) -> None:
        data = bundle.pack(MODEL, LABELS, RECIPE)
        for size in range(len(MODEL) + 10, len(data) - 1, 7):
            refused(written(tmp_path, data[:size]), "damaged archive", "copy")

    def test_a_recipe_that_is_no_json(self, tmp_path: Path) -> None:
        data = bundle.pack(MODEL, (), {}, {"edgedense.json": b"{ no"})
        refused(written(tmp_path, data), "JSON", "edgedense.json")

    def test_labels_that_are_no_text(self, tmp_path: Path) -> None:
        refused(written(tmp_path, bundle.pack(MODEL, (), {}, {"labels.txt": b"\xff\xfe\x00"})), "labels.txt")

    def test_a_preprocessing_that_is_not_known(self) -> None:
        found = bundle.parse(bundle.pack(MODEL, (), {"preprocessing": {"height": 3}}))
        with pytest.raises(EdgedenseError, match="preprocessing entries"):
            _ = found.preprocessing
        found = bundle.parse(bundle.pack(MODEL, (), {"preprocessing": "densenet"}))
        with pytest.raises(EdgedenseError, match="preprocessing"):
            _ = found.preprocessing

    def test_whatever_byte_is_damaged_there_is_no_other_error(self) -> None:
        data = bundle.pack(MODEL, LABELS, RECIPE)
        random = np.random.default_rng(0)
        for position in range(len(MODEL), len(data)):
            damaged = bytearray(data)
            damaged[position] ^= int(random.integers(1, 256))
            with contextlib.suppress(EdgedenseError):
                bundle.parse(bytes(damaged))
            bundle.without_archive(bytes(damaged))


def test_labels_keep_unusual_characters() -> None:
    labels = ("a\u2028b", "c\x85d", "e f")
    assert bundle.parse(bundle.pack(MODEL, labels, {})).labels == labels
