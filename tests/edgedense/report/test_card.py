"""The model card: its text, and that it says nothing that nobody knows."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest

import edgedense
from edgedense.measures import drift, findings
from edgedense.measures.bootstrap import Estimate
from edgedense.measures.result import Gate, Report
from edgedense.report import validation_page
from edgedense.report.about import About
from edgedense.report.card import NOT_STATED, model_card

RECIPE = {
    "edgedense": "0.1.0",
    "preprocessing": {"height": 224, "width": 224, "normalize": "densenet", "channels": 1},
    "activation": "sigmoid",
    "source": {"name": "chest_x.keras", "sha256": "5" * 64, "parameters": 6967000},
    "calibration": {"sha256": "c" * 64, "images": 200},
    "options": {"attempt": {"floats": []}},
    "versions": {"numpy": "2.1"},
}


def report() -> Report:
    """Four pictures of two patients; the second model loses the edema of one. Hernia is never reported."""
    truth = np.array([[1, 0, 0], [1, np.nan, 0], [0, 0, 1], [0, 0, 0]])
    before = np.array([[0.9, 0.1, 0], [0.8, 0.1, 0], [0.2, 0.1, 0], [0.1, 0.6, 0]])
    after = np.array([[0.9, 0.1, 0], [0.4, 0.1, 0], [0.2, 0.1, 0], [0.1, 0.6, 0]])
    found = findings.measure(
        [before, after],
        truth,
        (0.5, 0.5, math.inf),
        ("edema", "mass|left", "hernia"),
        models=("chest_x.keras", "chest_x.tflite"),
        images=["smith_john.png", "b.png", "c.png", "d.png"],
        patients=["smith", "smith", "doe", "doe"],
        draws=20,
    )
    gate = Gate(1, 0, "mean AUROC")
    made = {"recipe": RECIPE, "findings": found, "patients": 2, "sha256": "f" * 64, "measured_with": "0.2.0"}
    return Report("chest_x.tflite", None, gate=gate, **made)


EXPECTED = """# Model card: chest\\_x.tflite

## Use

|  |  |
| --- | --- |
| intended use | Triage of chest X-rays |
| not for | not stated |
| owner | not stated |
| licence | not stated |

## The model

|  |  |
| --- | --- |
| made from | chest\\_x.keras |
| architecture | DenseNet, 6,967,000 parameters |
| number format | int8 |
| input | 224 x 224 pixels, one grey channel |
| preprocessing | normalize: densenet; channels: 1 |
| answer | each class is scored alone, so that a picture may show several or none |
| classes | 3: edema, mass\\|left, hernia |
| thresholds | the usual one, chosen on no pictures: edema 0.5000, mass\\|left 0.5000, hernia never |

## Data

Measured on 4 pictures, 2 patients. Where they come from: not stated.

| class | with it | without | not known |
| --- | --- | --- | --- |
| edema | 2 | 2 | 0 |
| mass\\|left | 0 | 3 | 1 |
| hernia | 1 | 3 | 0 |

## Findings

How well the scores of chest\\_x.tflite tell pictures with a finding from those without, whatever the threshold. In \
brackets are 95 % intervals, of 20 bootstrap draws of whole patients. The macro average is the mean over the classes, \
the micro average takes all pairs of a picture and a class in one heap.

| class | with it | without | not known | AUROC | average precision |
| --- | --- | --- | --- | --- | --- |
| edema | 2 | 2 | 0 | 1.000 | 1.000 |
| mass\\|left | 0 | 3 | 1 | – | – |
| hernia | 1 | 3 | 0 | – | – |
| macro average |  |  |  | 1.000 | 1.000 |
| micro average |  |  |  | 0.900 | 0.833 |
"""
LOST = """## Lost in conversion

Beside chest\\_x.keras, on the same pictures.

|  |  |
| --- | --- |
| drop of the mean AUROC | +0.00 points |
| same decision, of all pictures and classes | 87.50 % |
| same findings, of all pictures | 75.00 % |
| pictures that are decided differently | 1 of 4 |
| class that moved most | edema |
| mean KL divergence | 0.08370 |
| limit of the drop in mean AUROC | 1.00 points, kept |

## Limits

- Not measured, because no picture shows them: mass\\|left.
- Measured on fewer than 30 pictures that show it: edema (2).
- Never reported by the file: hernia.
- Pairs of a picture and a class that were left out, since their truth is not known: 1.
- Where the pictures come from is not stated, so nobody can say for whom the figures hold.
- The figures hold for pictures like these. Other devices, places or patients were not measured.

## Hashes and versions

|  |  |
| --- | --- |
| file, SHA-256 | FILE |
| source, SHA-256 | SOURCE |
| calibration pictures, SHA-256 | CALIBRATION |
| calibration pictures | 200 |
| made with edgedense | 0.1.0 |
| made with numpy | 2.1 |
| measured with edgedense | 0.2.0 |
"""
HASHES = {"FILE": "f" * 64, "SOURCE": "5" * 64, "CALIBRATION": "c" * 64}


def without_intervals(found: findings.Findings) -> findings.Findings:
    """Two patients are too few for intervals that are the same to the digit on every machine's draws."""

    def plain(figures: findings.Figures) -> findings.Figures:
        return replace(figures, **{n: Estimate(getattr(figures, n).value) for n in findings.FIGURES})

    def bare(scored: findings.Scored) -> findings.Scored:
        classes = tuple(replace(one, figures=plain(one.figures)) for one in scored.classes)
        return replace(scored, classes=classes, macro=plain(scored.macro), micro=plain(scored.micro))

    assert found.change is not None
    change = replace(found.change, drop=Estimate(found.change.drop.value))
    return replace(found, scored=bare(found.scored), change=change)


def test_text_of_a_card() -> None:
    result = report()
    assert result.findings is not None
    result = replace(result, findings=without_intervals(result.findings))
    text = model_card(result, About(intended_use="Triage of chest X-rays")).to_markdown()
    assert text.startswith(EXPECTED)
    lost = LOST
    for name, value in HASHES.items():
        lost = lost.replace(name, value)
    assert text.endswith(lost)


def test_no_picture_is_named() -> None:
    """Names of files may hold names of patients."""
    card = model_card(report())
    assert "smith" not in card.to_markdown()
    assert (
        "smith" not in validation_page.to_html(replace(report(), recipe={}), card=card).partition("<h2>Model card")[2]
    )


def test_what_a_file_does_not_say_is_not_stated() -> None:
    alone = drift.evaluate([[0.9, 0.1], [0.2, 0.8], [0.7, 0.3]], [0, 1, 1], ("cat", "dog"), model="m.tflite")
    text = model_card(Report("m.tflite", alone)).to_markdown()
    for row in ("made from", "architecture", "number format", "input", "preprocessing", "file, SHA-256", "licence"):
        assert f"| {row} | {NOT_STATED} |" in text
    assert "| thresholds | none: the best class is the answer |" in text
    assert "Not measured: no reference was given." in text
    assert "Whose the pictures are is not known." in text
    # Two of three right: Wilson's interval of 2 / 3 is 20.77 % to 93.85 %.
    assert "| accuracy | 66.67 % (20.77 % to 93.85 %) | 3 |" in text


def test_two_models_of_classes_are_compared() -> None:
    both = drift.compare([[0.9, 0.1]], [[0.4, 0.6]], [0], ("cat", "dog"), images=("secret.png",), models=("f", "q"))
    text = model_card(Report("q", both.after, both), About(population="Two barns.")).to_markdown()
    assert "| from right to wrong, and back | 1, 0 (McNemar, p = 1) |" in text
    assert "Where they come from: Two barns.\n" in text
    assert "secret" not in text
    assert "not stated, so nobody" not in text


def test_page_holds_the_card_when_there_is_one() -> None:
    html = validation_page.to_html(report(), card=edgedense.model_card(report(), owner="<b>Ward 7</b>"))
    assert "&lt;b&gt;Ward 7&lt;/b&gt;" in html
    assert html.index("<h2>Model card</h2>") < html.index("<h2>Recipe</h2>")
    assert "Model card" not in validation_page.to_html(report())


def test_only_what_a_card_has_room_for_is_taken() -> None:
    with pytest.raises(TypeError, match="colour"):
        edgedense.model_card(report(), colour="red")
