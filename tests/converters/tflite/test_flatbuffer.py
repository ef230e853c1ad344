"""The writer of the .tflite file: equal content once, stable bytes, and a file that runtimes open."""

from __future__ import annotations

import numpy as np
import pytest
from ai_edge_litert import schema_py_generated as schema

from edgedense.converters.tflite import execute
from edgedense.converters.tflite.flatbuffer import ALIGNMENT, Operator, Quantization, Tensor, write
from edgedense.device.engines.contents import contents

KERNEL = np.arange(1, 7, dtype=np.float32).reshape(2, 3)


def tensors(*names: str, kernel: np.ndarray = KERNEL, per_channel: bool = False) -> list[Tensor]:
    """Dense layers in a row, 3 to 3; all have the same weights, bias and quantization."""
    scale = np.array([0.5, 0.25, 0.125], np.float32) if per_channel else np.array([0.5], np.float32)
    found = [Tensor("image", (1, 3), "int8", Quantization(np.array([0.5], np.float32)))]
    for name in names:
        found += [
            Tensor(f"{name}/kernel", (3, 3), "int8", Quantization(scale), np.arange(9).reshape(3, 3)),
            Tensor(f"{name}/bias", (3,), "int32", Quantization(scale / 2), np.arange(3)),
            Tensor(name, (1, 3), "int8", Quantization(np.array([0.5], np.float32))),
        ]
    return found


def operators(*names: str) -> list[Operator]:
    sources = ("image", *names)
    return [
        Operator(
            "FULLY_CONNECTED",
            4,
            (source, f"{name}/kernel", f"{name}/bias"),
            (name,),
            "FullyConnectedOptions",
            {"fusedActivationFunction": 0},
        )
        for source, name in zip(sources, names, strict=False)
    ]


def made(*names: str, per_channel: bool = False, metadata: bytes = b"") -> bytes:
    return write(tensors(*names, per_channel=per_channel), operators(*names), ("image",), (names[-1],), metadata)


def test_a_file_that_runs() -> None:
    model = write(
        [
            Tensor("image", (1, 3), "float32"),
            Tensor("kernel", (2, 3), "float32", data=KERNEL),
            Tensor("bias", (2,), "float32", data=np.array([10, 20])),
            Tensor("scores", (1, 2), "float32"),
        ],
        [
            Operator(
                "FULLY_CONNECTED",
                1,
                ("image", "kernel", "bias"),
                ("scores",),
                "FullyConnectedOptions",
                {"fusedActivationFunction": 1},
            )
        ],
        ("image",),
        ("scores",),
    )
    assert model[4:8] == b"TFL3"
    runner = execute.interpreter(model)
    runner.set_tensor(runner.get_input_details()[0]["index"], np.array([[1, -1, 2]], np.float32))
    runner.invoke()
    assert runner.get_tensor(runner.get_output_details()[0]["index"]).tolist() == [[10 + 5, 20 + 11]]


def test_names_shapes_and_quantization_are_kept() -> None:
    model = schema.ModelT.InitFromPackedBuf(made("a", "b", per_channel=True), 0)
    found = {tensor.name.decode(): tensor for tensor in model.subgraphs[0].tensors}
    assert list(found) == [tensor.name for tensor in tensors("a", "b")]
    assert found["a/kernel"].shape.tolist() == [3, 3]
    assert found["a/kernel"].quantization.scale.tolist() == [0.5, 0.25, 0.125]
    assert found["a/kernel"].quantization.zeroPoint.tolist() == [0, 0, 0]
    assert found["b"].quantization.scale.tolist() == [0.5]
    assert model.buffers[found["b/bias"].buffer].data.tobytes() == np.arange(3, dtype=np.int32).tobytes()


def test_equal_content_is_stored_once() -> None:
    """A second layer with the same weights and scales adds names and an operator, and no vector of scales."""
    model = schema.ModelT.InitFromPackedBuf(made("a", "b"), 0)
    found = {tensor.name.decode(): tensor for tensor in model.subgraphs[0].tensors}
    assert found["a/kernel"].buffer == found["b/kernel"].buffer
    assert len(model.buffers) == 3  # none, kernel, bias
    scales = np.full(3000, 0.123, np.float32)

    def layer(name: str, scale: np.ndarray) -> Tensor:
        return Tensor(name, (3000,), "int8", Quantization(scale))

    one = len(write([layer("a", scales)], [], ("a",), ("a",)))
    two = len(write([layer("a", scales), layer("b", scales)], [], ("a",), ("a",)))
    other = len(write([layer("a", scales), layer("b", scales + 1)], [], ("a",), ("a",)))
    assert two - one < 100
    assert other - two >= 3000 * 4  # the scales; the zero points are shared


def test_quantization_that_differs_in_zero_point_or_axis_is_not_shared() -> None:
    scale = np.array([0.5, 0.25], np.float32)
    quantizations = [Quantization(scale), Quantization(scale, 3), Quantization(scale, 0, 1)]
    data = write([Tensor(str(i), (2, 2), "int8", q) for i, q in enumerate(quantizations)], [], ("0",), ("0",))
    found = [t.quantization for t in schema.ModelT.InitFromPackedBuf(data, 0).subgraphs[0].tensors]
    assert [(q.zeroPoint.tolist(), q.quantizedDimension) for q in found] == [([0, 0], 0), ([3, 3], 0), ([0, 0], 1)]


def test_the_same_network_gives_the_same_bytes() -> None:
    assert made("a", "b") == made("a", "b")
    assert made("a", "b") != made("a", "c")


def test_constants_are_aligned() -> None:
    """Kernels read them in place."""
    data = made("a", "b", metadata=b"odd")
    model = schema.Model.GetRootAs(data, 0)
    for i in range(model.BuffersLength()):
        content = model.Buffers(i).DataAsNumpy()
        if isinstance(content, np.ndarray):
            assert (address(content) - address(np.frombuffer(data, np.uint8))) % ALIGNMENT == 0


def address(content: np.ndarray) -> int:
    return int(content.__array_interface__["data"][0])


def test_metadata() -> None:
    assert contents(made("a", metadata=b"what others read")).has_metadata
    assert not contents(made("a")).has_metadata
    model = schema.ModelT.InitFromPackedBuf(made("a", metadata=b"what others read"), 0)
    assert model.buffers[model.metadata[0].buffer].data.tobytes() == b"what others read"


def test_what_is_not_in_the_schema_is_refused() -> None:
    with pytest.raises(KeyError):
        write(tensors("a"), operators("b"), ("image",), ("a",))
    with pytest.raises(AttributeError):
        write(tensors("a"), [Operator("NO_SUCH", 1, ("image",), ("a",))], ("image",), ("a",))
    with pytest.raises(AssertionError, match="no typo"):
        write(tensors("a"), [Operator("ADD", 1, ("image",), ("a",), "AddOptions", {"typo": 1})], ("image",), ("a",))
