"""TFLite Model Metadata: the buffer by which other tools find the labels and the input's normalization.

Built from the public schema, metadata_schema.fbs (identifier M001); fields are named here by their position in it.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import flatbuffers

from edgedense.deployed.bundle import LABELS

TENSOR_AXIS_LABELS = 2  # AssociatedFileType
RGB, GREYSCALE = 1, 2  # ColorSpaceType
IMAGE_PROPERTIES, NORMALIZATION_OPTIONS = 2, 1  # members of the unions ContentProperties and ProcessUnitOptions


def model_metadata(
    name: str, labels: Sequence[str], classes: int, with_features: bool = False, channels: int = 3
) -> bytes:
    """The metadata of an image classifier with uint8 pixels in, RGB or of one channel grey, and scores [1, classes]
    out.

    Labels are attached to the output where there is one for each score. `with_features`: the last feature map is a
    second output.
    """
    b = flatbuffers.Builder(1024)
    # Raw pixels in: readers that normalize uint8 input must leave it as it is.
    normalization = _table(b, [_floats(b, [0.0]), _floats(b, [1.0])])
    unit = _table(b, [(NORMALIZATION_OPTIONS, "Uint8"), normalization])
    space, pixels = (RGB, "RGB pixels") if channels == 3 else (GREYSCALE, "Grey pixels")
    content = _table(b, [(IMAGE_PROPERTIES, "Uint8"), _table(b, [(space, "Int8")])])
    image = _table(b, [_text(b, "image"), _text(b, f"{pixels}, 0 to 255"), None, content, _vector(b, [unit])])
    files = None
    if len(labels) == classes:
        labelled = [_text(b, LABELS), _text(b, "One label per score"), (TENSOR_AXIS_LABELS, "Int8")]
        files = _vector(b, [_table(b, labelled)])
    scores = _table(b, [_text(b, "scores"), _text(b, "One score per class"), None, None, None, None, files])
    outputs = [scores]
    if with_features:
        outputs.append(_table(b, [_text(b, "features"), _text(b, "The last feature map, for heatmaps")]))
    graph = _table(b, [_text(b, "main"), None, _vector(b, [image]), _vector(b, outputs)])
    # 1.0.0 is the first parser version, and knows all that is used here.
    model = _table(
        b,
        [
            _text(b, name),
            _text(b, "An image classifier made by edgedense"),
            None,
            _vector(b, [graph]),
            None,
            None,
            None,
            _text(b, "1.0.0"),
        ],
    )
    b.Finish(model, file_identifier=b"M001")
    return bytes(b.Output())


def _text(b: Any, value: str) -> int:
    return b.CreateString(value)


def _floats(b: Any, values: Sequence[float]) -> int:
    b.StartVector(4, len(values), 4)
    for value in reversed(values):
        b.PrependFloat32(value)
    return b.EndVector()


def _vector(b: Any, offsets: Sequence[int]) -> int:
    b.StartVector(4, len(offsets), 4)
    for offset in reversed(offsets):
        b.PrependUOffsetTRelative(offset)
    return b.EndVector()


def _table(b: Any, fields: Sequence[Any]) -> int:
    """A table whose fields are offsets, (value, scalar type), or absent."""
    b.StartObject(len(fields))
    for slot, value in enumerate(fields):
        if isinstance(value, tuple):
            getattr(b, f"Prepend{value[1]}Slot")(slot, value[0], 0)
        elif value is not None:
            b.PrependUOffsetTRelativeSlot(slot, value, 0)
    return b.EndObject()
