"""web/src/replay.ts judges golden samples as edgedense/deployed/golden.py does, and says it in a sentence."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from edgedense.deployed import golden
from edgedense.deployed.golden import FLOAT_STEP, Golden, ValueScale
from tests.web import given
from tests.web.conftest import Asked


def sample(outputs: Any, dtype: str = "float32", values: ValueScale | None = None, step: float = FLOAT_STEP) -> Golden:
    made = np.array(outputs, dtype)
    reference = np.zeros(made.shape, np.float32)
    none = np.zeros(0, np.float32)
    return Golden(0, len(made), 4, 4, (), made, reference, step, "ai-edge-litert 2", "x86_64", none, values)


def asked(made: Golden, here: NDArray[Any]) -> dict[str, Any]:
    values = made.values and {"steps": made.values.steps, "zero_point": made.values.zero_point}
    entry = {
        "count": len(made.outputs),
        "inputs": None,
        "dtype": made.outputs.dtype.name,
        "outputs": given.encoded(made.outputs),
        "reference": given.encoded(made.reference),
        "step": made.step,
        "values": values,
        "runtime": made.runtime,
        "machine": made.machine,
    }
    return {"golden": entry, "here": [given.encoded(row) for row in here]}


def replayed(made: Golden, here: NDArray[Any]) -> golden.Replay:
    rows = iter(here)
    return golden.replay(made, lambda _: next(rows), runtime="a browser", machine="wasm")


TWO = [[0.7, 0.3], [0.46, 0.54]]
CASES: dict[str, tuple[Golden, Any, str]] = {
    "equal": (sample(TWO), TWO, "2 samples equal, to the bit"),
    "last bits": (sample(TWO), [[0.7, 0.3001], [0.46, 0.54]], "2 samples equal, scores within 1.0e-4"),
    "a step": (
        sample(TWO),
        [[0.69, 0.3], [0.46, 0.54]],
        "2 samples agree: 1 of 4 values off by up to 3 steps, no label changed",
    ),
    "a label with little between": (
        sample(TWO),
        [[0.7, 0.3], [0.51, 0.49]],
        "2 samples agree: 2 of 4 values off by up to 13 steps, 1 label changed",
    ),
    "a label": (
        sample(TWO),
        [[0.3, 0.7], [0.46, 0.54]],
        "Not as where the file was made (no label changes whose margin was above 0.1): 2 of 4 values off by up to 102 "
        "steps, 1 label changed. Load the page again; if that does not help, make it again with edgedense web.",
    ),
    "uint8": (
        sample([[200, 55], [10, 245]], "uint8"),
        [[200, 55], [11, 244]],
        "2 samples agree: 2 of 4 values off by up to 1 step, no label changed",
    ),
    "one sigmoid": (
        sample([[0.52], [0.1]]),
        [[0.49], [0.1]],
        "2 samples agree: 1 of 2 values off by up to 8 steps, 1 label changed",
    ),
    "one sigmoid, far": (
        sample([[0.7], [0.1]]),
        [[0.4], [0.1]],
        "Not as where the file was made (no label changes whose margin was above 0.1): 1 of 2 values off by up to 77 "
        "steps, 1 label changed. Load the page again; if that does not help, make it again with edgedense web.",
    ),
    "values": (
        sample([[10.0, 200.0]], values=ValueScale((0.5, 2.0))),
        [[12.0, 200.9]],
        "1 sample agrees: 1 of 2 values off by up to 4 steps",
    ),
    "values, far": (
        sample([[10, 200]], "uint8", ValueScale((0.5, 0.5), 3)),
        [[10, 227]],
        "Not as where the file was made (no value differs by more than 26 steps): 1 of 2 values off by up to 27 "
        "steps. Load the page again; if that does not help, make it again with edgedense web.",
    ),
}


@pytest.fixture(scope="module")
def answers(ask: Asked) -> dict[str, dict[str, Any]]:
    found = ask("replay", [asked(made, np.array(here, made.outputs.dtype)) for made, here, _ in CASES.values()])
    return dict(zip(CASES, found, strict=True))


@pytest.mark.parametrize("name", CASES)
def test_judged_as_python_judges(name: str, answers: dict[str, dict[str, Any]]) -> None:
    made, here, sentence = CASES[name]
    expected, found = replayed(made, np.array(here, made.outputs.dtype)), answers[name]
    assert (found["samples"], found["passed"], found["bitEqual"], found["flipped"], found["sentence"]) == (
        expected.probes,
        expected.passed,
        expected.bit_equal,
        len(expected.flipped),
        sentence,
    )


def test_the_largest_difference_is_one_of_scores(answers: dict[str, dict[str, Any]]) -> None:
    found = {name: answers[name]["largest"] for name in ("uint8", "values", "values, far")}
    assert found == pytest.approx({"uint8": FLOAT_STEP, "values": 2.0, "values, far": 13.5}, abs=1e-6)
