"""One stage of the benchmark in a process of its own, so that its time and its memory are its own.

    python -m benchmarks.stage STAGE REQUEST.json ANSWER.json

The stages: `reference` scores pictures with the float Keras model, `resize` rebuilds a model for another picture size,
`convert` converts for one peer, `run` loads what was converted and runs it. `call` starts one.
"""

from __future__ import annotations

import importlib
import json
import os
import resource
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from importlib import metadata
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.peer import Job, Peer
from edgedense.errors import EdgedenseError

ROOT = Path(__file__).resolve().parents[1]
SEED = 0
RUNS = 5  # inferences before the running process's memory is read
LAST_LINES = 3  # of what a process that died said last


def registry() -> dict[str, Peer]:
    """Every peer by its name, in the order of the tables."""
    from benchmarks.litert import EDGEDENSE, FLOAT, STOCK
    from benchmarks.onnx_runtime import ONNX_RUNTIME
    from benchmarks.openvino_runtime import OPENVINO

    return {peer.name: peer for peer in (EDGEDENSE, STOCK, ONNX_RUNTIME, OPENVINO, FLOAT)}


def call(stage: str, request: Mapping[str, Any], folder: Path) -> dict[str, Any]:
    """The stage's answer. Raises RuntimeError with what it said when it failed; its whole output is in `folder`."""
    asked, answered, log = (folder / f"{stage}.{suffix}" for suffix in ("request.json", "answer.json", "log"))
    asked.write_text(json.dumps(request))
    answered.unlink(missing_ok=True)
    # NNCF_CI: NNCF sends no usage statistics.
    environment = {**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3", "KERAS_BACKEND": "tensorflow", "NNCF_CI": "1"}
    with log.open("w") as output:
        done = subprocess.run(
            [sys.executable, "-m", "benchmarks.stage", stage, str(asked), str(answered)],
            cwd=ROOT,
            env=environment,
            stdout=output,
            stderr=subprocess.STDOUT,
            check=False,
        )
    if not answered.exists():
        raise RuntimeError(f"exit {done.returncode}: " + " / ".join(log.read_text().splitlines()[-LAST_LINES:]))
    answer = json.loads(answered.read_text())
    if "error" in answer:
        raise RuntimeError(answer["error"])
    return answer


def reference(request: dict[str, Any]) -> dict[str, Any]:
    """Writes float Keras' scores [N, classes] of `paths` to `scores`. Answers with the preprocessing in force, and with
    the model that the peers get: where `model` ends in plain logits or has several outputs, a copy with the one output
    that gives probabilities as edgedense's file does, for scores are compared as such."""
    from edgedense.converters.calibration.normalization import normalized
    from edgedense.converters.opening import Opening
    from edgedense.converters.readers import door
    from edgedense.converters.readers.scores import settled
    from edgedense.images.preprocessing import Preprocessing, load_image

    opening = Opening(**request.get("opening", {}))
    source, added = settled(door.read(request["model"], opening), opening.activation)
    if source.gives_values:
        raise EdgedenseError("a model that tells classes apart", "one that gives values", "edgedense validate")
    normalize = source.normalization(request["preprocess"])
    preprocessing = Preprocessing(*source.size, normalize)
    rows, paths = [], request["paths"]
    for start in range(0, len(paths), 32):
        pixels = np.stack([load_image(path, preprocessing) for path in paths[start : start + 32]])
        rows.append(source.predict(normalized(pixels, normalize)))
    np.save(request["scores"], np.concatenate(rows))
    model = request["model"]
    if added or opening.output:
        model = str(Path(request["scores"]).with_name("with_probabilities.keras"))
        _save_activated(
            (source.reference.plain if added else source.reference).model,
            source.network.head.steps[-1].kind if added else "linear",
            model,
        )
    return {"preprocessing": preprocessing.to_dict(), "parameters": sum(source.parameters.values()), "model": model}


def _save_activated(model: Any, kind: str, path: str) -> None:
    keras = _keras_of(model)
    keras.Model(model.inputs[0], keras.layers.Activation(kind)(model.outputs[0])).save(path)


def _keras_of(model: Any) -> Any:
    """The module that the model is of, keras or tf_keras."""
    return importlib.import_module(type(model).__module__.split(".")[0])


def resize(request: dict[str, Any]) -> dict[str, Any]:
    """Saves `model` with the same weights for pictures of `size` x `size` as `resized`."""
    from edgedense.converters.opening import Opening
    from edgedense.converters.readers.keras.files import open_model

    model = open_model(request["model"], Opening(trust=request.get("trust", False))).model
    keras, size = _keras_of(model), request["size"]
    try:
        copy = keras.models.clone_model(model, input_tensors=keras.Input((size, size, 3)))
        copy.set_weights(model.get_weights())
    except ValueError as error:
        raise EdgedenseError(
            f"a model that takes {size}x{size} pixels too",
            str(error).splitlines()[0],
            "leave --latency-size out: a head that flattens has one size",
        ) from error
    copy.save(request["resized"])
    return {}


def convert(request: dict[str, Any]) -> dict[str, Any]:
    """Converts for one peer. `seconds` runs from the paths to the written file, without the imports before it."""
    peer, job = registry()[request["peer"]], Job.from_json(request["job"])
    start = time.perf_counter()
    for module in peer.converters:
        importlib.import_module(module)
    imported = time.perf_counter()
    importlib.import_module("keras").utils.set_random_seed(SEED)
    cpu, start_conversion = time.process_time(), time.perf_counter()
    path = peer.convert(job)
    return {
        "path": str(path),
        "seconds": time.perf_counter() - start_conversion,
        "cpu_seconds": time.process_time() - cpu,
        "import_seconds": imported - start,
        "peak_bytes": peak_memory(),
        "versions": _versions(peer),
    }


def run(request: dict[str, Any]) -> dict[str, Any]:
    """A few inferences by one thread. `loaded_bytes`: the process with its runtime, before the model is loaded."""
    peer, job = registry()[request["peer"]], Job.from_json(request["job"])
    for module in peer.runtimes:
        importlib.import_module(module)
    before = peak_memory()
    runner = peer.load(Path(request["path"]), job.preprocessing, 1)
    pixels = np.full((job.preprocessing.height, job.preprocessing.width, 3), 128, np.uint8)
    for _ in range(RUNS):
        runner.score(pixels)
    return {"peak_bytes": peak_memory(), "loaded_bytes": before}


def peak_memory() -> int:
    """The most memory that this process held so far, in bytes. From /proc where there is one: on Linux getrusage also
    counts what the process that started this one held."""
    status = Path("/proc/self/status")
    if status.exists():
        line = next(line for line in status.read_text().splitlines() if line.startswith("VmHWM:"))
        return 1024 * int(line.split()[1])
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else 1024 * peak


def _versions(peer: Peer) -> dict[str, str]:
    names = metadata.packages_distributions()
    return {
        names[module][0]: metadata.version(names[module][0])
        for module in dict.fromkeys((*peer.converters, *peer.runtimes))
        if module in names
    }


STAGES: dict[str, Callable[[dict[str, Any]], dict[str, Any]]] = {
    "reference": reference,
    "resize": resize,
    "convert": convert,
    "run": run,
}


def main() -> None:
    stage, asked, answered = sys.argv[1:]
    try:
        answer = STAGES[stage](json.loads(Path(asked).read_text()))
    except Exception as error:  # whatever a peer raises is that peer's result
        answer = {"error": f"{type(error).__name__}: {' '.join(str(error).split())[:400]}"}
    Path(answered).write_text(json.dumps(answer))


if __name__ == "__main__":
    main()
