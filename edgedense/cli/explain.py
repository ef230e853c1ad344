"""`edgedense explain`: where a model sees a class."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from edgedense.cli.options import Device
from edgedense.converters.options import Reading
from edgedense.errors import EdgedenseError, raise_unreadable
from edgedense.flags import Flag
from edgedense.images.preprocessing import find_images

if TYPE_CHECKING:
    from edgedense.explanations.explanation import Explanation


Model = Annotated[
    str,
    Flag(
        "A trained model, as for convert, or a .tflite file that was made with edgedense convert --explain.",
        argument=True,
    ),
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
Masks = Annotated[
    Path | None,
    Flag(
        "A folder of masks, pictures that are not black where something is marked, such as a lesion. Their outline is "
        "drawn over the heatmaps, and how much of each is inside is told. The mask of b.jpg is b.png, b_mask.png or "
        "b_segmentation.png, in the same sub-folder; pictures without a mask are left out.",
        reads="folder",
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
    masks: Masks = None,
    labels: Labels = None,
    reading: Reading,
    device: Device = "cpu",
) -> None:
    """Show where a model sees a class in a picture, as a heatmap (Grad-CAM), or with --features what its layers see.

    Of each picture and class there is a heatmap, an overlay, and NAME-explained.png with all side by side. A heatmap
    shows where the evidence is, each from none to its own strongest, and not how much of it there is. For a .tflite
    file it needs no TensorFlow.
    """
    import edgedense

    if features and (classes or masks):
        given = "--class" if classes else "--masks"
        raise EdgedenseError(f"{given} with heatmaps", "it with --features", "leave one of them out")
    if not features and layers and len(layers) > 1:
        raise EdgedenseError("one --layer for heatmaps", " and ".join(layers), "--features, which shows several")
    paths = list(dict.fromkeys(path for source in images for path in find_images(source)))
    failures: list[EdgedenseError] = []
    chosen: dict[str, Any] = {"labels": labels, "unreadable": failures.append, **reading.given}
    if features:
        if device != "cpu" and not model.endswith(".tflite"):
            raise EdgedenseError("a .tflite file for --device", model)
        for found in edgedense.feature_maps(model, paths, layers=layers or (), **chosen):
            print(*found.save(out), sep="\n")
    else:
        layer = layers[0] if layers else None
        for one in edgedense.explain(
            model, paths, classes=classes or (), layer=layer, masks=masks, device=device, **chosen
        ):
            _print_explanation(one, one.save(out))
    raise_unreadable(failures, len(paths))


def _print_explanation(one: Explanation, written: Sequence[Path]) -> None:
    for heat in one.heats:
        said = ", ".join(filter(None, (heat.said, one.beside_mask(heat))))
        print(f"{heat.label}  {said}  {one.path} -> {written[-1]}")
