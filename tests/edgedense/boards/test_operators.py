"""What is read of a .tflite file."""

from __future__ import annotations

import pytest

from edgedense.boards import operators
from edgedense.errors import EdgedenseError
from tests.edgedense.boards.files import convolution_file


def test_shapes_types_and_constants() -> None:
    (found,) = operators.read(convolution_file(height=6, channels=3, outputs=5))
    assert (found.code, found.kernel, found.stride, found.arithmetic) == ("CONV_2D", (1, 1), 1, "int8")
    assert (found.source.shape, found.output.shape) == ((1, 6, 6, 3), (1, 6, 6, 5))
    assert [tensor is not None and tensor.is_constant for tensor in found.inputs] == [False, True, True]
    assert [tensor.bytes for tensor in found.inputs if tensor is not None] == [108, 15, 20]  # the bias is int32


@pytest.mark.parametrize("file", [b"", b"no flatbuffer at all", convolution_file()[:200]])
def test_what_is_no_whole_file(file: bytes) -> None:
    with pytest.raises(EdgedenseError, match=r"a whole \.tflite file"):
        operators.read(file)
