"""From the bundled trained DenseNet121 to predictions and a drift figure: what `make demo` runs.

    python examples/digits/demo.py FOLDER [--pictures N]

makes the pictures, converts the model, classifies a few pictures, compares with the float model on N of the 1,000
held-out pictures, and prints what it found. The float model takes most of the time there, so N is 300 unless it is
given. A second run finds the pictures in FOLDER.
"""

from __future__ import annotations

import argparse
import json
import shutil
import subprocess
import sys
import time
from pathlib import Path

import numpy as np

HERE = Path(__file__).resolve().parent
MODEL = HERE / "digits.keras"
ROUNDS, WARM_UP = 30, 5
PICTURES = 300
CALIBRATION = 100  # pictures: as few as are recommended, so that the first prediction is soon there


def main(folder: Path, pictures: int) -> None:
    """Run the three commands as a user would, then measure both models side by side."""
    started = time.monotonic()
    folder.mkdir(parents=True, exist_ok=True)
    check_model()
    images, model, report = folder / "images", folder / "digits.tflite", folder / "report.html"
    run(sys.executable, str(HERE / "images.py"), str(images))
    known = ["--calibration", str(images / "calibration"), "--labels", str(images / "labels.txt")]
    edgedense("convert", str(MODEL), *known, "--calibration-images", str(CALIBRATION), "--out", str(model))
    some = sorted((images / "test").glob("*/*"))[::125]
    edgedense("run", str(model), *map(str, some))
    first = time.monotonic() - started
    chosen = select(images / "test", folder / "measured", pictures)
    compared = ["--data", str(chosen), "--reference", str(MODEL), "--report", str(report), "--max-drop", "0.5"]
    answer = edgedense("validate", str(model), *compared, "--json", capture=True)
    summarize(json.loads(answer), model, report)
    print(f"first prediction after {first:.0f} s, all of it after {time.monotonic() - started:.0f} s")


def select(held_out: Path, chosen: Path, pictures: int) -> Path:
    """A folder with so many of the held-out pictures, evenly spread over each class: `chosen`, or all as they are."""
    paths = sorted(held_out.glob("*/*.jpg"))
    if pictures >= len(paths):
        return held_out
    shutil.rmtree(chosen, ignore_errors=True)  # of an earlier run, perhaps with another number
    for index in np.linspace(0, len(paths), pictures, endpoint=False).astype(int):
        copy = chosen / paths[index].relative_to(held_out)
        copy.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(paths[index], copy)
    return chosen


def check_model() -> None:
    """Stop when the trained model is not the one that was committed."""
    from edgedense.files import sha256

    expected = (HERE / "digits.keras.sha256").read_text().split()[0]
    if sha256(MODEL.read_bytes()) != expected:
        sys.exit(f"{MODEL} is damaged: its SHA-256 is not {expected}. Try: git checkout {MODEL}")


def edgedense(*arguments: str, capture: bool = False) -> str:
    """Run one edgedense command of this environment, after showing it."""
    return run(str(Path(sys.executable).parent / "edgedense"), *arguments, capture=capture)


def run(*command: str, capture: bool = False) -> str:
    """Run a command and stop with its exit code when it fails; returns what it printed if `capture`."""
    shown = [Path(word).name if word.startswith("/") and "bin" in word else word for word in command]
    print("$", " ".join(shown), flush=True)
    done = subprocess.run(command, stdout=subprocess.PIPE if capture else None, text=True)
    if done.returncode:
        sys.exit(done.returncode)
    return done.stdout or ""


def summarize(result: dict, model: Path, report: Path) -> None:
    """Accuracy, agreement, sizes, latency, and where the report is."""
    drift = result["drift"]
    before, after = (100 * drift[side]["accuracy"] for side in ("before", "after"))
    float_ms, int8_ms = latencies(model)
    print()
    print(f"float   accuracy {before:.2f} %   {MODEL.stat().st_size / 1e6:6.2f} MB   median {float_ms:6.1f} ms (Keras)")
    print(f"int8    accuracy {after:.2f} %   {model.stat().st_size / 1e6:6.2f} MB   median {int8_ms:6.1f} ms (LiteRT)")
    measured, held_out = drift["after"]["images"], len(list((model.parent / "images" / "test").glob("*/*.jpg")))
    print(
        f"measured on {measured} of {held_out} held-out pictures: same label on {100 * drift['agreement']:.2f} %, "
        f"mean KL {drift['kl_mean']:.6f}"
    )
    print(f"report  {report}")


def latencies(model: Path) -> tuple[float, float]:
    """Median milliseconds of float (Keras, traced) and int8, one picture, all cores, taken in turn."""
    import os

    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    import keras
    import tensorflow as tf

    from edgedense.device.classifier import Classifier

    network = keras.models.load_model(MODEL, compile=False)
    with Classifier(model) as classifier:
        height, width = classifier.preprocessing.size
        picture = np.random.default_rng(0).integers(0, 256, (height, width, 3), np.uint8)
        batch = tf.constant(picture[None], tf.float32)
        traced = tf.function(lambda x: network(x, training=False))
        runs = (lambda: traced(batch).numpy(), lambda: classifier.classify(picture))
        times: tuple[list[float], list[float]] = ([], [])
        for round_ in range(WARM_UP + ROUNDS):
            for action, kept in zip(runs, times, strict=True):
                started = time.perf_counter()
                action()
                if round_ >= WARM_UP:
                    kept.append(1000 * (time.perf_counter() - started))
    return float(np.median(times[0])), float(np.median(times[1]))


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, metavar="FOLDER")
    parser.add_argument("--pictures", type=int, default=PICTURES, metavar="N", help=f"by default {PICTURES}")
    given = parser.parse_args()
    if given.pictures < 10:
        parser.error("--pictures needs 10 or more: there are 10 classes")
    main(given.folder, given.pictures)
