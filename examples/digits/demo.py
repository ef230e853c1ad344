"""From the bundled trained DenseNet121 to predictions and a drift figure: what `make demo` runs.

    python examples/digits/demo.py FOLDER

makes the pictures, converts the model, classifies a few pictures, compares with the float model on 1,000 held-out
pictures, and prints what it found. A second run finds the pictures in FOLDER.
"""

from __future__ import annotations

import json
import subprocess
import sys
import time
from pathlib import Path

import numpy as np

HERE = Path(__file__).resolve().parent
MODEL = HERE / "digits.keras"
ROUNDS, WARM_UP = 30, 5


def main(folder: Path) -> None:
    """Run the three commands as a user would, then measure both models side by side."""
    folder.mkdir(parents=True, exist_ok=True)
    check_model()
    run(sys.executable, str(HERE / "images.py"), str(folder / "images"))
    images, model, report = folder / "images", folder / "digits.tflite", folder / "report.html"
    edgedense(
        "convert",
        str(MODEL),
        "--calibration",
        str(images / "calibration"),
        "--labels",
        str(images / "labels.txt"),
        "--out",
        str(model),
    )
    some = sorted((images / "test").glob("*/*"))[::125]
    edgedense("run", str(model), *map(str, some))
    answer = edgedense(
        "validate",
        str(model),
        "--data",
        str(images / "test"),
        "--reference",
        str(MODEL),
        "--report",
        str(report),
        "--max-drop",
        "0.5",
        "--json",
        capture=True,
    )
    summarize(json.loads(answer), model, report)


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
    print(
        f"same label on {100 * drift['agreement']:.2f} % of {drift['after']['images']} held-out pictures, mean KL "
        f"{drift['kl_mean']:.6f}"
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
        height, width = classifier.preprocessing.height, classifier.preprocessing.width
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
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    main(Path(sys.argv[1]))
