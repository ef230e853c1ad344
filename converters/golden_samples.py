"""The golden samples of a file that was just made (see `edgedense.golden`)."""

from __future__ import annotations

import importlib.metadata
import platform
from collections.abc import Callable, Sequence

import numpy.typing as npt

from edgedense import golden
from edgedense.golden import Pixels


def golden_samples(model: bytes, reference: Callable[[Pixels], npt.ArrayLike], height: int, width: int,
                   images: Sequence[Pixels] = ()) -> bytes:
    """The entry `golden.ENTRY` of the deployed file: `model` (a .tflite file) and the float model on the
    same probes.

    `reference` takes raw pixels, uint8 [N, height, width, 3], to scores [N, classes]. `images` (uint8
    [height, width, 3]) are stored in the entry as they are; without them no picture is.
    """
    from ai_edge_litert.interpreter import Interpreter, OpResolverType

    fast = Interpreter(model_content=model)
    keeping = Interpreter(model_content=model, experimental_preserve_all_tensors=True,
                          experimental_op_resolver_type=OpResolverType.BUILTIN_WITHOUT_DEFAULT_DELEGATES)
    for interpreter in (fast, keeping):
        interpreter.allocate_tensors()
    return golden.record(
        golden.raw_invoke(fast), reference, height=height, width=width, step=golden.output_step(fast),
        runtime=f"ai-edge-litert {importlib.metadata.version('ai-edge-litert')}", machine=platform.machine(),
        layers=lambda pixels: golden.layer_levels(keeping, pixels), images=images,
    ).to_bytes()
