"""Which files are keras-hub's, and that damaged ones are refused."""

from __future__ import annotations

import json
import zipfile
from pathlib import Path

import pytest

from edgedense.converters.readers.keras_hub import files
from edgedense.errors import EdgedenseError
from tests import hub, models


@pytest.fixture(scope="module")
def saved(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("hub") / "m.keras"
    hub.classifier().save(path)
    return path


def test_which_files_are_read(saved: Path, tmp_path: Path) -> None:
    assert files.reads(saved)
    assert files.reads(str(saved))
    models.densenet().save(tmp_path / "stock.keras")
    (tmp_path / "x.keras").write_bytes(b"PK\x03\x04 no zip")
    (tmp_path / "config.json").write_text("[]")
    for other in (
        tmp_path / "stock.keras",
        tmp_path / "x.keras",
        tmp_path,
        tmp_path / "none",
        "densenet121:imagenet",
        3,
    ):
        assert not files.reads(other)


def test_a_folder_holds_the_same(saved: Path, tmp_path: Path) -> None:
    """As `save_to_preset` writes it: the backbone, and beside it what stands behind it."""
    model = hub.classifier()
    description = json.loads(zipfile.ZipFile(saved).read("config.json"))
    (tmp_path / "task.json").write_text(json.dumps(description))
    (tmp_path / "config.json").write_text(json.dumps(description["config"]["backbone"]))
    model.backbone.save_weights(tmp_path / "model.weights.h5")
    model.save_weights(tmp_path / "whole.weights.h5")
    import h5py

    with h5py.File(tmp_path / "whole.weights.h5") as whole, h5py.File(tmp_path / "task.weights.h5", "w") as task:
        whole.copy("layers/dense", task.create_group("layers"))
    assert files.reads(tmp_path)
    found, expected = files.open_model(tmp_path), files.open_model(saved)
    assert found.description == expected.description
    for kind in ("conv", "norm", "dense"):
        one, other = found.contents.of(kind), expected.contents.of(kind)
        assert [layer.name for layer in one] == [layer.name for layer in other]
        assert all((a.arrays[0] == b.arrays[0]).all() for a, b in zip(one, other, strict=True))
    (tmp_path / "model.weights.h5").unlink()
    with pytest.raises(EdgedenseError, match="a model that keras-hub saved"):
        files.open_model(tmp_path)


def test_a_damaged_file_is_refused(saved: Path, tmp_path: Path) -> None:
    path = tmp_path / "m.keras"
    with zipfile.ZipFile(saved) as whole, zipfile.ZipFile(path, "w") as less:
        less.writestr("config.json", whole.read("config.json"))
    with pytest.raises(EdgedenseError, match=r"model\.weights\.h5"):
        files.open_model(path)
    with zipfile.ZipFile(path, "a") as less:
        less.writestr("model.weights.h5", b"no HDF5")
    with pytest.raises(EdgedenseError, match="weights that Keras wrote"):
        files.open_model(path)


def test_what_is_too_large_is_not_read(saved: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(files, "LARGEST_WEIGHTS", 100)
    with pytest.raises(EdgedenseError, match="larger than any DenseNet's"):
        files.open_model(saved)
