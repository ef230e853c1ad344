"""`edgedense train` as a user types it, with a small network in the place of DenseNet121."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from edgedense.converters.training import compare, dataset, fit
from edgedense.converters.training import train as module
from edgedense.converters.training.networks import Architecture
from edgedense.images.tables import Table
from tests.converters.training.conftest import SMALL, fill_classes, fill_findings
from tests.edgedense.test_cli import edgedense, refused, succeeded

QUICK = ("--weights", "none", "--size", "32", "--batch", "6", "--epochs", "1", "--validation", "0.25")


def attach_plain(keras: Any, pixels: Any) -> Any:
    """The last feature map of a network with a shortcut."""
    layers = keras.layers
    x = layers.Conv2D(8, 3, strides=4, padding="same", activation="relu")(pixels)
    return layers.Add()([x, layers.BatchNormalization()(layers.Conv2D(8, 3, padding="same")(x))])


PEER = Architecture("Plain", "plain.h5", attach_plain, stock=lambda keras: 1 / 0)


@pytest.fixture(autouse=True)
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "DENSENET", SMALL)
    monkeypatch.setattr(compare, "RESNET", PEER)


@pytest.mark.slow
def test_from_pictures_to_a_file_a_report_and_a_comparison(tmp_path: Path) -> None:
    data, out, page = tmp_path / "data", tmp_path / "m.keras", tmp_path / "report.html"
    fill_classes(data / "train", seed=1)
    fill_classes(data / "test", count=5, seed=2)
    ended = succeeded("train", data, "--out", out, *QUICK, "--report", page, "--compare", "resnet50")
    assert out.exists()
    assert (tmp_path / "m.labels.txt").read_text() == "c0\nc1\n"
    assert not (tmp_path / "m.work").exists()
    for said in (
        "m.keras on 10 test pictures",
        "precision",
        "Confusion of",
        "DenseNet121 and Plain",
        "int8 latency, one thread",
        f"edgedense convert {out} --calibration {data}/train",
    ):
        assert said in ended.out
    assert "artifact" not in ended.out  # TFLiteConverter's own chatter
    for told in (
        "18 pictures to train on, 6 to validate on, 10 to test on",
        "epoch 1 (all 1/1)",
        "training Plain under the same conditions",
    ):
        assert told in ended.err
    assert "DenseNet121 and Plain" in page.read_text()
    convert = next(line for line in ended.out.splitlines() if line.startswith("    edgedense convert")).split()[1:]
    # A model of one epoch decides at random, so a limit on its drop would say nothing.
    place = convert.index("--validation")
    del convert[place : place + 4]
    succeeded(*convert, "--ranges", "minmax", "--headroom", "1")
    assert out.with_suffix(".tflite").exists()


def test_ctrl_c_leaves_what_the_same_command_goes_on_from(
    tmp_path: Path, data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(*arguments: object, **options: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(fit, "fit", interrupted)
    ended = edgedense("train", data, "--out", tmp_path / "m.keras", *QUICK)
    assert ended.code == 130
    assert f"is kept in {tmp_path / 'm.work'}" in ended.err
    assert not (tmp_path / "m.keras").exists()
    assert list((tmp_path / "m.work").glob("pixels-*.npy"))


def test_a_table_and_how_it_is_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The options reach the table, and what it gives reaches the training."""
    (tmp_path / "pictures").mkdir()
    table = fill_findings(tmp_path / "pictures" / "red and green").rename(tmp_path / "labels.csv")
    given: list[Any] = []

    def stop(data: Any, *arguments: Any, **options: Any) -> None:
        given.append(data)
        raise KeyboardInterrupt

    monkeypatch.setattr(dataset, "prepare", stop)
    out, images = tmp_path / "m.keras", tmp_path / "pictures" / "red and green"
    ended = edgedense("train", table, "--images", images, "--uncertain", "zero", "--multi-label", "--out", out, *QUICK)
    assert ended.code == 130
    (pictures,) = given
    assert pictures.names == ("red", "green")
    assert pictures.train.paths[0] == images / "0.png"
    assert pictures.train.source == Table(table, images, "train", "zero")
    assert pictures.train.labels[7].tolist() == [1, 0]  # whether it is green stands nowhere


def test_what_is_refused_of_a_table(tmp_path: Path, data: Path) -> None:
    out = tmp_path / "m.keras"
    table = fill_findings(tmp_path / "findings")
    assert "Try: --multi-label" in refused("train", table, "--out", out, *QUICK)
    assert "for --multi-label" in refused("train", data, "--multi-label", "--out", out, *QUICK)
    assert "a table (.csv or .tsv) for --uncertain" in refused(
        "train", data, "--uncertain", "one", "--out", out, *QUICK
    )
    assert "--group-by" in refused("train", table, "--multi-label", "--group-by", "(.)", "--out", out, *QUICK)
    assert not out.with_suffix(".work").exists()


def test_what_is_refused_before_anything_is_written(tmp_path: Path, data: Path) -> None:
    out = tmp_path / "m.keras"
    assert "--out" in refused("train", data, "--out", tmp_path / "m.h5")
    assert "no folder" in refused("train", tmp_path / "nowhere", "--out", out, *QUICK)
    assert "--weights none" in refused("train", data, "--out", out)  # no network: the weights cannot be had
    assert "no file 'x.keras'" in refused("train", data, "--out", out, "--weights", "x.keras")
    assert "--compare" in refused("train", data, "--out", out, "--weights", "x.keras", "--compare", "resnet50")
    assert "does not exist" in refused("train", data, "--out", out, "--report", tmp_path / "no" / "r.html", *QUICK)
    assert [path.name for path in tmp_path.iterdir()] == ["data"]
