"""What edgedense writes must run on tflite-runtime 2.14; here the versions are read, `make test-legacy` runs it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from edgedense.converters.pipeline import Options, convert
from edgedense.converters.tflite.flatbuffer import Operator, Quantization, Tensor, write
from tests.legacy.versions import operators, too_new
from tests.models import densenet
from tests.pictures import fill


@pytest.fixture(scope="module")
def sources(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A small model and pictures for its calibration."""
    folder = tmp_path_factory.mktemp("legacy")
    densenet().save(folder / "small.keras")
    return folder / "small.keras", fill(folder / "pictures", 12)


@pytest.mark.parametrize("output_type", ["float32", "uint8"])
def test_a_deployed_file_has_no_operator_that_is_too_new(sources: tuple[Path, Path], output_type: str) -> None:
    options = Options(output_type="uint8" if output_type == "uint8" else "float32", force=True)
    data = convert(*sources, options=options).data
    assert {"CONV_2D", "CONCATENATION"} <= {name for name, _ in operators(data)}
    assert too_new(data) == []


def test_an_operator_that_is_too_new_is_found() -> None:
    scale = Quantization(np.float32([0.1]))
    tensors = [Tensor(name, (1, 2, 2, 1), "int8", scale) for name in ("a", "b", "c")]
    steps = [Operator("RELU", 4, ("a",), ("b",)), Operator("GELU", 1, ("b",), ("c",))]
    assert too_new(write(tensors, steps, ["a"], ["c"])) == ["RELU 4", "GELU 1"]
