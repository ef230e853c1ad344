"""`edgedense explain`: where a model sees a class."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from edgedense import flags
from edgedense.cli.options import Device
from edgedense.cli.printing import print_notes
from edgedense.converters.options import Reading
from edgedense.errors import EdgedenseError, raise_unreadable
from edgedense.flags import Flag
from edgedense.images.preprocessing import find_images

if TYPE_CHECKING:
    from edgedense.explanations.explanation import Explanation

Model = Annotated[
    str, Flag("A trained Keras model, or a .tflite file that was made with edgedense convert --explain.", argument=True)
]
Images = Annotated[
    list[str], Flag("Images, folders of images or patterns such as 'photos/*.jpg'.", argument=True, metavar="IMAGE")
]
Classes = Annotated[
    list[str] | None,
    Flag(
        "The class to look for. It may be given more than once. By default it is each picture's best.",
        name="--class",
        metavar="LABEL",
    ),
]
Layers = Annotated[
    list[str] | None,
    Flag(
        "The layer to look at: stem, block1, transition1 and so on, or a name from edgedense inspect --layers or "
        "from keras.applications. By default it is the last one. With --features it may be given more than once.",
        name="--layer",
        metavar="NAME",
    ),
]
Out = Annotated[Path, Flag("The folder that the PNG files are written to.", writes="folder")]
ShowFeatures = Annotated[
    bool,
    Flag(
        "In place of heatmaps show what the layers compute, their feature maps: those of the stem, of each dense "
        "block and each transition layer, or of --layer."
    ),
]
Labels = Annotated[
    Path | None,
    Flag(
        "A text file with the class names, one per line, in the order of the model's outputs. By default they are "
        "those in the .tflite file, or for NAME.keras in NAME.labels.txt beside it, as edgedense train writes it.",
        reads="file",
    ),
]


def explain(
    model: Model,
    images: Images,
    *,
    classes: Classes = None,
    layers: Layers = None,
    out: Out = Path("explained"),
    features: ShowFeatures = False,
    labels: Labels = None,
    reading: Reading,
    device: Device = "cpu",
) -> None:
    """Show where a model sees a class in a picture, as a heatmap (Grad-CAM), or with --features what its layers see.

    Of each picture and class there is a heatmap, an overlay, and NAME-explained.png with all side by side. A heatmap
    shows where the evidence is, each from none to its own strongest, and not how much of it there is. For a .tflite
    file it needs no TensorFlow.
    """
    from edgedense.device.classifier import read_labels
    from edgedense.explanations import explanation

    if features and classes:
        raise EdgedenseError("--class with heatmaps", "it with --features", "leave one of them out")
    if not features and layers and len(layers) > 1:
        raise EdgedenseError("one --layer for heatmaps", " and ".join(layers), "--features, which shows several")
    paths = list(dict.fromkeys(path for source in images for path in find_images(source)))
    beside = Path(model).with_suffix(".labels.txt")
    if labels is None and not model.endswith(".tflite") and beside.is_file():
        labels = beside
    names = read_labels(labels) if labels else None
    if model.endswith(".tflite"):
        of_keras = {"--layer": layers, "--features": features}
        if given := [option for option, value in of_keras.items() if value] + flags.changed(reading):
            raise EdgedenseError(f"a Keras model for {' and '.join(given)}", model)
        _explain_deployed(Path(model), device, names, paths, classes or (), out)
        return
    if device != "cpu":
        raise EdgedenseError("a .tflite file for --device", model)
    from edgedense.converters import explain as keras
    from edgedense.converters import features as grids

    opened = keras.read(model, names, reading.preprocess, reading.resize, reading.exif, reading.size)
    print_notes(Path(model), list(opened.notes))
    with _named(paths) as (called, unreadable):
        if features:
            for found in grids.feature_maps(opened, paths, layers or (), unreadable):
                print(*explanation.write(grids.files(found, called[found.path]), out), sep="\n")
            return
        for one in keras.explain(opened, paths, classes or (), layers[0] if layers else None, unreadable):
            _print_explanation(one, explanation.write(explanation.files(one, called[one.path]), out))


def _explain_deployed(
    model: Path, device: str, labels: tuple[str, ...] | None, paths: Sequence[Path], classes: Sequence[str], out: Path
) -> None:
    from edgedense.device.classifier import Classifier
    from edgedense.device.explain import explain
    from edgedense.explanations import explanation

    with Classifier(model, device, labels=labels) as classifier, _named(paths) as (called, unreadable):
        print_notes(model, classifier.notes)
        for one in explain(classifier, paths, classes, unreadable):
            _print_explanation(one, explanation.write(explanation.files(one, called[one.path]), out))


@contextmanager
def _named(paths: Sequence[Path]) -> Iterator[tuple[dict[Path, str], Callable[[EdgedenseError], None]]]:
    """A file name for each picture, and what to call for one that cannot be read: told of when all others are done."""
    from edgedense.explanations import explanation

    failures: list[EdgedenseError] = []
    yield dict(zip(paths, explanation.names(paths), strict=True)), failures.append
    raise_unreadable(failures, len(paths))


def _print_explanation(one: Explanation, written: Sequence[Path]) -> None:
    for heat in one.heats:
        print(f"{heat.label}  {heat.score:.1%}  {one.path} -> {written[-1]}")
