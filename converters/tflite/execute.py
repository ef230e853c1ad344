"""Runs the bytes of a .tflite on the workstation, to choose between candidates and to prove the one chosen."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from typing import Any, TypeVar

import numpy as np

from edgedense.images.preprocessing import Pixels
from edgedense.workers import cores, in_order

Kept = TypeVar("Kept")
MOST_RUNNERS = 4  # interpreters of a file whose tensors are all kept: each holds 100 MB at 224x224


def interpreter(model: bytes, threads: int | None = None, keep_all: bool = False) -> Any:
    """An allocated interpreter. `keep_all` leaves every tensor readable after a run, at the price of speed."""
    from ai_edge_litert.interpreter import Interpreter, OpResolverType

    kind = OpResolverType.BUILTIN_WITHOUT_DEFAULT_DELEGATES if keep_all else OpResolverType.AUTO
    runner = Interpreter(
        model_content=model,
        num_threads=threads or cores(),
        experimental_preserve_all_tensors=keep_all,
        experimental_op_resolver_type=kind,
    )
    runner.allocate_tensors()
    return runner


def run(model: bytes, pixels: Pixels, tick: Callable[[int], None] = lambda n: None) -> np.ndarray:
    """Scores [N, classes], float32, for uint8 pixels [N, height, width, 3]: as many pictures at once as there are
    cores, with an interpreter of one thread each."""
    runners = [interpreter(model, threads=1) for _ in range(max(1, min(cores(), len(pixels))))]
    scores = runners[0].get_output_details()[0]
    rows = []
    for row in in_order(pixels, [partial(_infer, runner) for runner in runners]):
        rows.append(row)
        tick(1)
    result = np.array(rows)
    if result.dtype != np.float32:
        scale, zero_point = scores["quantization"]
        result = (result.astype(np.float32) - zero_point) * scale
    return result


def each(model: bytes, pixels: Pixels, kept: Callable[[Mapping[str, np.ndarray]], Kept]) -> Iterator[Kept]:
    """What `kept` makes of the outputs of a file, by name, for each picture in turn. It must copy what it returns: the
    outputs are the interpreter's own memory, which the next picture overwrites."""
    count = max(1, min(cores(), MOST_RUNNERS, len(pixels)))
    runners = [interpreter(model, threads=max(1, cores() // count)) for _ in range(count)]
    return in_order(pixels, [_keeping(runner, kept) for runner in runners])


def _keeping(runner: Any, kept: Callable[[Mapping[str, np.ndarray]], Kept]) -> Callable[[Pixels], Kept]:
    image = runner.get_input_details()[0]["index"]
    outputs = {output["name"]: runner.tensor(output["index"]) for output in runner.get_output_details()}

    def work(picture: Pixels) -> Kept:
        runner.set_tensor(image, picture[None])
        runner.invoke()
        return kept({name: view() for name, view in outputs.items()})  # no view may be left at the next inference

    return work


def _infer(runner: Any, picture: Pixels) -> np.ndarray:
    """The raw output [classes] for one picture [height, width, 3]."""
    runner.set_tensor(runner.get_input_details()[0]["index"], picture[None])
    runner.invoke()
    return runner.get_tensor(runner.get_output_details()[0]["index"])[0]


def latencies(models: list[bytes], rounds: int) -> list[float]:
    """Median milliseconds of one inference of each model on one thread; a round runs each, in an order that rotates."""
    runners = [interpreter(model, threads=1) for model in models]
    for runner in runners:
        image = runner.get_input_details()[0]
        runner.set_tensor(image["index"], np.full(image["shape"], 100, image["dtype"]))
    times = np.zeros((rounds + 1, len(runners)))
    for number, round_ in enumerate(times):
        for index in np.roll(np.arange(len(runners)), number):  # no model always runs when the others' work resumes
            start = time.perf_counter()
            runners[index].invoke()
            round_[index] = time.perf_counter() - start
    return [float(median) for median in 1000 * np.median(times[1:], axis=0)]  # the first round warms up
