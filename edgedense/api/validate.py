"""`edgedense.validate`: a deployed file on labelled images, or its golden samples."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, overload

from edgedense.api.values import labels_of
from edgedense.errors import EdgedenseError
from edgedense.notes import tell
from edgedense.progress import Progress, reporting
from edgedense.scoring.options import Scale

if TYPE_CHECKING:
    from edgedense.converters.readers.source import Source
    from edgedense.deployed.bundle import Bundle
    from edgedense.deployed.golden import Replay
    from edgedense.device.classifier import Classifier
    from edgedense.device.classifiers import Classifiers
    from edgedense.images.pictures import LabelledLike
    from edgedense.images.preprocessing import Preprocessing
    from edgedense.measures.labelled import LabelledImages
    from edgedense.measures.layer_noise import LayerNoise
    from edgedense.measures.masks import Focus
    from edgedense.measures.result import Report
    from edgedense.measures.validation import Model
    from edgedense.measures.values import Comparison, ValueReport


@overload
def validate(file: Path | str, data: None = None, *, threads: int | None = None, device: str = "cpu") -> Replay: ...


@overload
def validate(
    file: Path | str,
    data: LabelledLike,
    *,
    reference: Any = None,
    max_drop: float | None = None,
    labels: Path | str | Sequence[str] | None = None,
    threads: int | None = None,
    layer_noise: bool = False,
    masks: Path | str | None = None,
    trust: bool = False,
    device: str = "cpu",
    scale: Scale | None = None,
    progress: Progress | None = None,
) -> Report | ValueReport | Comparison: ...


def validate(
    file: Path | str,
    data: LabelledLike | None = None,
    *,
    reference: Any = None,
    max_drop: float | None = None,
    labels: Path | str | Sequence[str] | None = None,
    threads: int | None = None,
    layer_noise: bool = False,
    masks: Path | str | None = None,
    trust: bool = False,
    device: str = "cpu",
    scale: Scale | None = None,
    progress: Progress | None = None,
) -> Report | ValueReport | Comparison | Replay:
    """Measure a deployed `.tflite` file on labelled images; with `reference`, what the conversion lost.

    `data` is a folder with a sub-folder per class, named like the file's labels, or a table (`Table`, or the path of a
    .csv or .tsv file), of which the split `test` is taken where it has splits and names none, or pairs (picture,
    label): the picture a path, an array uint8 [H, W, 3] in RGB or a PIL image, the label a class name or its number, or
    where a picture shows any number of classes a list of these. Without it the golden
    samples in the file are computed again: does it compute what it computed where it was made?

    `reference` is the model that the file was made from: a path, or a model in memory. `max_drop` is how many
    points (of 100) the accuracy may be below the reference's, or of a file whose classes are scored alone the mean
    AUROC: nothing is raised when it is more, `Report.gate.passed` says so. `labels` are class names, or a text file of
    them, in place of the file's own. `threads` is how many processor cores to use, by default all: each works on a few
    pictures, and the scores of the file are the same to the bit. `layer_noise` also measures the noise of each layer
    against the reference, on a few pictures. `trust` runs code that the reference's file holds. `device` is what runs
    the file, as for `explain`; an engine other than LiteRT works on one picture at a time. `progress` is as for
    `convert`.

    `scale` is for many pictures: a folder from which a run that was killed goes on, an end when the drop is known well
    enough, processes or machines that share the work.

    `masks` is a folder of pictures that mark a part of each picture, such as a lesion, named as for `explain`, below it
    as the pictures are below `data`. On the pictures that have one, `Report.masks` says how much of the heatmap of the
    class that a picture shows, or of each of several, lies inside the mask, for the file, which `convert` made with
    `explain=True`, and for the reference.

    Of a file that gives values (`activation="none"`) a table or pairs (picture, values) say the right ones, and the
    result is a `ValueReport`. On pictures without them, a folder or a list, it is compared with its reference value by
    value, a `Comparison`.

    Of a file whose classes are scored alone, as by several sigmoids, the report has `Report.findings` in place of an
    evaluation. A picture of which one class is known then counts as one without the others.

    Raises EdgedenseError when the file is no classifier, a label is none of the file's, or a picture cannot be read;
    its subclass DeviceError when no TensorFlow Lite runtime is installed.
    """
    if data is None:
        if reference is not None or max_drop is not None or layer_noise or labels is not None or masks is not None:
            raise EdgedenseError("images to measure on", "none", "--data FOLDER or --data TABLE.csv")
        from edgedense.device.engines.interpreter import placed
        from edgedense.device.engines.replay import replay

        path, device, remark = placed(Path(file), device, threads)
        tell([remark] if remark else (), file)
        return replay(path, threads, device)
    scale = scale or Scale()
    needing = {"--max-drop": max_drop is not None, "--until": scale.until is not None, "layer_noise": layer_noise}
    if reference is None and any(needing.values()):
        given = next(name for name, value in needing.items() if value)
        raise EdgedenseError("a reference to measure from", f"{given} alone", "--reference MODEL.keras")
    from edgedense.api import measuring
    from edgedense.deployed import bundle
    from edgedense.device.classifiers import Classifiers
    from edgedense.images.tables import Table
    from edgedense.measures import labelled, validation

    content = bundle.read(file)
    with (
        Classifiers(file, device=device, threads=threads, labels=labels_of(labels)) as classifiers,
        reporting(progress),
    ):
        tell(classifiers.notes, file)
        models = [validation.deployed(Path(file).name, classifiers.each)]
        gives_values, has_right = classifiers.each[0].gives_values, False
        source: Source | None = None
        if gives_values:
            data = data if isinstance(data, str | Path | Table) else list(data)
            has_right = measuring.says_values(data)
            needing = {
                "--max-drop": max_drop is not None,
                "--until": scale.until is not None,
                "the noise of layers (--report)": layer_noise and not has_right,
                "--masks": masks is not None,
            }
            _check_values(classifiers.each[0], file, needing, has_right or reference is not None)
        if reference is not None:
            found, source = _reference(reference, classifiers.preprocessing, content.recipe, trust)
            models.insert(0, found)
        device = classifiers.each[0].device
        scorer = measuring.scorer(models, [file], labels_of(labels), scale, reference, source, trust, device)
        result: Report | ValueReport
        if gives_values and not has_right:
            return measuring.differ("validating", data, scorer, classifiers.labels)
        if gives_values:
            result, images = measuring.of_values("validating", data, scorer, classifiers.labels, content.recipe)
        else:
            look = None if masks is None else _looking(masks, models, classifiers, source)
            result, images = measuring.judge("validating", data, scorer, classifiers, content, max_drop, look)
        if layer_noise:
            result = replace(result, layer_noise=_noise_against(content, file, reference, images, trust))
    tell(labelled.missing_notes(images))
    return result


def _check_values(classifier: Classifier, file: Path | str, needing: Mapping[str, bool], has_measure: bool) -> None:
    """Raise EdgedenseError for what cannot be measured of a file that gives values: what options are `needing` classes
    for, and anything without a measure, right values or a reference."""
    classifier.require_classes(needing)
    if not has_measure:
        raise EdgedenseError(
            "a table with the right values, or --reference MODEL.keras, with a file that gives values",
            "--data with pictures alone",
            f"edgedense validate {file} --data TABLE.csv",
        )


def _reference(
    model: Any, preprocessing: Preprocessing, recipe: Mapping[str, Any], trust: bool
) -> tuple[Model, Source]:
    """(the reference as a model under test, what was read)."""
    from edgedense.converters.readers.reference import is_source
    from edgedense.measures.temperature import value_of
    from edgedense.scoring.task import open_reference

    temperature = value_of(recipe)
    found, source = open_reference(model, preprocessing, recipe, trust)
    if temperature != 1:
        tell([f"the reference's logits are divided by {temperature:g} too, the temperature that the file has"])
    if not is_source(source, recipe):
        tell([f"the recipe names another source than {source.name if hasattr(model, 'layers') else model}"])
    return found, source


def _looking(
    masks: Path | str, models: Sequence[Model], classifiers: Classifiers, source: Source | None
) -> Callable[[LabelledImages], Focus]:
    """What finds out where the models look; `source` is what was read of the reference. EdgedenseError where the file
    has no heatmaps."""
    from edgedense.api import masks as looking

    classifiers.each[0].require_heatmaps()
    before = None
    if source is not None:
        before = looking.reference(source, classifiers.preprocessing, classifiers.labels)
    names = [model.name for model in models]
    return lambda images: looking.focus(masks, images, classifiers, names, before)


def _noise_against(
    content: Bundle, file: Path | str, reference: Any, images: LabelledImages, trust: bool, count: int = 8
) -> LayerNoise:
    """Layer by layer against the trained model on a few pictures; nothing for a file that edgedense did not make.
    `content` is that of `file`."""
    from edgedense.converters.layers import inspect_layers
    from edgedense.converters.quantization import noise

    if noise.ENTRY not in content.entries:
        return ()
    return inspect_layers(Path(file), reference, images.paths, count, trust)
