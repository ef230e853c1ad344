"""`edgedense.explain` and `edgedense.feature_maps`: where a model sees a class, and what its layers see."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from edgedense.api.inspect import is_deployed
from edgedense.api.values import check_choice, check_choices, labels_of
from edgedense.errors import EdgedenseError
from edgedense.notes import tell

if TYPE_CHECKING:
    from edgedense.converters.explain import Model
    from edgedense.converters.features import Features
    from edgedense.converters.opening import Between, Ending, Opening
    from edgedense.converters.options import Resizing
    from edgedense.explanations.explanation import Explanation
    from edgedense.images.decoding import Exif
    from edgedense.images.depth import ChosenDepth
    from edgedense.images.fitting import Fit
    from edgedense.images.in_memory import Picture
    from edgedense.images.pictures import PicturesLike
    from edgedense.images.preprocessing import Normalization
    from edgedense.images.resizing import Resize


def explain(
    model: Any,
    images: PicturesLike,
    *,
    classes: Sequence[str] = (),
    layer: str | None = None,
    masks: Path | str | None = None,
    labels: Path | str | Sequence[str] | None = None,
    preprocess: Normalization | None = None,
    resize: Resize | None = None,
    fit: Fit | None = None,
    shorter_side: int | None = None,
    crop_fraction: float | None = None,
    exif: Exif | None = None,
    depth: ChosenDepth | None = None,
    size: tuple[int, int] | None = None,
    activation: Ending | None = None,
    head_activation: Between | None = None,
    architecture: str | None = None,
    output: str | None = None,
    trust: bool = False,
    device: str = "cpu",
    unreadable: Callable[[EdgedenseError], None] | None = None,
) -> Iterator[Explanation]:
    """Where a model sees a class in pictures: a heatmap (Grad-CAM) per picture and class, one picture after the other.

    Grad-CAM: Selvaraju et al., "Grad-CAM: Visual Explanations from Deep Networks via Gradient-based Localization",
    2017.

    `model` is a trained model (a path, or a Keras model in memory), or a `.tflite` file made with `explain=True`, which
    `device` runs: "cpu", "openvino", "coral", "auto" and so on. `images` are a picture, a folder, a pattern, or an
    iterable of these, of arrays uint8 [H, W, 3] and of PIL images. `classes` are labels; without any it is each
    picture's best class, or every one of a model's values.

    `masks` is a folder of pictures that mark a part of each picture, such as a lesion, with whatever is not zero. The
    mask of `b.jpg` is `b.png`, `b_mask.png` or `b_segmentation.png`, in the same sub-folder: pictures are called as
    `Explanation.name` says. It may be of any size, in the picture's shape. `Explanation.mask` is then what the model
    sees of it, and its outline is drawn; pictures without a mask are left out, and that is logged.

    For a trained model only: `layer` is the feature map to look at (`stem`, `block1`, `transition1` and so on, or a
    name of keras.applications), by default the last; `size` the input's height and width; `labels` the class names, by
    default those in NAME.labels.txt beside NAME.keras; `preprocess` is as in `Options`; `resize`, `fit`,
    `shorter_side`, `crop_fraction`, `exif` and `depth` as in `Resizing`, with one depth for all pictures; `activation`,
    `head_activation`, `architecture`, `output` and `trust` as in `Opening`. `labels` holds for a `.tflite` file too.

    `unreadable` is called for a picture or a mask that cannot be read, or a mask that marks nothing, and the work goes
    on; without it that raises. Raises EdgedenseError for an unknown class or layer, a model that cannot be read, a file
    without heatmaps, or where no picture has a mask.
    """
    pictures = _pictures(images)
    called = _called(pictures)
    marked = None if masks is None else with_masks(masks, called)
    if is_deployed(model):
        _refuse(
            model,
            {
                "--layer": layer,
                "--preprocess": preprocess,
                "--resize": resize,
                "--fit": fit,
                "--shorter-side": shorter_side,
                "--crop-fraction": crop_fraction,
                "--exif": exif,
                "--depth": depth,
                "--input-size": size,
                "--activation": activation,
                "--head-activation": head_activation,
                "--architecture": architecture,
                "--output": output,
                "--trust-model": trust,
            },
        )
        return _of_file(Path(model), device, labels_of(labels), called, classes, unreadable, marked)
    if device != "cpu":
        raise EdgedenseError("a .tflite file for --device", str(model))
    from edgedense.converters import explain as keras
    from edgedense.converters.opening import Opening

    opening = Opening(size, trust, output, activation, head_activation, architecture)
    resizing = _resizing(resize, fit, shorter_side, crop_fraction, exif, depth, pictures)
    opened = _opened(model, labels, preprocess, resizing, opening)
    wanted = pictures if marked is None else list(marked)
    return _named(keras.explain(opened, wanted, classes, layer, unreadable, marked), called)


def feature_maps(
    model: Any,
    images: PicturesLike,
    *,
    layers: Sequence[str] = (),
    labels: Path | str | Sequence[str] | None = None,
    preprocess: Normalization | None = None,
    resize: Resize | None = None,
    fit: Fit | None = None,
    shorter_side: int | None = None,
    crop_fraction: float | None = None,
    exif: Exif | None = None,
    depth: ChosenDepth | None = None,
    size: tuple[int, int] | None = None,
    activation: Ending | None = None,
    head_activation: Between | None = None,
    architecture: str | None = None,
    output: str | None = None,
    trust: bool = False,
    unreadable: Callable[[EdgedenseError], None] | None = None,
) -> Iterator[Features]:
    """What a trained model's layers see in pictures: feature maps [h, w, channels], one picture after the other.

    `layers` are names as for `layer` of `explain`; by default the stem, each dense block, each transition and the last.
    All else is as for `explain`, and so are the errors.
    """
    pictures = _pictures(images)
    if is_deployed(model):
        _refuse(model, {"--features": True})
    from edgedense.converters import features
    from edgedense.converters.opening import Opening

    opening = Opening(size, trust, output, activation, head_activation, architecture)
    resizing = _resizing(resize, fit, shorter_side, crop_fraction, exif, depth, pictures)
    opened = _opened(model, labels, preprocess, resizing, opening)
    return _named(features.feature_maps(opened, pictures, layers, unreadable), _called(pictures))


def _pictures(images: PicturesLike) -> list[Picture]:
    """Each picture once: a file may be named outright and by its folder."""
    from edgedense.images.pictures import collect

    return list(dict.fromkeys(collect(images)))


def _refuse(model: Any, of_keras: dict[str, Any]) -> None:
    if given := [option for option, value in of_keras.items() if value]:
        raise EdgedenseError(f"a Keras model for {' and '.join(given)}", str(model))


def _resizing(
    resize: Resize | None,
    fit: Fit | None,
    shorter_side: int | None,
    crop_fraction: float | None,
    exif: Exif | None,
    depth: ChosenDepth | None,
    pictures: Sequence[Picture],
) -> Resizing:
    """EdgedenseError for a value that there is not, or that is out of its limits. A depth that nobody named is found
    out from the pictures, all together."""
    from edgedense.converters.options import Resizing
    from edgedense.flags import check
    from edgedense.images import depth as depths

    resizing = Resizing(resize or "bilinear", fit, shorter_side, crop_fraction, exif or "ignore", depth or "auto")
    check_choices(resizing)
    check(resizing)
    found, notes = depths.chosen(resizing.depth, pictures)
    tell(notes)
    return replace(resizing, depth=depths.named(found))


def _opened(
    model: Any,
    labels: Path | str | Sequence[str] | None,
    preprocess: Normalization | None,
    resizing: Resizing,
    opening: Opening,
) -> Model:
    from edgedense.converters import explain as keras
    from edgedense.images.preprocessing import Normalization

    check_choice("preprocess", preprocess, Normalization)
    is_file = isinstance(model, str | Path)
    if labels is None and is_file and (beside := Path(model).with_suffix(".labels.txt")).is_file():
        labels = beside
    opened = keras.read(model, labels_of(labels), preprocess, resizing, opening)
    tell(opened.notes, model if is_file else model.name)
    return opened


def _of_file(
    model: Path,
    device: str,
    labels: tuple[str, ...] | None,
    called: Mapping[Picture, str],
    classes: Sequence[str],
    unreadable: Callable[[EdgedenseError], None] | None,
    marked: Mapping[Picture, Path] | None,
) -> Iterator[Explanation]:
    from edgedense.device.classifier import Classifier
    from edgedense.device.explain import explain as by_file

    classifier = Classifier(model, device, labels=labels)
    tell(classifier.notes, model)
    wanted = list(called if marked is None else marked)

    def all_of_them() -> Iterator[Explanation]:
        with classifier:
            yield from _named(by_file(classifier, wanted, classes, unreadable, marked), called)

    return all_of_them()


def _called(pictures: Sequence[Picture]) -> dict[Picture, str]:
    """A file name for each picture."""
    from edgedense.explanations.explanation import names

    return dict(zip(pictures, names(pictures), strict=True))


def with_masks(folder: Path | str, called: Mapping[Picture, str]) -> dict[Picture, Path]:
    """The pictures that have a mask below `folder`, each with it; `called` are their names. Of others it is told."""
    from edgedense.images.masks import find_masks
    from edgedense.measures.labelled import listed

    found = dict(zip(called, find_masks(folder, list(called), list(called.values())), strict=True))
    marked = {picture: mask for picture, mask in found.items() if mask is not None}
    if without := [str(called[picture]) for picture, mask in found.items() if mask is None]:
        tell([f"no mask for {len(without)} of {len(called)} pictures, which are left out: {listed(without)}"], folder)
    return marked


def _named(found: Iterator[Any], called: Mapping[Picture, str]) -> Iterator[Any]:
    """Each result with a file name of its own."""
    return (replace(one, name=called[one.path]) for one in found)
