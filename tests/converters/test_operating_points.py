"""Thresholds that convert chooses with the scores of the file that it makes, and what a device does with them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import edgedense
from edgedense import cli
from edgedense.converters import conversion_page
from edgedense.errors import EdgedenseError
from edgedense.images.preprocessing import load_image
from edgedense.measures import labelled
from edgedense.measures.operating_points import wilson
from edgedense.measures.result import Report
from edgedense.measures.temperature import tempered
from tests import models
from tests.pictures import fill

QUICK: dict[str, Any] = {"ranges": "minmax", "headroom": 1.0}
KINDS = {  # head, labels
    "each": (models.classified(models._pooled, 3, "sigmoid"), ("ant", "bee", "cow")),
    "pair": (models.classified(models._pooled, 1, "sigmoid"), ("ill", "well")),
    "softmax": (models.classified(models._pooled, 2), ("ill", "well")),
}


@pytest.fixture(scope="module")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return fill(tmp_path_factory.mktemp("operating") / "pictures", 18)


def filed(pictures: Path, labels: tuple[str, ...]) -> list[tuple[Path, str]]:
    """Each picture under one of the labels in turn: random to the network."""
    return [(path, labels[number % len(labels)]) for number, path in enumerate(sorted(pictures.iterdir()))]


def made(kind: str, pictures: Path, **options: Any) -> edgedense.Conversion:
    head, labels = KINDS[kind]
    validation = filed(pictures, labels)
    return edgedense.convert(
        models.densenet(head=head), pictures, labels=labels, validation=validation, **QUICK, **options
    )


def saved(conversion: edgedense.Conversion, folder: Path) -> Path:
    conversion.save(folder / "m.tflite")
    return folder / "m.tflite"


def scores_of(file: Path, pairs: list[tuple[Path, str]]) -> np.ndarray:
    """As the device computes them."""
    with edgedense.Classifier(file) as classifier:
        return np.stack([classifier.classify(load_image(path, classifier.preprocessing)) for path, _ in pairs])


@pytest.fixture(scope="module")
def findings(pictures: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[edgedense.Conversion, Path]:
    conversion = made("each", pictures, operating_point="sensitivity=0.8")
    return conversion, saved(conversion, tmp_path_factory.mktemp("findings"))


def test_the_device_finds_what_was_promised(findings: tuple[edgedense.Conversion, Path], pictures: Path) -> None:
    """Six pictures show each class; at least 0.8 of them are five. The threshold is the score of one of them."""
    conversion, file = findings
    pairs = filed(pictures, conversion.labels)
    scores, stored = scores_of(file, pairs), conversion.operating_points
    assert stored is not None
    assert stored.sha256 == labelled.fingerprint(labelled.read_labelled(pairs, conversion.labels))
    with edgedense.Classifier(file) as classifier:
        rule = classifier.rule()
        found = [
            {label for label, _ in classifier.predict(load_image(path, classifier.preprocessing)).top}
            for path, _ in pairs
        ]
    assert rule.thresholds == tuple(conversion.recipe["thresholds"])
    for k, point in enumerate(stored.points):
        assert point is not None
        with_it = np.array([label == point.label for _, label in pairs])
        assert point.threshold in scores[with_it, k].tolist()
        hits = sum(point.label in one for one, there in zip(found, with_it, strict=True) if there)
        passed = sum(point.label not in one for one, there in zip(found, with_it, strict=True) if not there)
        assert hits >= 5
        share = wilson(hits, 6)
        assert share is not None
        assert point.sensitivity is not None
        assert point.specificity is not None
        assert point.sensitivity.low == pytest.approx(share.low, abs=1e-6)
        assert (point.sensitivity.value, point.specificity.value) == (
            pytest.approx(hits / 6, abs=1e-6),
            pytest.approx(passed / 12, abs=1e-6),
        )


def test_validate_on_the_same_pictures_keeps_the_promise(
    findings: tuple[edgedense.Conversion, Path], pictures: Path
) -> None:
    conversion, file = findings
    report = edgedense.validate(file, filed(pictures, conversion.labels))
    assert isinstance(report, Report)
    assert [one.here.label for one in report.operating_points] == ["ant", "bee", "cow"]
    for one in report.operating_points:
        assert one.promised is not None
        assert one.promised.sensitivity is not None
        assert one.here.sensitivity is not None
        assert one.here.sensitivity.value == pytest.approx(one.promised.sensitivity.value, abs=1e-6)
    page = edgedense.to_html(report)
    assert "Operating points: promised and here" in page


def test_inspect_and_the_page_of_the_conversion_list_them(
    findings: tuple[edgedense.Conversion, Path], capsys: pytest.CaptureFixture[str]
) -> None:
    conversion, file = findings
    cli.app(["inspect", str(file)], standalone_mode=False)
    shown = capsys.readouterr().out
    assert "Operating points, chosen by sensitivity=0.8 on 18 pictures" in shown
    assert "operating_points" not in shown
    assert "Operating points, chosen by sensitivity=0.8 on 18 pictures" in conversion_page.to_html(conversion)


def test_run_tells_the_threshold_and_another_one_wins(
    findings: tuple[edgedense.Conversion, Path], pictures: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    conversion, file = findings
    own = dict(zip(conversion.labels, conversion.recipe["thresholds"], strict=True))
    cli.app(["run", str(file), str(pictures), "--json", "--top", "3"], standalone_mode=False)
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    for line in lines:
        assert {one["label"]: one["threshold"] for one in line["top"]} == {k: round(v, 6) for k, v in own.items()}
    cli.app(["run", str(file), str(pictures), "--json", "--threshold", "1"], standalone_mode=False)
    assert not any(json.loads(line)["findings"] for line in capsys.readouterr().out.splitlines())


@pytest.mark.parametrize(("kind", "output_type"), [("pair", "float32"), ("softmax", "uint8")])
def test_two_classes_and_the_positive_one_is_told(kind: str, output_type: str, pictures: Path, tmp_path: Path) -> None:
    """Nine pictures are of each; 0.9 of them are nine. So all ill ones are found, by the scores of "well"."""
    conversion = made(kind, pictures, operating_point="sensitivity=0.9", positive="ill", output_type=output_type)
    assert conversion.recipe["positive"] == "ill"
    assert "ill is the positive class: sensitivity is the share of its pictures" in conversion.notes
    file, pairs = saved(conversion, tmp_path), filed(pictures, conversion.labels)
    with edgedense.Classifier(file) as classifier:
        said = [classifier.predict(load_image(path, classifier.preprocessing)).label for path, _ in pairs]
    assert all(one == "ill" for one, (_, label) in zip(said, pairs, strict=True) if label == "ill")
    report = edgedense.validate(file, pairs)
    assert isinstance(report, Report)
    (kept,) = report.operating_points
    passed = sum(one == "well" for one, (_, label) in zip(said, pairs, strict=True) if label == "well")
    assert (kept.here.label, kept.here.below, kept.here.sensitivity) == ("ill", "well", wilson(9, 9))
    assert kept.here.specificity == wilson(passed, 9)


@pytest.mark.slow
def test_confidence_is_calibrated_before_thresholds_are_chosen(pictures: Path, tmp_path: Path) -> None:
    """Every fourth picture is filed under what the network does not say: 0.75 of its answers are right."""
    head, labels = KINDS["softmax"]
    model, paths = models.densenet(head=head), sorted(pictures.iterdir())
    plain = edgedense.convert(model, pictures, labels=labels, **QUICK)
    says = scores_of(saved(plain, tmp_path), [(path, "") for path in paths]).argmax(axis=1)
    pairs = [(path, labels[(k + (n % 4 == 0)) % 2]) for n, (path, k) in enumerate(zip(paths, says, strict=True))]
    conversion = edgedense.convert(
        model,
        pictures,
        labels=labels,
        validation=pairs,
        calibrate_confidence=True,
        operating_point="youden",
        golden_images=2,
        **QUICK,
    )
    value = conversion.recipe["temperature"]["value"]
    assert value != 1
    assert any(
        note.startswith(f"confidence: the logits are divided by a temperature of {value:g}.")
        for note in conversion.notes
    )
    before, file = scores_of(tmp_path / "m.tflite", pairs), saved(conversion, tmp_path)
    after = scores_of(file, pairs)
    assert (before.argmax(axis=1) == after.argmax(axis=1)).all()
    np.testing.assert_allclose(after, tempered(before, "softmax", value), atol=1e-5)
    assert conversion.recipe["thresholds"][1] in after[:, 1].tolist()  # of the scores that the file gives now
    # The reference is divided too, so that the file is no further from it than without a temperature.
    report = edgedense.validate(file, pairs, reference=model)
    assert isinstance(report, Report)
    assert report.drift is not None
    assert report.drift.agreement == 1
    assert report.drift.kl_mean < 0.01
    assert conversion.figures["calibration_kl_mean"] < 0.01
    replay = edgedense.validate(file)
    assert replay.passed
    assert replay.kl_made is not None
    assert replay.kl_made < 0.01
    page = conversion_page.to_html(conversion)
    assert "<h2>Confidence</h2>" in page
    assert f"{100 * conversion.recipe['temperature']['calibration_error_after']:.2f} %" in page
    layers = dict(edgedense.inspect_layers(file, model, pictures, noise_images=2))
    assert min(layers[name] for name in layers if name.startswith("head/") or name == "scores") > 15


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"operating_point": "youden"}, "--validation with --operating-point"),
        ({"operating_point": "best", "validation": []}, "--operating-point as sensitivity"),
        ({"calibrate_confidence": True}, "--validation with --calibrate-confidence"),
        ({"positive": "a"}, "--operating-point with --positive"),
    ],
)
def test_what_does_not_go_together_is_refused_before_anything_is_read(options: dict[str, Any], said: str) -> None:
    with pytest.raises(EdgedenseError, match=said):
        edgedense.convert("none.keras", "none", **options)


def test_classes_that_exclude_each_other_have_no_thresholds(pictures: Path) -> None:
    labels = ("ant", "bee", "cow")
    model = models.densenet(head=models.classified(models._pooled, 3))
    with pytest.raises(EdgedenseError, match=r"exclude each other \(softmax\): the best one is the answer"):
        edgedense.convert(
            model, pictures, labels=labels, validation=filed(pictures, labels), operating_point="youden", **QUICK
        )


def test_validate_says_class_by_class_what_the_conversion_changed(
    findings: tuple[edgedense.Conversion, Path], pictures: Path
) -> None:
    conversion, file = findings
    report = edgedense.validate(
        file,
        [(path, [label]) for path, label in filed(pictures, conversion.labels)],
        reference=models.densenet(head=KINDS["each"][0]),
        max_drop=100,
    )
    assert isinstance(report, Report)
    assert report.findings is not None
    change = report.findings.change
    assert change is not None
    assert [finding.threshold for finding in report.findings.scored.classes] == conversion.recipe["thresholds"]
    assert change.agreement > 0.8  # thresholds lie on pictures' own scores, so that one or two may tip
    assert change.kl_mean < 0.01
    assert report.gate is not None
    assert (report.gate.of, report.gate.passed) == ("mean AUROC", True)
    assert report.gate.drop == pytest.approx(change.drop.value, abs=1e-9)
    text = edgedense.model_card(report).to_markdown()
    assert "| thresholds | chosen by sensitivity=0.8 on 18 pictures; see the operating points |" in text
    assert conversion.recipe["source"]["sha256"] in text
