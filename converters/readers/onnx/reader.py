"""A trained model as an ONNX file -> the DenseNet that it is."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

from edgedense.converters.network.graph import Activation
from edgedense.converters.opening import Opening
from edgedense.converters.readers.onnx import files as onnx_files
from edgedense.converters.readers.onnx import graph as onnx_graph
from edgedense.converters.readers.onnx import head as onnx_head
from edgedense.converters.readers.onnx import layers as onnx_layers
from edgedense.converters.readers.onnx.graph import Graph
from edgedense.converters.readers.onnx.walk import Listed
from edgedense.converters.readers.programs import FloatProgram
from edgedense.converters.readers.source import Source
from edgedense.converters.readers.structure import matching
from edgedense.converters.readers.structure.matching import Structure
from edgedense.errors import EdgedenseError
from edgedense.images.steps import Size


def reads(model: Any) -> bool:
    """Whether `model` is the path of an ONNX file, as far as its name tells."""
    return isinstance(model, str | Path) and Path(model).suffix.lower() == ".onnx"


def read(path: Path | str, opening: Opening | None = None) -> Source:
    """Reads a trained DenseNet out of an ONNX file.

    `opening` is what the file does not say: the picture's size where it is open, which of several outputs counts.
    EdgedenseError when the file cannot be read, or is no DenseNet.
    """
    opening = opening or Opening()
    loaded = onnx_files.load(Path(path))
    image = onnx_graph.picture(loaded.model, loaded.name)
    size = _size(image.size, opening.size, loaded.name)
    graph = onnx_graph.build(loaded.model, image, size, _output(loaded.model, opening.output, loaded.name))
    found = onnx_layers.listed(graph, image.channel_axis)
    structure = matching.match(found.layers, size)
    if structure.steps:
        raise EdgedenseError(
            "a graph that takes pictures as large as its first convolution does",
            f"{loaded.name}, which resizes or cuts them first",
            "export the model again without that, and name the size behind it with --input-size",
        )
    network = structure.network
    if structure.seam is not None:
        network = replace(network, head=replace(network.head, steps=_float_head(graph, found, structure)))
    height, width = image.size
    return Source(
        network,
        structure.normalized,
        loaded.sha256,
        loaded.name,
        structure.parameters,
        FloatProgram(network),
        size,
        trained_size=None if height is None or width is None else (height, width),
    )


def _size(own: tuple[int | None, int | None], wanted: Size | None, name: str) -> Size:
    height, width = own
    if wanted is not None:
        return wanted
    if height is None or width is None:
        raise EdgedenseError(
            "a fixed image size",
            f"{name}, which takes images of any size",
            "name the size that it was trained with: --input-size 224",
        )
    return height, width


def _output(model: Any, wanted: str | None, name: str) -> str:
    """The name of the output that counts."""
    names = [output.name for output in model.graph.output]
    if wanted is None and len(names) == 1:
        return names[0]
    if wanted is None or wanted not in names:
        count = f"{len(names)} outputs" if len(names) > 1 else "one output"
        raise EdgedenseError(
            "the name of the output to use",
            f"{wanted!r}" if wanted else f"{count} in {name}",
            f"one of: {', '.join(names)}, as --output {names[0]}",
        )
    return wanted


def _float_head(graph: Graph, found: Listed, structure: Structure) -> tuple[Any, ...]:
    """The steps of a head that stays float: one for what the graph has no words for, and the activation behind it."""
    seam, steps = structure.seam, structure.network.head.steps
    assert seam is not None, found
    start = found.values[seam.start]
    end = graph.output
    if steps and isinstance(steps[-1], Activation):
        final = found.values[structure.final]
        end = next(node.inputs[0] for node in graph.nodes if final in node.outputs)
    return (onnx_head.trace(graph, seam, start, found.places[start], end), *steps)
