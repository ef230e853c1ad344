"""What Keras layers before the first convolution do to a picture's size, as plain rectangles.

The arithmetic is that of `keras.layers.Resizing`, `CenterCrop` and `keras.utils.image_utils.smart_resize`, in whole
numbers, which give what their float32 does.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, get_args

from edgedense.converters.readers.structure.layers import Layer
from edgedense.errors import EdgedenseError
from edgedense.images.resampling import Method
from edgedense.images.steps import Crop, Pad, Resample, Size, Step

Steps = tuple[Step, ...]


def steps_of(layer: Layer, size: Size) -> Steps:
    """The steps that `layer` takes with a picture of `size`. A border's `fill` is in the layer's own units.

    EdgedenseError where the layer does something else.
    """
    if layer.options.get("data_format") == "channels_first":
        raise EdgedenseError("channels last", f"{layer} with channels first", "rebuild the model with channels last")
    return _LAYERS[layer.kind](layer, size)


def cropped(size: Size, rows: slice, columns: slice) -> Steps:
    """A picture of `size` cut by slices with step 1."""
    (top, bottom), (left, right) = (part.indices(n)[:2] for part, n in zip((rows, columns), size, strict=True))
    return _unless_whole(Crop(top, left, bottom - top, right - left), size)


def _resizing(layer: Layer, size: Size) -> Steps:
    options = layer.options
    target = _target(layer, options["size"] if "size" in options else (options["height"], options["width"]))
    last = Resample(*target, _method(layer, options["interpolation"]), bool(options.get("antialias")))
    before: Steps = ()
    if options.get("crop_to_aspect_ratio"):
        before = _unless_whole(_largest_window(size, target), size)
    elif options.get("pad_to_aspect_ratio"):
        before = _unless_whole(_smallest_frame(size, target, float(options.get("fill_value", 0.0))), size)
    return (*before, last)


def _tf_resize(layer: Layer, size: Size) -> Steps:
    """`tf.image.resize(images, size, method, preserve_aspect_ratio, antialias)` of Keras 2."""
    names = ("images", "size", "method", "preserve_aspect_ratio", "antialias")
    given = {**dict(zip(names, layer.operands, strict=False)), **layer.options}
    if given.get("preserve_aspect_ratio"):
        raise EdgedenseError("a resizing to a fixed size", f"{layer} with preserve_aspect_ratio", _HINT)
    target = _target(layer, given["size"])
    return (Resample(*target, _method(layer, given.get("method", "bilinear")), bool(given.get("antialias"))),)


def _center_crop(layer: Layer, size: Size) -> Steps:
    height, width = _target(layer, (layer.options["height"], layer.options["width"]))
    if size[0] < height or size[1] < width:
        return _smart_resize(layer, size)
    return _unless_whole(Crop((size[0] - height) // 2, (size[1] - width) // 2, height, width), size)


def _random_crop(layer: Layer, size: Size) -> Steps:
    """When it is not training, Keras 2's layer does what CenterCrop does with small pictures."""
    if "tf_keras" not in type(layer.operation).__module__:
        raise EdgedenseError(
            "a layer that cuts when it is not training",
            f"{layer}: versions of Keras 3 disagree on what it does then, and some leave the picture as it is",
            "build the model again with CenterCrop or Resizing in its place; the weights fit",
        )
    return _smart_resize(layer, size)


def _smart_resize(layer: Layer, size: Size) -> Steps:
    """The largest window of the right shape, resized."""
    target = _target(layer, (layer.options["height"], layer.options["width"]))
    return (*_unless_whole(_largest_window(size, target), size), Resample(*target, "bilinear"))


def _cropping(layer: Layer, size: Size) -> Steps:
    (top, bottom), (left, right) = layer.options["cropping"]
    return cropped(size, slice(top, size[0] - bottom), slice(left, size[1] - right))


def _crop_images(layer: Layer, size: Size) -> Steps:
    top, left, height, width = _placed(layer, size, "cropping", size)
    return _unless_whole(Crop(top, left, height, width), size)


def _pad_images(layer: Layer, size: Size) -> Steps:
    target = (layer.shape[1] or 0, layer.shape[2] or 0)
    top, left, _, _ = _placed(layer, size, "padding", target)
    return _unless_whole(Pad(top, left, *target, (0.0, 0.0, 0.0)), size)


def _placed(layer: Layer, size: Size, what: str, outer: Size) -> tuple[int, int, int, int]:
    """(top, left, height, width) of `keras.ops.image.crop_images` and `pad_images`, which name some of the borders."""
    inner = (layer.shape[1] or 0, layer.shape[2] or 0) if what == "cropping" else size
    starts = []
    for first, last, within, around in zip(("top", "left"), ("bottom", "right"), inner, outer, strict=True):
        start, end = layer.options.get(f"{first}_{what}"), layer.options.get(f"{last}_{what}")
        starts.append(around - within - int(end) if start is None and end is not None else int(start or 0))
    return starts[0], starts[1], inner[0], inner[1]


def _upsampling(layer: Layer, size: Size) -> Steps:
    rows, columns = layer.options["size"]
    return (Resample(size[0] * rows, size[1] * columns, _method(layer, layer.options["interpolation"])),)


def _largest_window(size: Size, target: Size) -> Crop:
    """The largest rectangle in the middle of `size` that has the shape of `target`."""
    height = max(min(size[0], size[1] * target[0] // target[1]), 1)
    width = max(min(size[1], size[0] * target[1] // target[0]), 1)
    return Crop((size[0] - height) // 2, (size[1] - width) // 2, height, width)


def _smallest_frame(size: Size, target: Size, fill: float) -> Pad:
    """The smallest frame around `size` that has the shape of `target`; Keras leaves out an odd last row or column."""
    top = (max(size[0], size[1] * target[0] // target[1]) - size[0]) // 2
    left = (max(size[1], size[0] * target[1] // target[0]) - size[1]) // 2
    return Pad(top, left, size[0] + 2 * top, size[1] + 2 * left, (fill, fill, fill))


def _unless_whole(step: Crop | Pad, size: Size) -> Steps:
    return () if (step.height, step.width) == size else (step,)


def _target(layer: Layer, size: Any) -> Size:
    try:
        height, width = (int(value) for value in size)
    except (TypeError, ValueError):
        raise EdgedenseError("a resizing to a fixed size", f"{layer} to {size}", _HINT) from None
    return height, width


def _method(layer: Layer, name: Any) -> Method:
    for method in get_args(Method):
        if str(name).lower() == method:
            return method
    raise EdgedenseError(f"a resizing by {', '.join(get_args(Method))}", f"{layer} by {name!r}", _HINT)


_HINT = "leave the layer out of the model, and resize pictures to the size behind it"
_LAYERS: dict[str, Callable[[Layer, Size], Steps]] = {
    "CenterCrop": _center_crop,
    "CropImages": _crop_images,
    "Cropping2D": _cropping,
    "PadImages": _pad_images,
    "RandomCrop": _random_crop,
    "Resize": _resizing,
    "Resizing": _resizing,
    "UpSampling2D": _upsampling,
    "tf.image.resize": _tf_resize,
}
KINDS = frozenset(_LAYERS)
