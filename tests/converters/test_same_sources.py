"""The same weights, brought in every way, become the same file: equal operators, and equal constants to the bit."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edgedense.converters import pipeline
from edgedense.converters.conversion import Conversion
from edgedense.converters.opening import Opening
from edgedense.converters.options import Options
from edgedense.deployed import bundle
from tests import models, onnx_graphs, state_dicts

KERAS_EPSILON, TORCH_EPSILON = 1.001e-5, 1e-5
KINDS = ("Conv2D", "BatchNormalization", "Dense")
SIZE = (32, 32)


def torch_named(model: Any) -> state_dicts.Arrays:
    """The weights of `models.densenet()` under torchvision's names. PyTorch's norms have another epsilon, and what is
    under the root must be the same: float64 holds the difference.
    """
    convs, norms, dense = ([layer for layer in model.layers if type(layer).__name__ == kind] for kind in KINDS)
    layers = [f"features.denseblock{block}.denselayer{layer}" for block in (1, 2) for layer in (1, 2)]
    bottlenecks = [f"{name}.{part}{number}" for name in layers for number in (1, 2) for part in ("norm", "conv")]
    bottlenecks[8:8] = ["features.transition1.norm", "features.transition1.conv"]
    names = ["features.conv0", "features.norm0", *bottlenecks, "features.norm5"]
    arrays: state_dicts.Arrays = {}
    for name, layer in zip([n for n in names if "conv" in n.rpartition(".")[2]], convs, strict=True):
        arrays[f"{name}.weight"] = np.ascontiguousarray(layer.get_weights()[0].transpose(3, 2, 0, 1))
    for name, layer in zip([n for n in names if "norm" in n.rpartition(".")[2]], norms, strict=True):
        weight, bias, mean, variance = layer.get_weights()
        arrays |= {f"{name}.weight": weight, f"{name}.bias": bias, f"{name}.running_mean": mean}
        arrays[f"{name}.running_var"] = variance.astype(np.float64) + (KERAS_EPSILON - TORCH_EPSILON)
    kernel, bias = dense[0].get_weights()
    return {**arrays, "classifier.weight": np.ascontiguousarray(kernel.T), "classifier.bias": bias}


def constants(conversion: Conversion) -> tuple[list[tuple[Any, ...]], list[bytes]]:
    """The operators of the deployed file with the numbers of their tensors, and the constants with their scales."""
    from ai_edge_litert import schema_py_generated as schema

    model = schema.ModelT.InitFromPackedBuf(bundle.without_archive(conversion.data))
    (graph,) = model.subgraphs
    operators = [(op.opcodeIndex, *op.inputs.tolist(), *op.outputs.tolist()) for op in graph.operators]
    values = []
    for tensor in graph.tensors:
        data, scale = model.buffers[tensor.buffer].data, tensor.quantization.scale if tensor.quantization else None
        parts = [np.asarray(part).tobytes() for part in (data, scale) if part is not None]
        values.append(b"|".join(parts))
    return operators, values


def converted(path: Path, pictures: Path, opening: Opening) -> Conversion:
    options = Options(preprocess="densenet", ranges="minmax", headroom=1.0, opening=opening)
    return pipeline.convert(path, pictures, options=options)


@pytest.mark.slow
def test_every_door_leads_to_the_same_file(pictures: Path, tmp_path: Path) -> None:
    import onnx

    model = models.densenet()
    model.save(tmp_path / "m.keras")
    model.save_weights(tmp_path / "m.weights.h5")
    onnx.save(onnx_graphs.of_keras(model), tmp_path / "m.onnx")
    state_dicts.write(tmp_path / "m.safetensors", torch_named(model))
    expected = constants(converted(tmp_path / "m.keras", pictures, Opening()))
    assert len(expected[0]) > 20
    bare = Opening(SIZE, activation="softmax")
    keras_weights = replace(bare, architecture="2,2")
    for name, opening in {"m.weights.h5": keras_weights, "m.safetensors": bare, "m.onnx": Opening()}.items():
        operators, values = constants(converted(tmp_path / name, pictures, opening))
        assert operators == expected[0], name
        assert [number for number, value in enumerate(values) if value != expected[1][number]] == [], name

    models.randomized(model, 1).save_weights(tmp_path / "m.weights.h5")
    other = constants(converted(tmp_path / "m.weights.h5", pictures, keras_weights))
    assert other[0] == expected[0]
    assert other[1] != expected[1]
