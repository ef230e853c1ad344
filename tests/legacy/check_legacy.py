"""The wheel with its extra `legacy`: tflite-runtime 2.14 on NumPy 1.26 and Python 3.11. Run by `make test-legacy`.

The file's name keeps it out of the usual test run: it needs Python 3.11 and an environment of its own, which the
folder LEGACY_WORK keeps for the next time; `report.txt` there has the figures. The folder DIGITS holds digits.tflite,
digits-uint8.tflite and images/test.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from edgedense.converters.tflite.flatbuffer import Operator, Quantization, Tensor, write
from tests.delegates import DELEGATE, HARMLESS, build
from tests.legacy.versions import NEWEST, too_new

ROOT = Path(__file__).resolve().parents[2]
WORK = Path(os.environ.get("LEGACY_WORK", ROOT / "out/legacy")).resolve()
DIGITS = Path(os.environ.get("DIGITS", ROOT / "out/digits")).resolve()
MODEL, MODEL_UINT8, IMAGES = DIGITS / "digits.tflite", DIGITS / "digits-uint8.tflite", DIGITS / "images/test"
BIN = WORK / "venv/bin"
# Other kernels round ties and sums in another way. A label may differ where the two best scores are closer than this.
MARGIN = 0.1
LOADS = """
import sys
from tflite_runtime.interpreter import Interpreter
for path in sys.argv[1:]:
    try:
        Interpreter(path)
    except (ValueError, RuntimeError) as error:
        if "Didn't find op" in str(error):
            continue
    print(path)
"""

each_model = pytest.mark.parametrize("model", [MODEL, MODEL_UINT8], ids=["float32", "uint8"])


def tell(line: str) -> None:
    """Into the report, and onto the terminal."""
    with (WORK / "report.txt").open("a") as report:
        report.write(line + "\n")
    print(line, file=sys.__stderr__, flush=True)


@pytest.fixture(scope="session", autouse=True)
def environment(tmp_path_factory: pytest.TempPathFactory) -> None:
    """The built wheel with the extra `legacy`, in an environment of its own."""
    WORK.mkdir(parents=True, exist_ok=True)
    (WORK / "report.txt").unlink(missing_ok=True)
    python = shutil.which("python3.11")
    assert python, "tflite-runtime 2.14 needs Python 3.11"
    folder = tmp_path_factory.mktemp("wheel")
    subprocess.run([sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "-w", folder, ROOT], check=True)
    if not (BIN / "python").exists():
        subprocess.run([python, "-m", "venv", WORK / "venv"], check=True)
    wheel = next(folder.glob("*.whl"))
    subprocess.run([BIN / "pip", "install", "--quiet", "--force-reinstall", f"{wheel}[legacy]"], check=True)


def edgedense(*arguments: object, check: bool = True) -> subprocess.CompletedProcess[str]:
    """One edgedense command with the old runtime."""
    return subprocess.run([BIN / "edgedense", *map(str, arguments)], capture_output=True, text=True, check=check)


def scores(output: str) -> dict[str, np.ndarray]:
    """`edgedense run --json` -> file to scores, in the order of the labels."""
    results = map(json.loads, output.splitlines())
    return {
        result["file"]: np.array([one["score"] for one in sorted(result["top"], key=lambda one: one["label"])])
        for result in results
    }


def test_it_is_the_old_runtime_with_its_numpy() -> None:
    found = subprocess.run([BIN / "pip", "freeze"], capture_output=True, text=True, check=True).stdout.splitlines()
    assert "tflite-runtime==2.14.0" in found
    assert any(line.startswith("numpy==1.") for line in found)
    assert not any(line.startswith("ai-edge-litert") for line in found)


def test_the_versions_that_are_relied_on(tmp_path: Path) -> None:
    """The table in versions.py is what the runtime says, up to five versions beyond."""
    scale = Quantization(np.float32([0.1]))
    tensors = [Tensor(name, (1, 2, 2, 1), "int8", scale) for name in "ab"]
    for name, newest in NEWEST.items():
        for version in range(1, newest + 6):
            model = write(tensors, [Operator(name, version, ("a",), ("b",))], ["a"], ["b"])
            (tmp_path / f"{name}.{version}").write_bytes(model)
    done = subprocess.run(
        [BIN / "python", "-c", LOADS, *sorted(tmp_path.iterdir())], capture_output=True, text=True, check=True
    )
    known: dict[str, int] = {}
    for line in done.stdout.splitlines():
        name, version = Path(line).name.split(".")
        known[name] = max(known.get(name, 0), int(version))
    assert known == NEWEST


@each_model
def test_the_deployed_file_reads_as_one_that_runs(model: Path) -> None:
    assert too_new(model.read_bytes()) == []


@each_model
def test_200_pictures_have_the_labels_of_the_new_runtime(model: Path) -> None:
    images = [path for folder in sorted(IMAGES.iterdir()) for path in sorted(folder.iterdir())[::5]]
    command = [sys.executable, "-m", "edgedense.cli", "run", model, *images, "--json", "--top", "10"]
    new = scores(subprocess.run(command, capture_output=True, text=True, check=True).stdout)
    started = time.monotonic()
    # One thread: those of the old runtime wait actively, for minutes where other programs run too.
    done = edgedense("run", model, *images, "--json", "--top", "10", "--threads", "1")
    seconds = time.monotonic() - started
    assert "10 times slower" in done.stderr, "an old runtime must say that it will be slow"
    assert "pip install ai-edge-litert" in done.stderr
    old = scores(done.stdout)
    assert list(old) == list(new)
    before, after = np.stack(list(new.values())), np.stack(list(old.values()))
    steps = np.rint(np.abs(before - after) * 256).astype(int)
    flipped = before.argmax(1) != after.argmax(1)
    best = np.sort(before, axis=1)
    margins = (best[:, -1] - best[:, -2])[flipped]
    counts = {int(step): int((steps == step).sum()) for step in np.unique(steps) if step}
    tell(
        f"{model.name}: {len(images)} images in {seconds:.0f} s with tflite-runtime 2.14: {flipped.sum()} labels "
        f"differ (margins {np.round(margins, 3).tolist()}), {(steps > 0).sum()} of {steps.size} values differ, by at "
        f"most {steps.max()} steps of 1/256: {counts}, largest difference {np.abs(before - after).max():.4f}"
    )
    assert (margins <= MARGIN).all()


def test_golden_samples_replay() -> None:
    replay = json.loads(edgedense("validate", MODEL, "--json").stdout)
    assert replay["passed"]
    assert "tflite-runtime 2.14" in replay["run_with"]
    tell(
        f"golden samples: steps {replay['steps']}, labels changed {len(replay['flipped'])}, "
        f"KL {replay['kl_made']:.2e} -> {replay['kl_here']:.2e}, "
        f"made with {replay['made_with']}, run with {replay['run_with']}"
    )


def test_doctor_says_what_is_slow_and_what_mends_it() -> None:
    done = edgedense("doctor", "--json", check=False)
    found = {finding["name"]: finding for finding in json.loads(done.stdout)}
    assert found["runtime"]["value"] == "tflite-runtime 2.14.0"
    assert "10 times slower" in found["XNNPACK"]["problem"]
    assert "pip uninstall -y tflite-runtime" in found["XNNPACK"]["remedy"]
    assert done.returncode == 1


def test_an_edge_tpu_library_is_loaded(tmp_path: Path) -> None:
    """By the old runtime too; one that crashes leaves the process alive, with exit code 3."""
    model = tmp_path / "digits_edgetpu.tflite"
    model.write_bytes(MODEL.read_bytes() + b"edgetpu-custom-op")  # only the name is looked for
    image = next(IMAGES.glob("*/*"))
    for source, code in ((HARMLESS, 0), (DELEGATE % "abort();", 3)):
        environment = {**os.environ, "EDGEDENSE_LIBEDGETPU": build(tmp_path, source)}
        done = subprocess.run(
            [BIN / "edgedense", "run", model, image, "--device", "coral"],
            env=environment,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == code, done.stderr
    assert "crashes (SIGABRT)" in done.stderr


def test_benchmark_runs() -> None:
    done = edgedense("benchmark", MODEL, "--threads", "1", "--duration", "1", "--json")
    (run,) = json.loads(done.stdout)["runs"]
    assert run["median_ms"] > 0
    tell(f"benchmark, 1 thread: median {run['median_ms']:.1f} ms")
