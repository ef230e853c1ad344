"""What edgedense writes must run on tflite-runtime 2.14; here the versions are read, `make test-legacy` runs it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from edgedense.converters.network.stock import converted
from edgedense.converters.options import Options
from edgedense.converters.pipeline import convert
from edgedense.converters.readers.keras import files, reader
from edgedense.converters.tflite.flatbuffer import Operator, Quantization, Tensor, write
from tests import models
from tests.legacy.versions import NEWEST, operators, too_new
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


@pytest.mark.slow
@pytest.mark.parametrize("name", models.FLOAT_HEADS)
def test_nor_has_a_head_that_stays_float(name: str) -> None:
    """What TensorFlow's converter makes of it. The rest of the file is as that of any other model."""
    model = models.densenet(size=(64, 64), head=models.classified(models.FLOAT_HEADS[name]))
    head = reader.read_opened(files.Opened(model, name, "")).network.head.float_head
    assert head is not None
    found = {operator.code: operator.version for operator in converted(head).operators}
    assert {code: version for code, version in found.items() if version > NEWEST.get(code, 0)} == {}


def test_an_operator_that_is_too_new_is_found() -> None:
    scale = Quantization(np.float32([0.1]))
    tensors = [Tensor(name, (1, 2, 2, 1), "int8", scale) for name in ("a", "b", "c")]
    steps = [Operator("RELU", 4, ("a",), ("b",)), Operator("GELU", 3, ("b",), ("c",))]
    assert too_new(write(tensors, steps, ["a"], ["c"])) == ["RELU 4", "GELU 3"]
