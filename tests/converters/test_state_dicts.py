"""PyTorch weights all the way: converted, run, compared with themselves, inspected and explained."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

import edgedense
from edgedense import cli
from edgedense.converters.conversion import Conversion
from edgedense.converters.opening import Opening
from edgedense.converters.readers.summary import Summary
from edgedense.measures.result import Report
from tests.pictures import fill
from tests.state_dicts import state_dict, write

pytestmark = pytest.mark.slow
LABELS = ("effusion", "nodule", "hernia")
# int8 rounds each of some 40 tensors by a step of 1/255 of its range, 0.11 % rms; in quadrature 0.7 %. On logits that
# span 6 that is 0.04, and a sigmoid changes by at most a quarter of it, three sigma of which are:
CLOSE = 0.03


@dataclass(frozen=True)
class Made:
    """A state dict with a hidden layer and three classes, one of which has no threshold, and the file made of it."""

    weights: Path
    pictures: Path
    file: Path
    conversion: Conversion


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Made:
    folder = tmp_path_factory.mktemp("state_dict")
    arrays = {**state_dict(head=(5, 3)), "op_threshs": np.array([0.01, 0.99, np.nan], np.float32)}
    weights, pictures = write(folder / "chest.safetensors", arrays), fill(folder / "pictures", 6)
    conversion = edgedense.convert(
        weights,
        pictures,
        labels=LABELS,
        ranges="minmax",
        headroom=1.0,
        preprocess="densenet",
        explain=True,
        opening=Opening((32, 40), head_activation="relu"),
    )
    conversion.save(folder / "chest.tflite")
    return Made(weights, pictures, folder / "chest.tflite", conversion)


def test_the_recipe_says_what_the_weights_do_not(made: Made) -> None:
    recipe = made.conversion.recipe
    assert recipe["thresholds"] == [pytest.approx(0.01), pytest.approx(0.99), None]
    assert recipe["activation"] == "sigmoid"
    assert recipe["source"]["head_activation"] == "relu"
    assert recipe["source"]["name"] == "chest.safetensors"
    assert recipe["preprocessing"]["normalize"] == "densenet"
    outcome = made.conversion.outcome
    assert np.abs(outcome.before - outcome.after).max() < CLOSE
    assert made.conversion.notes[-2:] == (
        "each class counts as seen from its own threshold on, which chest.safetensors has",
        "no threshold for hernia: never reported as seen, because the model was not trained for it",
    )


def test_run_decides_by_the_files_thresholds(made: Made, capsys: pytest.CaptureFixture[str]) -> None:
    """Every score is above 0.01 and below 0.99; the third class is not named although --top asks for it."""
    cli.app(["run", str(made.file), str(made.pictures), "--json", "--top", "3"], standalone_mode=False)
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert len(lines) == 6
    for line in lines:
        assert [one["label"] for one in line["findings"]] == ["effusion"]
        assert [one["label"] for one in line["top"]] == ["effusion", "nodule"]


def test_validate_reads_the_reference_as_the_recipe_says(made: Made, tmp_path: Path) -> None:
    pairs = [(path, LABELS[number % 2]) for number, path in enumerate(sorted(made.pictures.iterdir()))]
    report = edgedense.validate(made.file, pairs, reference=made.weights)
    assert isinstance(report, Report)
    assert report.findings is not None
    change = report.findings.change
    assert change is not None
    assert [(t.positive, t.before) for t in change.thresholds] == [
        ("effusion", pytest.approx(0.01)),
        ("nodule", pytest.approx(0.99)),
    ]
    assert change.kl_mean < 0.01


def test_inspect_and_explain(made: Made) -> None:
    summary = edgedense.inspect(made.weights, size=(32, 40), head_activation="relu")
    assert isinstance(summary, Summary)
    assert [row.name for row in summary.rows] == [
        *("input", "stem", "block1", "transition1", "block2", "head", "dense1", "dense2")
    ]
    assert summary.parameters == made.conversion.recipe["source"]["parameters"]
    options = {"labels": LABELS, "preprocess": "densenet", "size": (32, 40), "head_activation": "relu"}
    picture = min(made.pictures.iterdir())
    (own,) = edgedense.explain(made.weights, [picture], classes=["nodule"], **options)
    (deployed,) = edgedense.explain(made.file, [picture], classes=["nodule"])
    assert own.heats[0].score == pytest.approx(deployed.heats[0].score, abs=CLOSE)
