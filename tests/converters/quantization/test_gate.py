"""The gate on the drop in accuracy, and the steps that are tried when it fails."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest

from edgedense.converters.calibration.ranges import RangeSpec
from edgedense.converters.network.graph import DenseNet
from edgedense.converters.quantization import gate
from edgedense.converters.quantization.attempts import Attempt, Candidate
from edgedense.converters.quantization.gate import Trial, Validation, ladder, passing
from edgedense.converters.tflite import execute
from edgedense.errors import EdgedenseError, GateError
from edgedense.measures.labelled import of_classes, scored_alone
from tests import networks

FIRST = Attempt(RangeSpec("minmax", 1.15))
TRIED = (
    Candidate(Attempt(RangeSpec("mse")), 0.5, 10),
    Candidate(FIRST, 0.1, 10),
    Candidate(Attempt(RangeSpec("percentile")), 0.2, 10),
)


@pytest.fixture(scope="module")
def network() -> DenseNet:
    return networks.rewritten(positive=True)


@pytest.fixture
def validation(network: DenseNet) -> Validation:
    """Ten pictures that the float model has right."""
    labels = np.arange(10) % 3
    return Validation(networks.pictures(network, 10), of_classes((), (), labels, "abc"), np.eye(3)[labels])


def answering(monkeypatch: pytest.MonkeyPatch, validation: Validation, rights: list[int]) -> Callable[[], int]:
    """Lets the deployed file have so many right, attempt by attempt; returns how many attempts were run."""
    left, labels = list(rights), validation.images.labels

    def run(model: bytes, pixels: np.ndarray) -> np.ndarray:
        right = left.pop(0)
        return np.eye(3)[np.where(np.arange(10) < right, labels, (labels + 1) % 3)]

    monkeypatch.setattr(execute, "run", run)
    return lambda: len(rights) - len(left)


def pass_gate(
    network: DenseNet,
    validation: Validation,
    max_drop: float,
    output_type: str = "float32",
    tried: tuple[Candidate, ...] = TRIED,
) -> tuple[Attempt, list[Trial]]:
    statistics = networks.statistics(network, validation.pixels)
    attempt, _, trials = passing(network, statistics, FIRST, tried, max_drop, validation, output_type, lambda n: None)
    return attempt, trials


def test_the_first_attempt_that_keeps_the_limit_is_taken(
    network: DenseNet, validation: Validation, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = answering(monkeypatch, validation, [9])
    attempt, trials = pass_gate(network, validation, 10)
    assert (attempt, asked()) == (FIRST, 1)
    assert trials[0].drop == pytest.approx(10)


def test_escalates_until_it_is_kept(network: DenseNet, validation: Validation, monkeypatch: pytest.MonkeyPatch) -> None:
    """Other ranges by their divergence, then quieter operators, then the worst layers in float."""
    answering(monkeypatch, validation, [5, 6, 7, 8, 8, 10])
    attempt, trials = pass_gate(network, validation, 0)
    assert [trial.drop for trial in trials] == pytest.approx([50, 40, 30, 20, 20, 0])
    made = [trial.attempt for trial in trials]
    assert made[:4] == [FIRST, TRIED[2].attempt, TRIED[0].attempt, Attempt(FIRST.ranges, "depthwise")]
    assert [len(attempt.floats) for attempt in made[4:]] == list(gate.FLOAT_STEPS)
    assert set(made[4].floats) < set(made[5].floats)
    assert attempt == made[5]


def test_gives_up_and_tells_what_each_step_gave(
    network: DenseNet, validation: Validation, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = answering(monkeypatch, validation, [5, 6, 7, 8, 9, 9])
    with pytest.raises(GateError) as caught:
        pass_gate(network, validation, 5)
    assert asked() == 6
    assert caught.value.exit_code == 1
    for words in (
        "at most 5 points on 10 validation pictures",
        "minmax x 1.15, maximum: +50.00 points",
        "percentile x 1, maximum: +40.00",
        "depthwise: +20.00",
        "16 operators in float: +10.00",
    ):
        assert words in str(caught.value)


def test_an_integer_network_gets_no_float_layers(network: DenseNet, validation: Validation) -> None:
    statistics = networks.statistics(network, validation.pixels)
    steps = list(ladder(network, statistics, FIRST, TRIED, validation.pixels, "uint8"))
    assert len(steps) == 4
    assert not any(attempt.floats for attempt in steps)


def test_the_float_layers_are_layers_of_the_network(network: DenseNet, validation: Validation) -> None:
    """Without other ranges to try, as with --ranges and --headroom."""
    statistics = networks.statistics(network, validation.pixels)
    steps = list(ladder(network, statistics, FIRST, (), validation.pixels, "float32"))
    assert len(steps) == 4
    for name in steps[-1].floats:
        assert name in statistics


def test_a_gain_passes(network: DenseNet, validation: Validation, monkeypatch: pytest.MonkeyPatch) -> None:
    worse = replace(validation, scores=np.roll(validation.scores, 1, axis=1))
    answering(monkeypatch, worse, [10])
    _, trials = pass_gate(network, worse, 0)
    assert trials[0].describe() == "minmax x 1.15, maximum: -100.00 points"


def test_of_several_findings_the_mean_auroc_counts(
    network: DenseNet, validation: Validation, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Scores that all are halved put no picture before another one: the gate passes, although no answer is the same."""
    images = scored_alone(validation.images)
    several = Validation(validation.pixels, images, validation.scores, thresholds=(0.5, 0.5, 0.5))
    monkeypatch.setattr(execute, "run", lambda model, pixels: validation.scores / 4)
    assert several.measured == "mean AUROC"
    assert several.drop(b"") == 0
    monkeypatch.setattr(execute, "run", lambda model, pixels: validation.scores * (1, 1, 0))
    assert several.drop(b"") == pytest.approx(100 * 0.5 / 3)  # of one class in three all scores are equal: 0.5
    with pytest.raises(GateError, match="a drop in mean AUROC of at most 5 points"):
        pass_gate(network, several, 5)
    unknown = replace(images, truth=np.full_like(images.truth, np.nan))
    with pytest.raises(EdgedenseError, match="no class that has both"):
        replace(several, images=unknown).drop(b"")
