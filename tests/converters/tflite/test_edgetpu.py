from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edgedense.converters.options import Options
from edgedense.converters.pipeline import convert
from edgedense.converters.tflite.edgetpu import COMPILER, Log, Row, check, compile_model, parse
from edgedense.converters.tflite.flatbuffer import Operator, Quantization, Tensor, write
from edgedense.deployed import bundle
from edgedense.errors import EdgedenseError
from tests.models import densenet

# The head is printed in github.com/google-coral/edgetpu issue 427, the table in issue 342; put together here.
LOG = """Edge TPU Compiler version 15.0.340273435

Model compiled successfully in 1379 ms.

Input model: model.tflite
Input size: 4.41MiB
Output model: model_edgetpu.tflite
Output size: 5.49MiB
On-chip memory used for caching model parameters: 1.92MiB
On-chip memory remaining for caching model parameters: 1.75KiB
Off-chip memory used for streaming uncached model parameters: 3.23MiB
Number of Edge TPU subgraphs: 1
Total number of operations: 155
Operation log: model_edgetpu.log

Model successfully compiled but not all operations are supported by the Edge TPU. A percentage of the model \
will instead run on the CPU, which is slower. If possible, consider updating your model to use only operations \
supported by the Edge TPU. For details, visit g.co/coral/model-reqs.
Number of operations that will run on Edge TPU: 2
Number of operations that will run on CPU: 89

Operator                       Count      Status

TRANSPOSE                      70         Operation not supported
FULLY_CONNECTED                1          More than one subgraph is not supported
PAD                            1          Mapped to Edge TPU
PAD                            17         More than one subgraph is not supported
QUANTIZE                       1          Mapped to Edge TPU
QUANTIZE                       1          Operation is otherwise supported, but not mapped due to some unspecified \
limitation
"""


def test_a_log_is_read() -> None:
    log = parse(LOG)
    assert (log.version, log.milliseconds, log.subgraphs) == ("15.0.340273435", 1379, 1)
    assert (log.on_chip, log.on_chip_left, log.streamed) == (2013266, 1792, 3386900)
    assert log.rows[0] == Row("TRANSPOSE", 70, "Operation not supported")
    assert log.rows[-1].status.endswith("unspecified limitation")
    assert [row.operator for row in log.rows if row.is_mapped] == ["PAD", "QUANTIZE"]
    assert log.on_processor == 89


def test_the_end_of_newer_logs_is_no_row() -> None:
    # Version 16 appends these lines: issue 433.
    newer = parse(LOG + "Compilation child process completed within timeout period.\nCompilation succeeded! \n")
    assert newer.rows == parse(LOG).rows


def test_a_model_that_fits_has_no_streamed_bytes() -> None:
    log = parse(LOG.replace("3.23MiB", "0.00B"))
    assert isinstance(log, Log)
    assert log.streamed == 0


@pytest.mark.parametrize("text", ["", "Edge TPU Compiler version 14.1.317412892\nInternal compiler error. Aborting!"])
def test_other_text_is_no_log(text: str) -> None:
    with pytest.raises(EdgedenseError, match="--show_operations"):
        parse(text)


EIGHTH = Quantization(np.float32([0.125]), 0)


def model(**changes: object) -> bytes:
    """A convolution of a picture, joined with zeros; `changes` replace parts of it."""
    parts: dict[str, object] = {
        "input_type": "int8",
        "version": 3,
        "activation": 0,
        "constant": 0,
        "shape": (1, 4, 4, 3),
        "scales": 1,
        "concat": "CONCATENATION",
        "type": "int8",
        **changes,
    }
    shape = parts["shape"]
    assert isinstance(shape, tuple)
    wide = (*shape[:-1], 2 * shape[-1])
    kernel = np.zeros((3, 1, 1, 3), np.int8)
    tensors = [
        Tensor("image", shape, str(parts["input_type"]), EIGHTH),
        Tensor("kernel", kernel.shape, "int8", EIGHTH, kernel),
        Tensor("conv", shape, str(parts["type"]), EIGHTH),
        Tensor("zeros", shape, "int8", EIGHTH, np.full(shape, parts["constant"], np.int8)),
        Tensor("joined", wide, str(parts["type"]), EIGHTH),
    ]
    operators = [
        Operator(
            "CONV_2D",
            int(str(parts["version"])),
            ("image", "kernel"),
            ("conv",),
            "Conv2DOptions",
            {"padding": 0, "strideW": 1, "strideH": 1},
        ),
        Operator(
            str(parts["concat"]),
            2,
            ("conv", "zeros"),
            ("joined",),
            "ConcatenationOptions",
            {"axis": 3, "fusedActivationFunction": parts["activation"]},
        ),
    ]
    return write(tensors, operators, ["image"], ["joined"])


def test_a_ready_model_has_no_problems() -> None:
    assert check(model()) == []


@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        ({"input_type": "float32"}, "the input image is float32"),
        ({"type": "float32"}, "the output joined is float32"),
        ({"type": "float32"}, "works on float32"),
        ({"version": 6}, "CONV_2D (conv): version 6"),
        ({"activation": 1}, "CONCATENATION (joined): has a fused activation"),
        ({"constant": 3}, "a constant that is not zero"),
        ({"shape": (2, 4, 4, 3)}, "more than three dimensions"),
        ({"concat": "PACK"}, "PACK (joined): an operator that the Edge TPU does not have"),
    ],
)
def test_what_the_compiler_would_refuse_is_found_before(changes: dict[str, object], problem: str) -> None:
    assert any(problem in found for found in check(model(**changes)))


def install_compiler(folder: Path, monkeypatch: pytest.MonkeyPatch, script: str) -> None:
    program = folder / COMPILER
    program.write_text("#!/bin/bash\nfolder=$5 input=$6\n" + script)
    program.chmod(0o755)
    (folder / "log").write_text(LOG)
    monkeypatch.setenv("PATH", str(folder), prepend=":")
    monkeypatch.setenv("FOLDER", str(folder))


COMPILE = (
    'cat "$FOLDER/log"; cp "$input" "$folder/model_edgetpu.tflite"; printf edgetpu >>"$folder/model_edgetpu.tflite"\n'
)


def test_the_compiler_is_called(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    arguments = '[ "$*" = "--show_operations --min_runtime_version 13 --out_dir $5 $6" ] || exit 9\n'
    install_compiler(tmp_path, monkeypatch, arguments + COMPILE)
    compiled = compile_model(model())
    assert compiled
    assert compiled.model == model() + b"edgetpu"
    assert compiled.log == parse(LOG)


def test_an_abort_is_repeated(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    install_compiler(
        tmp_path,
        monkeypatch,
        'if [ ! -e "$FOLDER/second" ]; then touch "$FOLDER/second"; '
        'echo "Internal compiler error. Aborting!"; exit 1; fi\n' + COMPILE,
    )
    assert compile_model(model())


def test_what_does_not_end_well_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    install_compiler(tmp_path, monkeypatch, 'echo x >>"$FOLDER/calls"; echo "Internal compiler error."; exit 1')
    with pytest.raises(EdgedenseError, match="Internal compiler error"):
        compile_model(model(), attempts=2)
    assert (tmp_path / "calls").read_text() == "x\nx\n"
    install_compiler(tmp_path, monkeypatch, "exec sleep 60")
    with pytest.raises(EdgedenseError, match=r"no end within 0\.5 seconds"):
        compile_model(model(), attempts=1, seconds=0.5)


def test_without_a_compiler_there_is_nothing_compiled(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    assert compile_model(model()) is None


def test_an_unfit_model_is_not_given_to_the_compiler(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    install_compiler(tmp_path, monkeypatch, COMPILE)
    with pytest.raises(EdgedenseError, match="fits the Edge TPU"):
        compile_model(model(type="float32"))


@pytest.fixture(scope="module")
def sources(tmp_path_factory: pytest.TempPathFactory, pictures: Path) -> tuple[Path, Path]:
    """A small model and pictures for its calibration."""
    model = tmp_path_factory.mktemp("coral") / "small.keras"
    densenet().save(model)
    return model, pictures


@pytest.mark.parametrize("preprocess", ["densenet", "rescale", "none"])
def test_the_target_coral_writes_what_the_compiler_takes(sources: tuple[Path, Path], preprocess: Any) -> None:
    options = Options(target="coral", preprocess=preprocess, force=True)
    result = convert(*sources, options=options)
    assert check(result.data) == []
    assert result.recipe["options"]["target"] == "coral"
    assert result.figures["calibration_agreement"] > 0.8


def test_the_target_cpu_does_not_keep_to_that(sources: tuple[Path, Path]) -> None:
    assert check(convert(*sources, options=Options(force=True)).data)


def run_convert(sources: tuple[Path, Path], out: Path) -> subprocess.CompletedProcess[str]:
    command = [
        sys.executable,
        "-m",
        "edgedense.cli",
        "convert",
        sources[0],
        "--calibration",
        sources[1],
        "--out",
        out,
        "--target",
        "coral",
        "--force",
    ]
    return subprocess.run(command, capture_output=True, text=True, check=True)


@pytest.mark.slow
def test_the_command_compiles_where_there_is_a_compiler(
    sources: tuple[Path, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    done = run_convert(sources, tmp_path / "a.tflite")
    assert "ready for the Edge TPU compiler" in done.stderr
    assert not (tmp_path / "a_edgetpu.tflite").exists()
    install_compiler(tmp_path, monkeypatch, COMPILE)
    done = run_convert(sources, tmp_path / "b.tflite")
    compiled = bundle.read(tmp_path / "b_edgetpu.tflite")
    assert compiled.recipe == bundle.read(tmp_path / "b.tflite").recipe
    assert "1.92 MiB of weights on the chip, 3.23 MiB fetched" in done.stdout
    assert "89 operators run on the processor" in done.stderr
