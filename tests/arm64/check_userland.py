"""What a Raspberry Pi would do with the built wheel: in emulated userlands, on two processors (`make test-arm64`).

The file's name keeps it out of the usual test run: it takes many minutes. The folder DIGITS holds digits.tflite,
digits-uint8.tflite and images/test; ARM64_WORK keeps userlands and wheels for the next time, and `report.txt` there has
the figures.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.arm64.wheels import build, download

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]
WORK = Path(os.environ.get("ARM64_WORK", ROOT / "out/arm64")).resolve()
DIGITS = Path(os.environ.get("DIGITS", ROOT / "out/digits")).resolve()
MODEL, MODEL_UINT8, IMAGES = DIGITS / "digits.tflite", DIGITS / "digits-uint8.tflite", DIGITS / "images/test"
PYTHONS = {"bookworm": "3.11", "trixie": "3.13"}
CORES = {"pi4": "Cortex-A72", "pi5": "Cortex-A76"}
# How many are classified: an emulated Cortex-A72 takes 2 to 4 seconds for one of 224x224.
PICTURES = {"bookworm": int(os.environ.get("ARM64_PICTURES", "200")), "trixie": 10}
OLDER = ("2.1.6", "2.2.0")  # every release of ai-edge-litert that the extra `device` admits, but the newest
STEP = 1 / 256  # what an output of 8 bits resolves
# The last bits of a float softmax: exp and the sums before it are vectorized differently. Measured: 7e-7.
TOLERANCE = 1e-5
# By how much a score may differ. By one step where the softmax is int8 too: on aarch64 its exponentials come from a
# table of 16 bits, elsewhere they are floats, and a score of half a step rounds the other way. Its inputs are equal.
ALLOWED = {MODEL.name: TOLERANCE, MODEL_UINT8.name: STEP}

each_model = pytest.mark.parametrize("model", ALLOWED)
each_suite = pytest.mark.parametrize("suite", PYTHONS)
each_board = pytest.mark.parametrize("board", CORES)


def enter(suite: str, board: str, *command: str, check: bool = True) -> subprocess.CompletedProcess[str]:
    """Run a command in the userland of `suite` on the processor of `board`."""
    environment = {**os.environ, "PIP_NO_INDEX": "1", "PIP_FIND_LINKS": "/work/wheels"}
    done = subprocess.run(
        [HERE / "enter.sh", WORK / suite, board, *command], capture_output=True, text=True, env=environment, check=False
    )
    assert not check or done.returncode == 0, done.stdout[-2000:] + done.stderr[-4000:]
    return done


def tell(line: str) -> None:
    """Into the report, and onto the terminal."""
    with (WORK / "report.txt").open("a") as report:
        report.write(line + "\n")
    print(line, file=sys.__stderr__, flush=True)


@pytest.fixture(scope="session")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build(tmp_path_factory.mktemp("wheel"))


@pytest.fixture(scope="session")
def userlands(wheel: Path) -> None:
    """Both userlands, with the wheel installed as a user would: pip, in a virtual environment, on the board."""
    (WORK / "report.txt").unlink(missing_ok=True)
    for suite, python in PYTHONS.items():
        started = time.monotonic()
        subprocess.run([HERE / "userland.sh", suite, WORK / suite], check=True)
        work = WORK / suite / "root/work"
        (work / wheel.name).write_bytes(wheel.read_bytes())
        for model in (MODEL, MODEL_UINT8):
            (work / model.name).write_bytes(model.read_bytes())
        for image in images(PICTURES[suite]):
            target = work / "images" / image.relative_to(IMAGES)
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(image.read_bytes())
        same, installed = hashlib.sha256(wheel.read_bytes()).hexdigest(), work / "installed"
        if installed.exists() and installed.read_text() == same:
            continue
        download(work / "wheels", python, f"{wheel}[device]", "pip", "setuptools", "wheel")
        built = time.monotonic()
        install(suite, "venv", f"/work/{wheel.name}[device]")
        installed.write_text(same)
        tell(f"{suite}: userland and wheels {built - started:.0f} s, install {time.monotonic() - built:.0f} s")


def install(suite: str, name: str, *requirements: str) -> None:
    enter(suite, "pi5", "rm", "-rf", f"/work/{name}")
    enter(suite, "pi5", "python3", "-m", "venv", f"/work/{name}")
    enter(suite, "pi5", f"/work/{name}/bin/pip", "install", "--quiet", *requirements)


def images(count: int) -> list[Path]:
    """That many held-out pictures, spread over the classes."""
    every = sorted(IMAGES.glob("*/*"))
    return [every[i * len(every) // count] for i in range(count)]


def scores(output: str) -> dict[str, np.ndarray]:
    """`edgedense run --json` -> file name to scores, in the order of the labels."""
    results = [json.loads(line) for line in output.splitlines()]
    return {
        "/".join(Path(result["file"]).parts[-2:]): np.array(
            [score["score"] for score in sorted(result["top"], key=lambda one: one["label"])]
        )
        for result in results
    }


@pytest.fixture(scope="session")
def here() -> dict[str, dict[str, np.ndarray]]:
    """The scores of this machine for each model, with the runtime that is installed here."""
    chosen = {image for count in PICTURES.values() for image in images(count)}
    found = {}
    for model in (MODEL, MODEL_UINT8):
        command = [sys.executable, "-m", "edgedense.cli", "run", model, *sorted(chosen), "--json", "--top", "10"]
        found[model.name] = scores(subprocess.run(command, capture_output=True, text=True, check=True).stdout)
    return found


@pytest.fixture(scope="session")
def there(userlands: None) -> Iterator[dict[tuple[str, str, str], Future[Any]]]:
    """The scores of every userland on every board for each model, two at a time."""
    running: list[subprocess.Popen[str]] = []

    def classify(suite: str, board: str, model: str) -> tuple[dict[str, np.ndarray], float]:
        started = time.monotonic()
        chosen = [f"/work/images/{path.relative_to(IMAGES)}" for path in images(PICTURES[suite])]
        command = [
            HERE / "enter.sh",
            WORK / suite,
            board,
            "/work/venv/bin/edgedense",
            "run",
            f"/work/{model}",
            *chosen,
            "--json",
            "--top",
            "10",
            "--threads",
            "1",
        ]
        process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        running.append(process)
        output, messages = process.communicate()
        assert process.returncode == 0, messages[-4000:]
        return scores(output), time.monotonic() - started

    pool = ThreadPoolExecutor(2)
    yield {
        (suite, board, model): pool.submit(classify, suite, board, model)
        for suite in PICTURES
        for model in ALLOWED
        for board in CORES
    }
    pool.shutdown(wait=False, cancel_futures=True)  # after a failure nothing may go on for minutes
    for process in running:
        process.kill()


@each_board
@each_model
@each_suite
def test_the_board_computes_what_this_machine_computes(
    suite: str,
    model: str,
    board: str,
    here: dict[str, dict[str, np.ndarray]],
    there: dict[tuple[str, str, str], Future[Any]],
) -> None:
    found, seconds = there[suite, board, model].result()
    expected = {name: here[model][name] for name in found}
    assert len(found) == PICTURES[suite]
    difference = np.abs(np.stack(list(found.values())) - np.stack(list(expected.values())))
    steps = np.rint(difference / STEP).astype(int)
    flipped = [name for name in found if found[name].argmax() != expected[name].argmax()]
    tell(
        f"{suite} {board} ({CORES[board]}), {model}: {len(found)} images in {seconds:.0f} s, {len(flipped)} labels "
        f"differ, {(steps > 0).sum()} of {steps.size} values differ, by at most {steps.max()} steps of 1/256 "
        f"({difference.max():.1e})"
    )
    assert not flipped
    assert difference.max() <= ALLOWED[model]


@pytest.fixture(scope="session")
def program(userlands: None) -> str:
    """examples/cpp, cross-compiled for bookworm with the library of the wheel there: its path there."""
    root, build = WORK / "bookworm/root", WORK / "bookworm/root/work/cpp"
    runtime = next((root / "work/venv/lib").glob("python3*/site-packages/ai_edge_litert"))
    source = ROOT / "examples/cpp"
    configure = ["cmake", "-S", source, "-B", build, f"-DCMAKE_TOOLCHAIN_FILE={source / 'aarch64.cmake'}"]
    # The cross-compiler's libstdc++ may be newer than the userland's.
    settings = [f"-DCMAKE_SYSROOT={root}", f"-DLITERT_DIR={runtime}", "-DCMAKE_EXE_LINKER_FLAGS=-static-libstdc++"]
    for command in ([*configure, *settings], ["cmake", "--build", build]):
        done = subprocess.run(command, capture_output=True, text=True)
        assert done.returncode == 0, done.stdout + done.stderr
    shutil.copy(runtime / "libLiteRt.so", build)
    return "/work/cpp/classify"


@each_board
@each_model
def test_the_program_in_cpp_computes_what_python_computes_there(
    model: str, board: str, program: str, there: dict[tuple[str, str, str], Future[Any]]
) -> None:
    """On five pictures. The same library computes both, and Python writes six digits: half of the last one is 5e-7."""
    expected, _ = there["bookworm", board, model].result()
    chosen = [f"/work/images/{path.relative_to(IMAGES)}" for path in images(PICTURES["bookworm"])[:5]]
    command = ["env", "LD_LIBRARY_PATH=/work/cpp", program, f"/work/{model}", *chosen, "--top", "10", "--threads", "1"]
    found = scores(enter("bookworm", board, *command).stdout)
    difference = max(float(np.abs(found[name] - expected[name]).max()) for name in found)
    tell(f"bookworm {board} ({CORES[board]}), {model}: classify in C++ on {len(found)} images: {difference:.1e} apart")
    assert len(found) == len(chosen)
    assert difference <= 1e-6


@each_board
@each_suite
def test_golden_samples_replay(suite: str, board: str, userlands: None) -> None:
    done = enter(suite, board, "/work/venv/bin/edgedense", "validate", f"/work/{MODEL.name}", "--json")
    replay = json.loads(done.stdout)
    assert replay["passed"]
    assert "aarch64" in replay["run_with"]
    tell(
        f"{suite} {board}: {replay['probes']} golden samples, {replay['values']} values, steps {replay['steps']}, "
        f"made with {replay['made_with']}, run with {replay['run_with']}"
    )


@each_board
@each_suite
def test_doctor_knows_the_board(suite: str, board: str, userlands: None) -> None:
    done = enter(suite, board, "/work/venv/bin/edgedense", "doctor", "--json", check=False)
    found = {finding["name"]: finding for finding in json.loads(done.stdout)}
    assert found["board"]["value"].startswith(f"Raspberry Pi {board[-1]}")
    assert CORES[board] in found["processor"]["value"]
    assert f"({suite})" in found["system"]["value"]
    assert found["runtime"]["value"].startswith("ai-edge-litert")
    assert found["temperature"]["value"].endswith("°C")
    # The userland has no rpicam-apps, as the Lite image had none at first; all else is well.
    assert [name for name, finding in found.items() if finding["problem"]] == ["cameras"]
    assert done.returncode == 1
    text = enter(suite, board, "/work/venv/bin/edgedense", "doctor", check=False).stdout
    (WORK / f"doctor-{suite}-{board}.txt").write_text(text)


@each_suite
def test_an_unfit_delegate_library_does_no_harm(suite: str, userlands: None) -> None:
    """`--device coral` in a userland without libedgetpu: the child process says so, exit code 3."""
    model = WORK / suite / "root/work/digits_edgetpu.tflite"
    model.write_bytes(MODEL.read_bytes() + b"edgetpu-custom-op")
    image = f"/work/images/{images(1)[0].relative_to(IMAGES)}"
    done = enter(
        suite, "pi5", "/work/venv/bin/edgedense", "run", f"/work/{model.name}", image, "--device", "coral", check=False
    )
    assert done.returncode == 3, done.stderr
    assert "install libedgetpu" in done.stderr


@each_suite
def test_pipx_beside_the_systems_packages(suite: str, userlands: None, wheel: Path) -> None:
    """As docs/raspberry-pi.md has it: Debian's NumPy and Pillow, which picamera2 needs, stay in use."""
    # What an earlier run installed; install --force would bring the newest NumPy.
    enter(suite, "pi5", "pipx", "uninstall", "edgedense", check=False)
    enter(suite, "pi5", "pipx", "install", "--system-site-packages", f"/work/{wheel.name}[device]")
    image = f"/work/images/{images(1)[0].relative_to(IMAGES)}"
    done = enter(suite, "pi5", "edgedense", "run", f"/work/{MODEL.name}", image, "--json")
    assert json.loads(done.stdout)["label"]
    doctor = {
        finding["name"]: finding["value"]
        for finding in json.loads(enter(suite, "pi5", "edgedense", "doctor", "--json", check=False).stdout)
    }
    debians = enter(suite, "pi5", "python3", "-c", "import numpy; print(numpy.__version__)").stdout.strip()
    assert f"numpy {debians}" in doctor["packages"]
    tell(f"{suite}: pipx install --system-site-packages works: {doctor['packages']}, {doctor['runtime']}")


@pytest.fixture(scope="session")
def admitted() -> tuple[str, str]:
    """The oldest and the newest ai-edge-litert of the extra `device`."""
    text = (ROOT / "pyproject.toml").read_text()
    bounds = re.search(r'^device = \["ai-edge-litert>=([\d.]+),<=([\d.]+)"', text, re.MULTILINE)
    assert bounds, "the extra `device` must name the oldest and the newest ai-edge-litert"
    return bounds[1], bounds[2]


def test_the_newest_runtime_that_the_extra_admits_is_the_one_tested_above(
    userlands: None, admitted: tuple[str, str]
) -> None:
    for suite in PYTHONS:
        assert f"ai-edge-litert=={admitted[1]}" in enter(suite, "pi5", "/work/venv/bin/pip", "freeze").stdout.split()


@pytest.mark.parametrize("version", OLDER)
def test_older_runtimes_that_the_extra_admits(version: str, userlands: None, admitted: tuple[str, str]) -> None:
    """pyproject admits nothing that has not run here."""
    assert OLDER[0] == admitted[0]
    download(WORK / "bookworm/root/work/wheels", PYTHONS["bookworm"], f"ai-edge-litert=={version}")
    name = next((WORK / "bookworm/root/work").glob("edgedense-*.whl")).name
    install("bookworm", "older", f"/work/{name}[device]", f"ai-edge-litert=={version}")
    for board in CORES:
        done = enter("bookworm", board, "/work/older/bin/edgedense", "validate", f"/work/{MODEL.name}", "--json")
        replay = json.loads(done.stdout)
        assert f"ai-edge-litert {version}" in replay["run_with"]
        tell(
            f"bookworm {board}: golden samples with {replay['run_with']}: steps {replay['steps']}, labels changed "
            f"{len(replay['flipped'])}"
        )
