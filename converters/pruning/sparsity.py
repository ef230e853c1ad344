"""`--sparsity`: kernels with exact zeros, for files that are shipped compressed.

Magnitude pruning by tensorflow-model-optimization on a polynomial schedule (Zhu & Gupta, "To prune, or not to prune",
2017) while the network is trained towards the float network's logits. The zeros make the compressed file smaller and
no processor faster: the int8 kernels multiply them as they do other weights.
"""

from __future__ import annotations

import gzip
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from importlib.util import find_spec
from pathlib import Path

import numpy as np

import edgedense
from edgedense.converters.network.evaluate import logits_tensor, traced
from edgedense.converters.network.graph import Array, DenseNet
from edgedense.converters.network.program import Program, lower
from edgedense.converters.network.weights import with_weights
from edgedense.converters.pruning import handover
from edgedense.errors import EdgedenseError
from edgedense.images.preprocessing import Pixels

WORKER = "edgedense.converters.pruning.sparse_worker"
# 0.1 % of DenseNet121's weights, and all that follows lives on what they see.
STEM = ("front/conv", "stem/conv", "stem/linear")
TEACHER_BATCH = 64
LAST_LINES = 5  # of a child that failed


@dataclass(frozen=True)
class SparsitySpec:
    """`fraction`: of the weights of convolutions and Dense behind the stem that become zero, between 0 and 1.

    `learning_rate` is Adam's at the start; it falls to zero as a cosine does.
    """

    fraction: float
    epochs: int = 2
    batch: int = 32
    learning_rate: float = 3e-4
    seed: int = 0


def pieces(pictures: int, spec: SparsitySpec) -> int:
    """The total of what `sparsify` ticks: every picture once for the teacher and once per epoch."""
    return pictures * (1 + spec.epochs)


def sparsify(
    network: DenseNet,
    teacher: DenseNet,
    pixels: Pixels,
    spec: SparsitySpec,
    tick: Callable[[int], None] = lambda n: None,
) -> DenseNet:
    """`network` with `spec.fraction` of zeros, trained on uint8 `pixels` [N, height, width, 3] to answer as `teacher`.

    Depthwise convolutions and norms stay as they are, and so do all shapes. The same input and seed give the same
    weights on the same machine. Raises EdgedenseError when the fraction is not between 0 and 1, when
    tensorflow-model-optimization or room for temporary files is missing, or when the child process fails.
    """
    if not 0 < spec.fraction < 1:
        raise EdgedenseError("a sparsity between 0 and 1", f"{spec.fraction:g}", "--sparsity 0.5")
    _require_toolkit()
    program = lower(network)
    kernels = {op.output: op.weights[0] for op in program.ops if op.kind in ("conv", "dense")}
    pruned = fractions({name: kernel for name, kernel in kernels.items() if name not in STEM}, spec.fraction)
    task = handover.Task(program, pruned, tuple(kernels), asdict(spec), pixels, _logits(teacher, pixels, tick))
    with tempfile.TemporaryDirectory(prefix="edgedense-sparsity-") as folder:
        try:
            handover.write_task(Path(folder), task)
        except OSError as error:
            raise EdgedenseError(
                f"{pixels.nbytes / 2**20:.0f} MiB for pictures in {tempfile.gettempdir()}",
                str(error.strerror),
                "TMPDIR=FOLDER before the command, or fewer pictures",
            ) from error
        _run_child(Path(folder), tick)
        weights = handover.read_weights(Path(folder))
    return with_weights(network, weights)


def fractions(kernels: Mapping[str, Array], fraction: float) -> dict[str, float]:
    """How much of each kernel becomes zero, so that it is `fraction` of all their weights.

    A weight counts by its square relative to those in its kernel that are no smaller, a weight among the least of all
    kernels goes (Lee et al., "Layer-adaptive sparsity for the magnitude-based pruning", 2021). Beside the same fraction
    of every kernel this leaves fewer zeros where they are felt, and more in a row, which packs better. The largest
    weight of a kernel stays.
    """
    scores = {name: _importance(kernel) for name, kernel in kernels.items()}
    every = np.concatenate(list(scores.values()))
    limit = np.partition(every, at := max(round(fraction * every.size) - 1, 0))[at]
    return {name: float(min((score <= limit).sum(), score.size - 1) / score.size) for name, score in scores.items()}


def _importance(kernel: Array) -> Array:
    """Of each weight of a kernel, by ascending magnitude."""
    squares = np.sort(kernel.ravel() ** 2)
    larger = np.cumsum(squares[::-1])[::-1]
    return np.divide(squares, larger, out=np.zeros_like(squares), where=larger > 0)


def sparsity(network: DenseNet) -> float:
    """The fraction of zeros among the weights that `sparsify` prunes."""
    kernels = [op.weights[0] for op in lower(network).ops if op.kind in ("conv", "dense") and op.output not in STEM]
    return sum(int((kernel == 0).sum()) for kernel in kernels) / sum(kernel.size for kernel in kernels)


def compressed_bytes(model: bytes) -> int:
    """Size in bytes of `model` as gzip -9 packs it."""
    return len(gzip.compress(model, 9, mtime=0))


def _until_logits(program: Program) -> Program:
    last = [op.output for op in program.ops].index(logits_tensor(program))
    return Program(program.ops[: last + 1], program.shapes)


def _logits(teacher: DenseNet, pixels: Pixels, tick: Callable[[int], None]) -> np.ndarray:
    """float32 [N, outputs]."""
    program = lower(teacher)
    name = logits_tensor(program)
    run = traced(_until_logits(program), (name,), lambda tf, tensor: tensor)
    rows = []
    for start in range(0, len(pixels), TEACHER_BATCH):
        batch = pixels[start : start + TEACHER_BATCH]
        rows.append(run(batch)[name].numpy())
        tick(len(batch))
    return np.concatenate(rows)


def _require_toolkit() -> None:
    for package, module in (
        ("tensorflow-model-optimization", "tensorflow_model_optimization"),
        ("tf_keras", "tf_keras"),
    ):
        if find_spec(module) is None:
            raise EdgedenseError(f"{package} for --sparsity", "it is not installed", "pip install 'edgedense[convert]'")


def _run_child(folder: Path, tick: Callable[[int], None]) -> None:
    """Train in a process of its own; `tick` follows its lines. It goes when this process is interrupted."""
    package = str(Path(edgedense.__file__).resolve().parent.parent)
    paths = [package, *filter(None, [os.environ.get("PYTHONPATH")])]
    environment = {
        **os.environ,
        "TF_USE_LEGACY_KERAS": "1",
        "TF_CPP_MIN_LOG_LEVEL": "2",
        "TF_FORCE_GPU_ALLOW_GROWTH": "true",
        "PYTHONPATH": os.pathsep.join(paths),
    }
    command = [sys.executable, "-m", WORKER, str(folder)]
    errors = folder / "errors.txt"
    with (
        errors.open("w") as stderr,
        subprocess.Popen(
            command, cwd=folder, env=environment, stdout=subprocess.PIPE, stderr=stderr, text=True
        ) as child,
    ):
        assert child.stdout is not None
        try:
            for line in child.stdout:
                if line.startswith("pictures "):
                    tick(int(line.split()[1]))
        except BaseException:
            child.kill()
            raise
    if child.returncode:
        raise EdgedenseError(
            "the pruning process to end well",
            _failure(child.returncode, errors.read_text()),
            "fewer pictures or more memory" if child.returncode < 0 else "",
        )


def _failure(status: int, errors: str) -> str:
    lines = [line for line in errors.splitlines() if line.strip()][-LAST_LINES:]
    ended = f"killed by signal {-status}" if status < 0 else f"exit status {status}"
    return "; ".join([ended, *lines])
