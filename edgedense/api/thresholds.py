"""`edgedense.choose_thresholds`: from which score on a class counts as seen, for a file that was made before."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from edgedense.notes import tell
from edgedense.progress import Progress, reporting
from edgedense.progress import progress as step

if TYPE_CHECKING:
    from edgedense.deployed.thresholds import ChosenThresholds
    from edgedense.images.pictures import LabelledLike


def choose_thresholds(
    file: Path | str,
    data: LabelledLike,
    operating_point: str,
    *,
    positive: str | None = None,
    threads: int | None = None,
    progress: Progress | None = None,
) -> ChosenThresholds:
    """Choose a threshold for each class of a deployed `.tflite` file, with its own scores for labelled pictures.

    `data` are pictures that the model was not trained on, as for `validate`; of a table with splits that names none,
    `val`, `valid` or `validation` is taken. `operating_point` is the rule:
    "sensitivity=0.95" or "specificity=0.9", "youden" or "f1", or a threshold such as "0.5". `positive` is the class
    whose sensitivity is meant where a single score tells two apart, by default the second. `threads` and `progress` are
    as for `validate`.

    Gives the file with the thresholds in its recipe, all else in it unchanged, and writes nothing: see
    `ChosenThresholds.save`.

    Raises EdgedenseError when no threshold decides what the file says (more than two classes that exclude each other,
    or values), a class has no pictures that show it or none that do not, or no threshold reaches the target; and what
    `validate` raises.
    """
    from edgedense.deployed import bundle
    from edgedense.deployed.thresholds import with_thresholds
    from edgedense.device.classifiers import Classifiers
    from edgedense.images.tables import VALIDATION
    from edgedense.measures import labelled, stored_points, validation
    from edgedense.measures.operating_points import parse

    spec, content = parse(operating_point), bundle.read(file)
    with Classifiers(file, threads=threads) as classifiers, reporting(progress):
        tell(classifiers.notes, file)
        first, names = classifiers.each[0], classifiers.labels
        stored_points.require_thresholds(names, first.activation, first.outputs, positive)
        images = labelled.read_labelled(data, names, "several" if first.rule().independent else "classes", VALIDATION)
        model = validation.deployed(Path(file).name, classifiers.each)
        with step("choosing thresholds", len(images.paths)) as tick:
            (scores,) = validation.score(images.paths, [model], tick)
        points = stored_points.chosen(
            scores,
            images.truth,
            names,
            spec,
            activation=first.activation,
            outputs=first.outputs,
            sha256=labelled.fingerprint(images),
            trained=[one is not None for one in content.thresholds],
            positive=positive,
        )
    tell([*labelled.missing_notes(images), *points.notes])
    return with_thresholds(content, points, first.outputs)
