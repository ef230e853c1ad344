"""Models that are not whole Keras models, from their files to what the commands print."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from edgedense.deployed import bundle
from edgedense.device.engines.contents import contents
from tests import models
from tests.edgedense.test_cli import QUICK, refused, succeeded
from tests.pictures import fill

keras = pytest.importorskip("keras")


def hidden(k: Any, x: Any) -> Any:
    return k.layers.Dense(2)(k.layers.Dense(6, activation="tanh")(k.layers.GlobalAveragePooling2D()(x)))


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Six pictures in two classes, and the weights of a network with a hidden layer."""
    folder = tmp_path_factory.mktemp("sources")
    for number, name in enumerate(("left", "right")):
        fill(folder / "pictures" / name, 3, seed=number)
    models.densenet(head=hidden, body=lambda k, x: models.body(k, x, (1, 1))).save_weights(folder / "w.weights.h5")
    return folder


def test_keras_weights_without_layers(folder: Path, tmp_path: Path) -> None:
    weights, pictures, out = folder / "w.weights.h5", folder / "pictures", tmp_path / "w.tflite"
    command = ["convert", weights, "--calibration", pictures, "--out", out, *QUICK]
    said = ["--architecture", "1,1", "--input-size", "32", "--head-activation", "tanh", "--activation", "sigmoid"]
    for number in range(0, len(said), 2):  # each is asked for, in its turn
        assert said[number] in refused(*command, *said[:number])
    assert not out.exists()
    succeeded(*command, *said)
    assert {"head_activation": "tanh", "architecture": "1,1"}.items() <= bundle.read(out).recipe["source"].items()

    found = json.loads(succeeded("validate", out, "--data", pictures, "--reference", weights, "--json").out)
    change = found["findings"]["change"]
    assert change["agreement"] > 0.8  # at most two of twelve answers differ: two classes in six pictures
    assert change["kl_mean"] < 0.01
    explained = succeeded("explain", weights, pictures / "left", "--out", tmp_path / "explained", *said)
    assert len(list((tmp_path / "explained").glob("*-explained.png"))) == 3, explained
    described = succeeded("inspect", weights, *said[:6]).out
    assert "Dense 6, tanh" in described
    assert "--architecture" in refused("inspect", out, "--architecture", "1,1")


@pytest.mark.slow
def test_one_channel(folder: Path, tmp_path: Path) -> None:
    """RGB pictures are made grey inside of the file, or before it: then it takes one channel."""
    model, pictures, out = tmp_path / "grey.keras", folder / "pictures", tmp_path / "grey.tflite"
    models.densenet(body=lambda k, x: models.body(k, x, (1, 1)), channels=1).save(model)
    command = ["convert", model, "--calibration", pictures, "--out", out, *QUICK, "--preprocess", "rescale"]
    assert "--input-channels 1 or 3" in refused(*command, "--input-channels", "2")
    for channels in (3, 1):
        succeeded(*command, "--input-channels", channels)
        (taken,) = contents(bundle.read(out).model).inputs
        assert taken.shape == (1, 32, 32, channels)
        result = json.loads(succeeded("run", out, pictures / "left" / "000.png", "--json").out)
        assert 0 < result["score"] <= 1
