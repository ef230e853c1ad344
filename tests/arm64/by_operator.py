"""Where the instructions of a .tflite file lie: counted by kind of operator, on every emulated processor.

    python tests/arm64/by_operator.py WORK MODEL.tflite

WORK as in bench.py. The operators of each kind get a file of their own, in which they read inputs of the file instead
of each other's outputs: they are the same operators on the same shapes, and what is between kinds is left out.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import flatbuffers

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))  # as a script, only its own folder is on the path

from edgedense.boards import operators
from edgedense.deployed.schema import parsed
from tests.arm64 import counting
from tests.arm64.counting import CORES

WHOLE = "the whole file"


def main() -> None:
    """Count, and print a table in Markdown."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("work", type=Path)
    parser.add_argument("model", type=Path)
    arguments = parser.parse_args()
    work, model = arguments.work.resolve(), arguments.model.read_bytes()
    files = {**split(model), WHOLE: model}
    counter, engine = counting.build_counter(work), counting.installed(work)
    counts: dict[str, dict[str, int]] = {}
    with tempfile.TemporaryDirectory() as folder:
        paths = [Path(folder) / f"{number}.tflite" for number in range(len(files))]
        for path, content in zip(paths, files.values(), strict=True):
            path.write_bytes(content)
        for core in CORES:
            root = counting.board_root(work, core)
            marks = counting.run(str(counter), work, root, core, paths, 1, engine)
            counts[core.name] = {kind: after[0] - before[0] for kind, (before, after) in zip(files, marks, strict=True)}
    print(table(counts, {kind: len(operators.read(content)) for kind, content in files.items()}))


def kinds(model: bytes) -> list[str]:
    """Of each operator the kind that it is counted with: its code, and of a convolution whether a window is read."""
    return [
        f"{op.code} {'1x1' if op.kernel == (1, 1) else 'of a window'}" if op.code == "CONV_2D" else op.code
        for op in operators.read(model)
    ]


def split(model: bytes) -> dict[str, bytes]:
    """A file for each kind of operator."""
    found = kinds(model)
    return {kind: _only([one == kind for one in found], model) for kind in dict.fromkeys(found)}


def _only(kept: list[bool], model: bytes) -> bytes:
    def rewritten(schema: Any, content: Any) -> bytes:
        graph = content.subgraphs[0]
        graph.operators = [op for op, is_kept in zip(graph.operators, kept, strict=True) if is_kept]
        made = [int(tensor) for op in graph.operators for tensor in op.outputs]
        read = dict.fromkeys(int(tensor) for op in graph.operators for tensor in op.inputs if tensor >= 0)
        stored = {i for i, tensor in enumerate(graph.tensors) if content.buffers[tensor.buffer].data is not None}
        graph.inputs = [tensor for tensor in read if tensor not in stored and tensor not in set(made)]
        graph.outputs, content.signatureDefs = made, None
        builder = flatbuffers.Builder(len(model))
        builder.Finish(content.Pack(builder), b"TFL3")
        return bytes(builder.Output())

    return parsed(model, rewritten)


def table(counts: Mapping[str, Mapping[str, int]], operators: Mapping[str, int]) -> str:
    """Markdown: millions of instructions and the share of the whole file, the largest of the first core first."""
    first = next(iter(counts.values()))
    order = sorted(first, key=lambda kind: (kind == WHOLE, -first[kind]))
    lines = ["| operator | how many |" + "".join(f" {core} |" for core in counts), "|" + " --- |" * (2 + len(counts))]
    for kind in order:
        cells = (f" {1e-6 * one[kind]:.2f} M ({100 * one[kind] / one[WHOLE]:.1f} %) |" for one in counts.values())
        lines.append(f"| {kind} | {operators[kind]} |" + "".join(cells))
    return "\n".join(lines)


if __name__ == "__main__":
    main()
