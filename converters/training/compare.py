"""A ResNet50 trained under the same conditions, and both after int8 conversion, side by side."""

from __future__ import annotations

import contextlib
import io
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from edgedense.converters import pipeline
from edgedense.converters.calibration.pictures import read_calibration
from edgedense.converters.network.full_integer import full_integer
from edgedense.converters.options import DEFAULT_IMAGES
from edgedense.converters.options import Options as ConversionOptions
from edgedense.converters.tflite import execute
from edgedense.converters.training.dataset import Side
from edgedense.converters.training.goal import Goal
from edgedense.converters.training.networks import RESNET, Architecture
from edgedense.converters.training.options import Options
from edgedense.converters.training.train import Training, train
from edgedense.deployed import bundle
from edgedense.errors import EdgedenseError
from edgedense.images.preprocessing import Pixels, Preprocessing
from edgedense.images.tables import Table
from edgedense.measures.metrics import Floats
from edgedense.progress import progress
from edgedense.report.wording import Section

ROUNDS, WARM_UP = 60, 5
PICTURES = 16  # different ones in the rounds

Predict = Callable[[Pixels], np.ndarray]  # uint8 [height, width, 3] -> scores [outputs]


@dataclass(frozen=True)
class Entry:
    """One network: float and int8. Figures are the goal's on the judged pictures, `milliseconds` is the median of an
    inference on one thread of this machine."""

    name: str
    converter: str
    parameters: int
    figure: float | None
    int8_figure: float | None
    keras_bytes: int
    int8_bytes: int
    milliseconds: float


@dataclass(frozen=True)
class Comparison:
    """Ours first. `judged_on` names the pictures that both were scored on, `images` says how many they are."""

    ours: Entry
    peer: Entry
    goal: Goal
    judged_on: str
    images: int


def check(options: Options) -> None:
    """Raise EdgedenseError when two networks could not begin under the same conditions."""
    if options.weights not in ("imagenet", "none"):
        raise EdgedenseError(
            "--weights imagenet or none with --compare, which both networks can begin with",
            f"the file {options.weights}",
            "--weights none, or leave --compare out",
        )


def compare(
    ours: Training,
    data: Path | str | Table,
    work: Path | str,
    say: Callable[[str], None],
    *,
    architecture: Architecture | None = None,
) -> Comparison:
    """Train the peer with the same pictures, split and options; convert both; score and time them in turns.

    DenseNet goes through `convert`, the peer through TensorFlow's own TFLiteConverter with the same calibration
    pictures. It goes on after a kill like `train`.
    """
    check(ours.options)
    architecture = architecture or RESNET
    say(f"training {architecture.name} under the same conditions")
    peer = train(data, work, ours.options, architecture=architecture, name=f"{architecture.name}.keras", say=say)
    say("converting both to int8")
    size = ours.options.size
    with progress("reading calibration pictures", DEFAULT_IMAGES) as tick:
        pictures = read_calibration(ours.calibration, Preprocessing(size, size, "none"), tick=tick)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "ours.keras"
        path.write_bytes(ours.data)
        # The preprocessing is known here, and needs no check.
        converted = pipeline.convert(path, ours.calibration, ours.labels, ConversionOptions(force=True))
        files = [bundle.without_archive(converted.data), stock_int8(peer.data, pictures.pixels)]
    judged = ours.judged
    with progress("scoring both", 2 * len(judged)) as tick:
        deployed = [ours.goal.figure(scores(predictor(model), judged, tick), judged.labels) for model in files]
    chosen = judged.pixels[judged.rows[:PICTURES]]
    with progress("timing both", ROUNDS + WARM_UP) as tick:
        times = interleaved([predictor(model, threads=1) for model in files], chosen, ROUNDS, WARM_UP, tick)
    entries = [
        Entry(network, converter, result.parameters, result.figure, figure, len(result.data), len(model), milliseconds)
        for network, converter, result, figure, model, milliseconds in zip(
            ("DenseNet121", architecture.name),
            ("edgedense convert", "TFLiteConverter"),
            (ours, peer),
            deployed,
            files,
            times,
            strict=True,
        )
    ]
    return Comparison(entries[0], entries[1], ours.goal, ours.judged_on, len(judged))


def stock_int8(keras_file: bytes, pixels: Pixels) -> bytes:
    """Full integer quantization as TensorFlow's guide has it: uint8 in, float32 out."""
    import keras

    with tempfile.TemporaryDirectory() as folder, contextlib.redirect_stdout(io.StringIO()):
        path = Path(folder) / "peer.keras"
        path.write_bytes(keras_file)
        model = keras.models.load_model(path, compile=False)
    return full_integer(model, pixels)


def predictor(model: bytes, threads: int | None = None) -> Predict:
    """A function from raw pixels to scores; a uint8 input that has another step than one level is given its own."""
    runner = execute.interpreter(model, threads)
    image, output = runner.get_input_details()[0], runner.get_output_details()[0]["index"]
    scale, zero_point = image["quantization"]
    table = np.arange(256, dtype=np.float64)
    if scale:
        table = np.clip(np.rint(table / scale) + zero_point, 0, 255)
    levels = table.astype(image["dtype"])

    def predict(pixels: Pixels) -> Any:
        runner.set_tensor(image["index"], levels[pixels][None])
        runner.invoke()
        return runner.get_tensor(output)[0]

    return predict


def scores(predict: Predict, side: Side, tick: Callable[[int], None]) -> Floats:
    """Those of a side's pictures, [N, outputs]."""
    found = []
    for row in side.rows:
        found.append(predict(np.asarray(side.pixels[row])))
        tick(1)
    return np.stack(found).astype(np.float64)


def interleaved(
    predict: Sequence[Predict], pixels: Pixels, rounds: int, warm_up: int, tick: Callable[[int], None]
) -> list[float]:
    """The median milliseconds of each, taken in turns, so that what else the machine does meets all of them."""
    times: list[list[float]] = [[] for _ in predict]
    for number in range(warm_up + rounds):
        picture = np.asarray(pixels[number % len(pixels)])
        for one, kept in zip(predict, times, strict=True):
            started = time.perf_counter()
            one(picture)
            if number >= warm_up:
                kept.append(1000 * (time.perf_counter() - started))
        tick(1)
    return [float(np.median(kept)) for kept in times]


def table(found: Comparison) -> Section:
    """Both side by side, and ours as a share of the peer's."""
    ours, peer, called = found.ours, found.peer, found.goal.called
    rows = (
        (f"{called}, float", *(found.goal.said(entry.figure) for entry in (ours, peer)), ""),
        (f"{called}, int8", *(found.goal.said(entry.int8_figure) for entry in (ours, peer)), ""),
        ("parameters", f"{ours.parameters:,}", f"{peer.parameters:,}", f"{ours.parameters / peer.parameters:.2f}"),
        *(
            (name, f"{a / 1e6:.2f} MB", f"{b / 1e6:.2f} MB", f"{a / b:.2f}")
            for name, a, b in (
                ("Keras file", ours.keras_bytes, peer.keras_bytes),
                ("int8 file", ours.int8_bytes, peer.int8_bytes),
            )
        ),
        (
            "int8 latency, one thread",
            f"{ours.milliseconds:.2f} ms",
            f"{peer.milliseconds:.2f} ms",
            f"{ours.milliseconds / peer.milliseconds:.2f}",
        ),
    )
    said = (
        f"Trained with the same pictures, split and options, scored on {found.images} {found.judged_on} pictures. "
        f"int8: {ours.name} by {ours.converter}, {peer.name} by {peer.converter}. Latency: medians of {ROUNDS} "
        "rounds in turns, on this machine."
    )
    return Section(f"{ours.name} and {peer.name}", said, ("", ours.name, peer.name, "ratio"), rows)
