"""`edgedense explain`: where a model sees a class."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from edgedense.errors import EdgedenseError, raise_unreadable
from edgedense.images.preprocessing import Exif, Normalization, Resize, find_images

if TYPE_CHECKING:
    from edgedense.explanations.explanation import Explanation


def explain(
    model: Annotated[
        str,
        typer.Argument(
            metavar="MODEL",
            help="A trained Keras model, or a .tflite file made by edgedense convert --explain.",
            show_default=False,
        ),
    ],
    images: Annotated[
        list[str],
        typer.Argument(
            metavar="IMAGE", help="Images, folders of images or patterns such as 'photos/*.jpg'.", show_default=False
        ),
    ],
    classes: Annotated[
        list[str] | None,
        typer.Option(
            "--class",
            metavar="LABEL",
            help="A class to look for, may be given again; by default each picture's best.",
            show_default=False,
        ),
    ] = None,
    layers: Annotated[
        list[str] | None,
        typer.Option(
            "--layer",
            metavar="NAME",
            help="The feature map to look at: stem, block1, transition1 and so on, or a name "
            "from edgedense inspect --layers or from keras.applications; by default the last. With --features it may "
            "be given again.",
            show_default=False,
        ),
    ] = None,
    out: Annotated[Path, typer.Option(metavar="DIR", help="Where the PNG files go.")] = Path("explained"),
    features: Annotated[
        bool,
        typer.Option(
            "--features",
            help="In place of heatmaps the feature maps of the stem, each dense block and each transition, "
            "or of --layer.",
        ),
    ] = False,
    labels: Annotated[
        Path | None,
        typer.Option(
            help="Class names, one per line, in the order of the model's outputs; by default NAME.labels.txt beside "
            "NAME.keras, as edgedense train writes it, or those in the .tflite file.",
            show_default=False,
        ),
    ] = None,
    preprocess: Annotated[
        Normalization | None,
        typer.Option(
            help="The normalization that the model was trained with outside of itself, as for edgedense convert.",
            show_default=False,
        ),
    ] = None,
    resize: Annotated[
        Resize | None, typer.Option(help="How training resized.  [default: bilinear]", show_default=False)
    ] = None,
    exif: Annotated[
        Exif | None,
        typer.Option(
            help="Whether to turn pictures as their EXIF rotation says.  [default: ignore]", show_default=False
        ),
    ] = None,
    input_size: Annotated[
        int | None,
        typer.Option(
            min=32, help="Height and width of the input in pixels, in place of the model's own.", show_default=False
        ),
    ] = None,
    device: Annotated[
        str,
        typer.Option(help="What runs a .tflite file: cpu, coral (an Edge TPU; coral:usb, coral:pci:1 ...) or auto."),
    ] = "cpu",
) -> None:
    """Show where a model sees a class in a picture, as a heatmap (Grad-CAM), or with --features what its layers see.

    Of each picture and class there is a heatmap, an overlay, and NAME-explained.png with all side by side. A heatmap
    shows where the evidence is, each from none to its own strongest, and not how much of it there is. For a .tflite
    file it needs no TensorFlow.
    """
    import edgedense

    if features and classes:
        raise EdgedenseError("--class with heatmaps", "it with --features", "leave one of them out")
    if not features and layers and len(layers) > 1:
        raise EdgedenseError("one --layer for heatmaps", " and ".join(layers), "--features, which shows several")
    size = (input_size, input_size) if input_size else None
    paths = list(dict.fromkeys(path for source in images for path in find_images(source)))
    failures: list[EdgedenseError] = []
    if features:
        if device != "cpu" and not model.endswith(".tflite"):
            raise EdgedenseError("a .tflite file for --device", model)
        for found in edgedense.feature_maps(
            model,
            paths,
            layers=layers or (),
            labels=labels,
            preprocess=preprocess,
            resize=resize,
            exif=exif,
            size=size,
            unreadable=failures.append,
        ):
            print(*found.save(out), sep="\n")
    else:
        for one in edgedense.explain(
            model,
            paths,
            classes=classes or (),
            layer=layers[0] if layers else None,
            labels=labels,
            preprocess=preprocess,
            resize=resize,
            exif=exif,
            size=size,
            device=device,
            unreadable=failures.append,
        ):
            _print_explanation(one, one.save(out))
    raise_unreadable(failures, len(paths))


def _print_explanation(one: Explanation, written: Sequence[Path]) -> None:
    for heat in one.heats:
        print(f"{heat.label}  {heat.score:.1%}  {one.path} -> {written[-1]}")
