"""The page of a training: figures, curves, and nothing that could run."""

from __future__ import annotations

from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest

from edgedense.cli.train import convert_line
from edgedense.converters.training.checkpoint import Epoch
from edgedense.converters.training.dataset import Side
from edgedense.converters.training.goal import OneClass, Several
from edgedense.converters.training.train import Options, Training
from edgedense.converters.training.training_page import summary, to_html
from edgedense.images.tables import Table
from edgedense.measures import drift, findings
from edgedense.measures.result import Report
from edgedense.report.wording import Section

LABELS = ("glioma", "<b>no tumor</b>")


@pytest.fixture
def result() -> Training:
    """Two phases, four epochs, the third the best."""
    history = tuple(
        Epoch(phase, 1e-3, 1.2 - 0.2 * i, 0.5 + 0.1 * i, loss, 0.6 + 0.05 * i, 12.0)
        for i, (phase, loss) in enumerate(
            zip(("head", "fine-tuning", "fine-tuning", "fine-tuning"), (1.0, 0.8, 0.5, 0.7), strict=True)
        )
    )
    scores = np.array([[0.9, 0.1], [0.6, 0.4], [0.3, 0.7], [0.8, 0.2]])
    return Training(
        name="brain.keras",
        labels=LABELS,
        history=history,
        best=2,
        goal=OneClass(np.array([0.5, 2.0])),
        report=Report(
            "brain.keras on 4 test pictures", drift.evaluate(scores, [0, 0, 1, 1], LABELS, model="brain.keras")
        ),
        figure=0.75,
        judged_on="test",
        images={"train": 10, "validation": 3, "test": 4},
        parameters=7_041_604,
        data=b"",
        judged=Side(np.zeros((0, 1, 1, 3), np.uint8), np.zeros(0, int), np.zeros(0, int)),
        options=Options(),
        calibration=Path("mri/train"),
        test=Path("mri/test"),
        device="the processor",
        versions={"keras": "3"},
        notes=("3 pictures show the same as another",),
    )


@pytest.fixture
def several(result: Training) -> Training:
    """The same with two findings, of which the last picture shows both and the first none."""
    scores = np.array([[0.1, 0.2], [0.6, 0.4], [0.3, 0.7], [0.8, 0.9]])
    truth = np.array([[0, 0], [1, 0], [np.nan, 1], [1, 1]])
    found = findings.measure(
        [scores], truth, [0.5, 0.5], LABELS, models=["brain.keras"], images=["a", "b", "c", "d"], draws=20
    )
    return replace(
        result,
        goal=Several(np.array([1.0, 3.0])),
        report=Report("brain.keras on 4 test pictures", None, findings=found),
        history=tuple(replace(epoch, figure=None, validation_figure=0.8125) for epoch in result.history),
        figure=1.0,
    )


class Tags(HTMLParser):
    def __init__(self, page: str) -> None:
        super().__init__()
        self.found: list[str] = []
        self.text = ""
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: object) -> None:
        self.found.append(tag)

    def handle_data(self, data: str) -> None:
        self.text += data + " "


def test_the_page_tells_all(result: Training) -> None:
    page = Tags(to_html(result))
    for said in (
        "brain.keras on 4 test pictures",
        "75.00 %",
        "7,041,604 parameters",
        "epoch 3 of 4",
        "3 pictures show the same as another",
        "fine-tuning",
        "0.8000",
    ):
        assert said in page.text
    assert page.text.count("training pictures") >= 2
    assert page.found.count("figure") == 3  # two curves and the confusion


def test_names_are_escaped_and_nothing_is_fetched(result: Training) -> None:
    text = to_html(result)
    assert "<b>no tumor" not in text
    assert "script" not in Tags(text).found
    assert "http" not in text


def test_further_tables_are_shown(result: Training) -> None:
    page = Tags(to_html(result, [Section("Beside a ResNet50", "said", ("", "a"), (("accuracy", "87 %"),))]))
    assert "Beside a ResNet50" in page.text
    assert "87 %" in page.text


def test_without_test_pictures_it_says_so(result: Training) -> None:
    assert "no test pictures" not in summary(result)
    assert "no test pictures" in summary(replace(result, judged_on="validation"))


def test_of_weights_it_tells_where_there_are_some(result: Training) -> None:
    assert "counts rare classes more" in to_html(result)
    assert "counts rare classes more" not in to_html(replace(result, goal=OneClass(np.ones(2))))


def test_several_findings_have_no_accuracy(several: Training) -> None:
    assert "validation loss 0.5000, mean AUROC 0.8125." in summary(several)
    text = to_html(several)
    page = Tags(text)
    assert "validation mean AUROC" in page.text
    assert "Mean AUROC" in page.text
    assert "ccuracy" not in page.text
    assert "Confusion" not in page.text
    assert "rare class more, training and validation pictures alike" in page.text


def test_a_figure_that_no_epoch_has_is_not_drawn(several: Training) -> None:
    without = replace(several, history=tuple(replace(epoch, validation_figure=None) for epoch in several.history))
    assert Tags(to_html(without)).found.count("figure") == Tags(to_html(several)).found.count("figure") - 1
    assert "mean AUROC –." in summary(without)


def test_the_line_to_convert_names_the_pictures(result: Training) -> None:
    assert convert_line(result, Path("a b.keras")) == (
        "edgedense convert 'a b.keras' --calibration mri/train --validation mri/test --max-drop 1 --out 'a b.tflite'"
    )
    assert convert_line(replace(result, test=None), Path("m.keras")) == (
        "edgedense convert m.keras --calibration mri/train --out m.tflite"
    )


def test_the_line_to_convert_says_how_a_table_is_read(result: Training) -> None:
    """Its split train is what `convert` calibrates by where nobody says another."""
    train, test = (Table("labels.csv", "x rays", split, "zero") for split in ("train", "Test"))
    assert convert_line(replace(result, calibration=train, test=test), Path("m.keras")) == (
        "edgedense convert m.keras --calibration labels.csv --validation labels.csv --max-drop 1 "
        "--labels m.labels.txt --images 'x rays' --uncertain zero --split Test --out m.tflite"
    )
    plain = replace(result, calibration=Table("labels.csv"), test=None)
    assert convert_line(plain, Path("m.keras")) == (
        "edgedense convert m.keras --calibration labels.csv --labels m.labels.txt --out m.tflite"
    )
