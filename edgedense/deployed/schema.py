"""A .tflite flatbuffer as objects, by the schema that ai-edge-litert brings."""

from __future__ import annotations

import struct
from collections.abc import Callable
from typing import Any, TypeVar

from edgedense.errors import DeviceError, EdgedenseError

Read = TypeVar("Read")


def parsed(model: bytes, read: Callable[[Any, Any], Read]) -> Read:
    """What `read` makes of the schema and of the flatbuffer `model` as its objects.

    Raises EdgedenseError when it is damaged, DeviceError without ai-edge-litert.
    """
    try:
        from ai_edge_litert import schema_py_generated as schema
    except ImportError as error:
        raise DeviceError(
            "the package ai-edge-litert, whose schema reads the file", str(error), "pip install 'edgedense[device]'"
        ) from error
    try:
        return read(schema, schema.ModelT.InitFromPackedBuf(model, 0))
    except (IndexError, AttributeError, TypeError, ValueError, KeyError, struct.error) as error:
        raise EdgedenseError(
            "a whole .tflite file", f"one that cannot be parsed ({error})", "copy the file again"
        ) from error
