"""The lines that the page shows of the model."""

from __future__ import annotations

from edgedense.deployed.bundle import Bundle
from edgedense.device.prediction import rule
from edgedense.files import sha256
from edgedense.website.card import lines

RECIPE = {
    "edgedense": "0.3.0",
    "activation": "sigmoid",
    "preprocessing": {"height": 64, "width": 48, "channels": 1},
    "source": {"name": "chest.keras", "parameters": 7047754, "sha256": "aa"},
    "calibration": {"images": 100, "sha256": "bb"},
    "options": {"attempt": {"floats": []}},
    "figures": {"images": 100, "calibration_agreement": 0.99, "calibration_kl_mean": 4.6e-05},
}
LABELS = ("ant", "bee")
POINTS = {
    "thresholds": [0.25, None],
    "operating_points": {
        "chosen_by": "sensitivity=0.95",
        "images": 40,
        "sha256": "cc",
        "points": [
            {
                "label": "ant",
                "threshold": 0.25,
                "positives": 20,
                "negatives": 20,
                "sensitivity": {"value": 0.95, "low": 0.76, "high": 0.99},
                "specificity": {"value": 0.8, "low": 0.58, "high": 0.92},
            },
            None,
        ],
    },
}


def said(recipe: dict, own: tuple[float | None, ...] = ()) -> dict[str, str]:
    content = Bundle(b"model", LABELS, recipe)
    found = lines("m.tflite", content, rule(LABELS, recipe.get("activation", "softmax"), 2, None, own))
    assert len(dict(found)) == len(found)
    return dict(found)


def test_what_the_file_says() -> None:
    found = said(RECIPE)
    assert found == {
        "file": "m.tflite, 0.00 MB",
        "made from": "chest.keras, 7,047,754 parameters",
        "input": "64 x 48 pixels, one grey channel",
        "number format": "int8",
        "answer": "each class is scored alone, so that a picture may show several or none",
        "labels": "ant, bee",
        "seen from the score": "ant 0.5000, bee 0.5000",
        "same answer as the float model": "on 99.00 % of the 100 calibration pictures",
        "mean KL divergence from it": "0.000046",
        "not known": "how often it is right: the file carries no figures on labelled pictures",
        "file, SHA-256": sha256(b"model"),
        "source, SHA-256": "aa",
        "calibration pictures, SHA-256": "bb",
        "made with edgedense": "0.3.0",
    }


def test_operating_points() -> None:
    found = said({**RECIPE, **POINTS}, (0.25, None))
    assert found["seen from the score"] == "ant 0.2500, bee never"
    assert found["operating point of ant"] == ("seen from 0.2500, sensitivity 95.0 (76–99), specificity 80.0 (58–92)")
    assert found["operating points"].startswith("chosen by sensitivity=0.95 on 40 pictures")
    assert found["never reported"] == "bee"
    assert "not known" not in found


def test_operating_points_of_other_thresholds_are_not_shown() -> None:
    """What they promise does not hold there: of several sigmoids, and of one that tells two classes apart."""
    found = said({**RECIPE, **POINTS}, (0.3, None))
    assert found["operating points"].startswith("none that hold here")
    assert "operating point of ant" not in found
    (point, _) = POINTS["operating_points"]["points"]  # type: ignore[index]
    recipe = {**RECIPE, "thresholds": [0.25], "operating_points": {**POINTS["operating_points"], "points": [point]}}  # type: ignore[dict-item]
    for threshold, shown in ((0.25, True), (0.3, False)):
        by = rule(LABELS, "sigmoid", 1, threshold)
        assert by.kind == "pair"
        assert ("operating point of ant" in dict(lines("m.tflite", Bundle(b"", LABELS, recipe), by))) == shown


def test_what_was_lost_and_the_temperature() -> None:
    figures = {**RECIPE["figures"], "validation_drop_points": 0.12, "validation_drop_of": "mean AUROC"}
    found = said({**RECIPE, "figures": figures, "temperature": {"value": 1.5, "images": 40}})
    assert found["drop in mean AUROC, on validation pictures"] == "0.12 points"
    assert found["temperature"] == "1.5, fitted on 40 pictures"


def test_a_file_that_says_little() -> None:
    """Nothing is made up."""
    found = said({"preprocessing": {"height": 8, "width": 8}})
    assert found["input"] == "8 x 8 pixels, RGB"
    assert found["number format"] == found["made with edgedense"] == "not stated"
    assert not {"made from", "seen from the score", "source, SHA-256"} & set(found)
