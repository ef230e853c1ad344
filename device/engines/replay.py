"""Golden samples on this machine: does the file compute what it computed where it was made?"""

from __future__ import annotations

import platform
import sys
from pathlib import Path
from typing import Any

from edgedense.deployed import bundle, golden
from edgedense.deployed.golden import Golden, Pixels, Replay
from edgedense.device.engines.interpreter import find_runtime, make_interpreter, runtime_name
from edgedense.errors import EdgedenseError


def replay(path: Path | str, threads: int | None = None, device: str = "cpu") -> Replay:
    """Compute the golden samples of the file at `path` again, on `device` as for `make_interpreter`. Raises
    EdgedenseError when it carries none, and what `make_interpreter` raises."""
    content = bundle.read(path)
    entry = content.entries.get(golden.ENTRY)
    if entry is None:
        raise EdgedenseError(
            "golden samples in the file, or images to measure on",
            f"neither, with {path}",
            "--data FOLDER, or convert the model again",
        )
    runner = make_interpreter(content.model, device, threads)

    def levels(pixels: Pixels) -> dict[str, float]:
        return golden.layer_levels(keeping_interpreter(content.model), pixels)

    return golden.replay(
        Golden.from_bytes(entry),
        golden.raw_invoke(runner),
        runtime=runtime_name(device),
        machine=platform.machine(),
        layers=levels if device == "cpu" else None,  # other engines keep no layer's output
    )


def keeping_interpreter(model: bytes) -> Any:
    """An interpreter that keeps every tensor for inspection: slower, and without XNNPACK, which hides its
    own."""
    kind = find_runtime().interpreter
    plain = sys.modules[kind.__module__].OpResolverType.BUILTIN_WITHOUT_DEFAULT_DELEGATES
    interpreter = kind(model_content=model, experimental_preserve_all_tensors=True, experimental_op_resolver_type=plain)
    interpreter.allocate_tensors()
    return interpreter
