"""Pages to look at and to measure, of each kind, with names that are long or look like HTML."""

from __future__ import annotations

import io
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import numpy as np
from PIL import Image

from edgedense.converters import conversion_page
from edgedense.converters.conversion import Conversion
from edgedense.converters.quantization.attempts import Attempt
from edgedense.converters.quantization.stages import StageFigures
from edgedense.converters.training import training_page
from edgedense.converters.training.checkpoint import Epoch
from edgedense.converters.training.dataset import Side
from edgedense.converters.training.goal import OneClass, Several
from edgedense.converters.training.train import Options, Training
from edgedense.images.preprocessing import Preprocessing
from edgedense.measures import drift, findings, masks
from edgedense.measures.masks import Case, Focus, Seen
from edgedense.measures.result import Gate, Report
from edgedense.measures.values import ValueReport, measured
from edgedense.report import noise_page, search_page, thumbnails, validation_page, values_page
from edgedense.report.wording import Section
from edgedense.searching.result import Point, PointKind, SearchResult

LONG = "pneumothorax_with_a_very_long_name_that_has_no_space_in_it"
RECIPE = {"source": {"name": "chest.keras", "sha256": "0123456789abcdef" * 4}, "options": {"resize": "nearest"}}


def scores(images: int, classes: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Scores of two models [N, classes] that differ a little, and true classes [N]; every class has an image."""
    random = np.random.default_rng(seed)
    truth = np.arange(images) % classes
    logits = random.normal(0, 1, (images, classes)) + 2.5 * np.eye(classes)[truth]
    before, after = (np.exp(values) for values in (logits, logits + random.normal(0, 0.15, logits.shape)))
    return before / before.sum(axis=1, keepdims=True), after / after.sum(axis=1, keepdims=True), truth


def names(classes: int) -> tuple[str, ...]:
    return (LONG, "<b>no finding</b>", *(f"class {i}" for i in range(2, classes)))


def layers(count: int = 121) -> tuple[tuple[str, float], ...]:
    random = np.random.default_rng(0)
    return tuple((f"block{i // 30}/layer{i}/growth", 40 - 15 * i / count + random.normal(0, 3)) for i in range(count))


def compared(classes: int, images: int = 400) -> tuple[Report, dict[str, bytes]]:
    """A report on two models with a gate and noise, and its thumbnails."""
    before, after, truth = scores(images, classes)
    called = names(classes)
    pictures = tuple(f"{called[truth[i]].strip('<>')}/picture_{i:05}.jpg" for i in range(images))
    both = drift.compare(before, after, truth, called, images=pictures, models=("chest.keras", "chest.tflite"))
    shown = {change.image: jpeg() for change in both.changed[: thumbnails.SHOWN]}
    return Report("chest.tflite", both.after, both, Gate(1.0, both.drop), RECIPE, layers()), shown


def with_findings(classes: int = 14, images: int = 600) -> tuple[Report, dict[str, bytes]]:
    """A report on two models with several findings a picture, three pictures a patient; the last class but one has no
    positives, and the last is never reported."""
    random = np.random.default_rng(1)
    truth = (random.random((images, classes)) < np.linspace(0.3, 0.03, classes)).astype(float)
    logits = random.normal(-1.2, 1, truth.shape) + np.linspace(2.5, 0.5, classes) * truth
    truth[random.random(truth.shape) < 0.05] = np.nan
    truth[truth[:, classes - 2] == 1, classes - 2] = 0
    scored = [1 / (1 + np.exp(-values)) for values in (logits, logits + random.normal(0, 0.2, logits.shape))]
    found = findings.measure(
        scored,
        truth,
        [*np.linspace(0.5, 0.2, classes - 1), np.inf],
        names(classes),
        models=("chest.keras", "chest.tflite"),
        images=[f"patient{i // 3:03}/study1/view_{i:05}.jpg" for i in range(images)],
        patients=[str(i // 3) for i in range(images)],
        draws=200,
    )
    assert found.change is not None
    drop = found.change.drop.value or 0.0
    gate = Gate(1.0, drop, "mean AUROC")
    report = Report("chest.tflite", None, None, gate, RECIPE, layers(), findings=found, patients=found.patients)
    return report, {change.image: jpeg() for change in report.changed[: thumbnails.SHOWN]}


def several(classes: int = 14) -> str:
    return validation_page.to_html(*with_findings(classes))


def jpeg() -> bytes:
    target = io.BytesIO()
    Image.new("RGB", (96, 72), (90, 120, 160)).save(target, "JPEG")
    return target.getvalue()


def focus(*models: str, images: int = 5) -> Focus:
    """Where one model looks, or two, on pictures with masks."""
    random = np.random.default_rng(0)
    cases = []
    for number in range(images):
        *before, after = (Seen(share, share > 0.5) for share in random.uniform(0.2, 0.9, len(models)).tolist())
        case = Case(f"{LONG}/picture_{number:05}.jpg", LONG, 0.05, after, pictures=(jpeg(),) * len(models))
        cases.append(replace(case, before=before[0], correlation=0.99) if before else case)
    return masks.summarized(cases, models)


def validation(classes: int) -> str:
    report, shown = compared(classes)
    return validation_page.to_html(replace(report, masks=focus("chest.keras", "chest.tflite")), shown)


def alone() -> str:
    _, after, truth = scores(40, 3)
    evaluation = drift.evaluate(after, truth, names(3), model="m.tflite")
    return validation_page.to_html(Report("m.tflite", evaluation, masks=focus("m.tflite")))


def values_of(images: int = 1200, models: int = 2, count: int = 2) -> ValueReport:
    """A report on values, of two pictures a patient; of the second a few pictures alone have a right one."""
    random = np.random.default_rng(2)
    right = random.gamma(6, 20, (images, count))
    right[20:, 1:] = np.nan
    before = np.nan_to_num(right) * 0.97 + random.normal(3, 9, right.shape)
    given = [before, before + random.normal(0, 1, right.shape)][-models:]
    return measured(
        ("bone-age-densenet169.keras", "bone-age-densenet169.tflite")[-models:],
        given,
        right,
        ("age", LONG)[:count],
        [f"hand/<b>{i:05}</b>.png" for i in range(images)],
        [str(i // 2) for i in range(images)],
        unit="months",
        recipe=RECIPE,
    )


def values() -> str:
    report = replace(values_of(), layer_noise=layers())
    return values_page.to_html(report, {one.image: jpeg() for one in report.worst})


def noise() -> str:
    return noise_page.to_html(layers(), "chest.tflite", "chest.keras")


def trained(classes: int) -> Training:
    _, after, truth = scores(200, classes)
    history = tuple(
        Epoch("head" if i < 3 else "fine-tuning", 1e-3, 2 / (i + 1), 1 - 0.5 / (i + 1), 2.4 / (i + 1), 0.9, 65.0)
        for i in range(23)
    )
    return Training(
        name="brain.keras",
        labels=names(classes),
        history=history,
        best=20,
        goal=OneClass(np.linspace(0.5, 2, classes)),
        report=Report(
            "brain.keras on 200 test pictures", drift.evaluate(after, truth, names(classes), model="brain.keras")
        ),
        figure=0.87,
        judged_on="test",
        images={"train": 1000, "validation": 100, "test": 200},
        parameters=7_041_604,
        data=b"",
        judged=Side(np.zeros((0, 1, 1, 3), np.uint8), np.zeros(0, int), np.zeros(0, int)),
        options=Options(),
        calibration=Path("mri/train"),
        test=Path("mri/test"),
        device="the processor",
        versions={"keras": "3"},
        notes=(),
    )


def training(classes: int = 4) -> str:
    beside = Section(
        "brain.keras and ResNet50",
        "Trained under the same conditions.",
        ("", "brain.keras", "ResNet50", "ratio"),
        (("accuracy", "87.00 %", "86.20 %", ""), ("parameters", "7,041,604", "23,595,908", "3.35")),
    )
    return training_page.to_html(trained(classes), [beside])


def training_of_several(classes: int = 14) -> str:
    """A training whose pictures show several classes, one, or none."""
    compared = with_findings(classes)[0].findings
    assert compared is not None
    found = replace(compared, reference=None, change=None)
    auroc = found.scored.macro.auroc.value
    history = tuple(Epoch("all", 1e-3, 2 / (i + 1), None, 2.4 / (i + 1), 0.9 - 0.4 / (i + 1), 65.0) for i in range(9))
    report = Report("chest.keras on 120 test pictures", None, findings=found, patients=found.patients)
    return training_page.to_html(
        replace(
            trained(classes),
            name="chest.keras",
            history=history,
            best=8,
            goal=Several(np.linspace(1, 32, classes)),
            report=report,
            figure=auroc,
        )
    )


def stage(name: str, macs: int, accuracy: float | None) -> StageFigures:
    parameters = {"fraction": 0.5, "importance": "taylor", "widths": "conv2_block1 128 to 96; conv2_block2 128 to 64"}
    return StageFigures(name, parameters, macs, macs // 30, macs // 29, macs // 35, 0.995, accuracy, macs / 2e8)


def conversion(folder: Path, *, labelled: bool, activation: str = "softmax") -> str:
    """A conversion in three steps on 60 small pictures that lie in `folder`."""
    before, after, truth = scores(60, 4)
    paths = tuple(folder / f"{i}.png" for i in range(60))
    for path in paths:
        Image.new("RGB", (9, 9)).save(path)
    preprocessing = Preprocessing(9, 9, "none")
    known = truth if labelled else None
    pictures = SimpleNamespace(paths=paths, indices=lambda _: known, preprocessing=preprocessing)
    found: Any = SimpleNamespace(
        operating_points=None,
        outcome=SimpleNamespace(before=before, after=after, pictures=pictures, differences=()),
        labels=names(4),
        recipe={**RECIPE, "activation": activation},
        steps=(SimpleNamespace(name="fold_norms", error=2.1e-7), SimpleNamespace(name="round_border", error=1.8e-5)),
        candidates=(SimpleNamespace(attempt=Attempt(), divergence=4e-5, pictures=100),),
        stages=(stage("as trained", 212_400_000, 0.87), stage("prune", 104_600_000, 0.86)),
    )
    return conversion_page.to_html(cast(Conversion, found))


def _point(name: str, kind: PointKind, milliseconds: float, accuracy: float, megabytes: float, on_front: bool) -> Point:
    half = 1.96 * (accuracy * (100 - accuracy) / 5000) ** 0.5
    share = {"trial 40": 0.5, "fraction": 0.49}.get(name, 0.25)
    command = f"edgedense convert 'my model.keras' --calibration calibration --prune-channels {share} --out "
    kept = name != "resnet50"
    return Point(
        name,
        kind,
        {"epochs": 30, "pictures": 20000} if kind == "rival" else {"prune_channels": share},
        "" if kind == "rival" else command + f"{name.replace(' ', '-')}.tflite",
        f"files/{name}.tflite" if kept else "",
        f"files/{name}.json" if kept else "",
        milliseconds,
        4.3e6 * milliseconds,
        True,
        accuracy,
        accuracy - half,
        accuracy + half,
        5000,
        int(1e6 * megabytes),
        on_front,
    )


def search_result() -> SearchResult:
    """A search for half of the time of the whole network, with a rival that is faster than all and one that is slow."""
    points = (
        _point("mobilenetv2", "rival", 12, 78.3, 2.66, True),
        _point("trial 31", "trial", 21, 77.9, 2.2, False),
        _point("trial 12", "trial", 26, 81.0, 2.9, True),
        _point("trial 40", "trial", 31, 83.9, 3.5, True),
        _point("fraction", "fraction", 31.5, 82.1, 3.6, False),
        _point("trial 7", "trial", 46, 86.3, 5.5, True),
        _point("unpruned", "unpruned", 63, 87.5, 7.4, True),
        _point("resnet50", "rival", 94, 84.1, 24.4, False),
    )
    return SearchResult("chest.keras", "pi5", 32, 0, 48, points, "trial 40", ("3 trials were given up.",))


def search() -> str:
    """With names that have no space to break at."""
    result = search_result()
    points = tuple(replace(point, name=LONG) if point.name == "trial 7" else point for point in result.points)
    return search_page.render(replace(result, points=points))
