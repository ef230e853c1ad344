"""What a head that stays float32 means for a deployed file: what it costs, and what cannot be had with it."""

from __future__ import annotations

from typing import Any

from edgedense.converters.network.graph import FloatHead
from edgedense.converters.network.stock import converted
from edgedense.errors import EdgedenseError

_KNOWN = "a head of pooling, Flatten, Dense, BatchNormalization and activation layers, one behind the other"


def check(head: FloatHead, *, coral: bool, explain: bool, integer_output: bool) -> tuple[str, ...]:
    """Remarks for the user about a file with this head.

    EdgedenseError for a head that TensorFlow Lite does not run, for an Edge TPU (`coral`), which computes in integers
    only, and for heatmaps on the device (`explain`), which computes the gradients of a few kinds of layers only.
    """
    part = converted(head)
    if coral:
        raise EdgedenseError(
            f"for an Edge TPU, which computes in integers only, {_KNOWN}",
            f"a head that stays float32: {head.reason}",
            "--target cpu, or rebuild the head of those layers",
        )
    if explain:
        raise EdgedenseError(
            f"for heatmaps on the device, whose gradients are computed without TensorFlow, {_KNOWN}",
            f"a head that stays float32: {head.reason}",
            "edgedense explain on the Keras model, and this file without --explain",
        )
    operators = ", ".join(f"{count} {code}" for code, count in part.counts.items())
    note = (
        f"the head stays float32, as TensorFlow's own converter makes it, because of {head.reason}. It is {operators}: "
        f"{part.parameters:,} weights, {part.weight_bytes / 1e3:,.0f} kB, {part.macs:,} multiply-accumulates. "
        "All before it is int8"
    )
    if not integer_output:
        return (note,)
    return note, "--output-type uint8 rounds the scores at the very end: the file is not integer only, for its head"


def facts(head: FloatHead) -> dict[str, Any]:
    """For the recipe inside the file, and for reports."""
    part = converted(head)
    return {
        "reason": head.reason,
        "layers": list(head.layers),
        "operators": part.counts,
        "parameters": part.parameters,
        "multiply_accumulates": part.macs,
        "bytes": part.weight_bytes,
    }
