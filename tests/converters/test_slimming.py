"""What makes a network smaller: each option does what it says, and what does not go together is refused."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edgedense.boards.result import BoardTime
from edgedense.converters import slimming
from edgedense.converters.network.graph import DenseNet
from edgedense.converters.pruning.cost import macs, weights
from edgedense.converters.recovery import Pictures
from edgedense.converters.slimming import Change, Slimming, check, slim
from edgedense.errors import EdgedenseError
from edgedense.images.preprocessing import Pixels, Preprocessing
from tests import networks

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def network() -> DenseNet:
    return networks.folded(growth=32, bottleneck=48)


@pytest.fixture(scope="module")
def pixels(network: DenseNet) -> Pixels:
    return networks.pictures(network, 16)


def changed(network: DenseNet, pixels: Pixels, **options: Any) -> list[Change]:
    def latency(smaller: DenseNet) -> BoardTime:
        name, is_estimate = (options.get("board") or "this machine", "board" in options)
        error = 0.03 if is_estimate else None
        return BoardTime(name, macs(smaller) / 1e6, None, is_estimate, error)  # a million a millisecond

    good_enough = options.pop("good_enough", None)
    return slim(network, pixels, Slimming(**options), Pictures.unlabelled(pixels, "x"), latency, good_enough)


def test_nothing_asked_for_leaves_the_network_alone(network: DenseNet, pixels: Pixels) -> None:
    (only,) = changed(network, pixels)
    assert (only.name, only.parameters) == ("as trained", {})
    assert only.network is network


def test_a_fraction(network: DenseNet, pixels: Pixels) -> None:
    whole, pruned = changed(network, pixels, prune_channels=0.3, importance="l1")
    assert 0.5 < macs(pruned.network) / macs(whole.network) <= 0.7
    assert (pruned.parameters["fraction"], pruned.parameters["importance"]) == (0.3, "l1")
    assert not networks.equal(pruned.network, changed(network, pixels, prune_channels=0.3)[-1].network)  # taylor


def test_a_fraction_of_a_board_s_time(network: DenseNet, pixels: Pixels) -> None:
    """Here a million multiply-accumulates take a millisecond on each board, but which channels go is the board's."""
    whole, pruned = changed(network, pixels, prune_channels=0.3, board="pi4", importance="l1")
    share = macs(pruned.network) / macs(whole.network)
    assert 0.6 < share <= 0.7
    told = {"fraction": 0.3, "board": "pi4", "estimated_ms": round(macs(pruned.network) / 1e6, 3)}
    assert told.items() <= pruned.parameters.items()
    assert not networks.equal(pruned.network, changed(network, pixels, prune_channels=0.3, importance="l1")[-1].network)
    with pytest.raises(EdgedenseError, match=r"99 % less time on pi4"):
        changed(network, pixels, prune_channels=0.99, board="pi4", importance="l1")


def test_the_cache_of_an_edge_tpu(network: DenseNet, pixels: Pixels, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(slimming, "CORAL_CACHE", weights(network) * 3 // 4)
    pruned = changed(network, pixels, fit_edgetpu=True, importance="l1")[-1]
    assert 0.5 * weights(network) < weights(pruned.network) <= 0.75 * weights(network)


def test_a_latency(network: DenseNet, pixels: Pixels) -> None:
    limit = 0.8 * macs(network) / 1e6
    pruned = changed(network, pixels, fit_latency=limit, importance="l1")[-1]
    assert 0.6 * limit < macs(pruned.network) / 1e6 <= limit
    with pytest.raises(EdgedenseError, match=r"an inference of 0.001 ms on this machine"):
        changed(network, pixels, fit_latency=0.001, importance="l1")
    assert set(pruned.parameters) == {"latency_ms", "importance", "left"}


def test_the_latency_of_a_board(network: DenseNet, pixels: Pixels) -> None:
    limit = 0.8 * macs(network) / 1e6
    pruned = changed(network, pixels, fit_latency=limit, board="pi5", importance="l1")[-1]
    told = {"board": "pi5", "estimated_ms": round(macs(pruned.network) / 1e6, 3), "instructions_error": 0.03}
    assert told.items() <= pruned.parameters.items()
    with pytest.raises(EdgedenseError, match=r"an inference of 0.001 ms on pi5"):
        changed(network, pixels, fit_latency=0.001, board="pi5", importance="l1")


def test_pruned_then_recovered(network: DenseNet, pixels: Pixels, tmp_path: Path) -> None:
    """In this order, and the second is told by what it learned from."""
    whole, pruned, recovered = changed(
        network, pixels, prune_channels=0.4, importance="random", recover=tmp_path, epochs=30
    )
    assert [change.name for change in (pruned, recovered)] == ["prune", "recover"]
    assert recovered.parameters["epochs"] == 30
    assert macs(recovered.network) == macs(pruned.network)
    wanted = networks.logits(whole.network, pixels)
    before, after = (np.abs(networks.logits(change.network, pixels) - wanted).mean() for change in (pruned, recovered))
    assert after < before


def test_a_recovery_ends_when_it_is_good_enough(network: DenseNet, pixels: Pixels, tmp_path: Path) -> None:
    options = {"prune_channels": 0.4, "importance": "random", "recover": tmp_path, "epochs": 30}
    asked = []

    def good_enough(smaller: DenseNet) -> bool:
        asked.append(smaller)
        return True

    recovered = changed(network, pixels, **options, good_enough=good_enough)[-1]
    assert len(asked) == 1
    assert recovered.parameters["epochs"] < 30
    assert networks.equal(asked[0], recovered.network)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"prune_channels": 0.5, "fit_edgetpu": True}, ("one goal", "--prune-channels and --fit-edgetpu")),
        ({"fit_edgetpu": True, "fit_latency": 3.0}, ("one goal", "--fit-edgetpu and --fit-latency")),
        ({"epochs": 3}, ("--epochs with --recover", "--epochs alone")),
        ({"board": "pi5"}, ("--prune-channels or --fit-latency with --board", "--board alone")),
        ({"board": "pi5", "fit_edgetpu": True}, ("--prune-channels or --fit-latency with --board",)),
        ({"on": "pi@barn-1", "prune_channels": 0.5}, ("--fit-latency with --on", "--on alone")),
        ({"fit_latency": 3.0, "board": "pi5", "on": "pi@barn-1"}, ("--board or --on", "both")),
        ({"fit_latency": 3.0, "board": "pi6"}, ("pi5, pi4", "pi6")),
    ],
)
def test_what_does_not_go_together(options: dict[str, object], words: tuple[str, ...]) -> None:
    with pytest.raises(EdgedenseError) as caught:
        check(Slimming(**options))  # type: ignore[arg-type]
    for word in words:
        assert word in str(caught.value)


def test_the_calibration_pictures_train_where_no_others_are_given(pixels: Pixels) -> None:
    found = slimming.pictures_of(Slimming(sparsity=0.5), pixels, "x", Preprocessing(33, 40, "none"), ())
    assert found.pixels is pixels
    assert set(found.labels) == {-1}
