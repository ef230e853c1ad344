"""Noise of the deployed layers against the float network, with the equalization undone."""

from __future__ import annotations

import numpy as np
import pytest

from edgedense.converters.network.graph import DenseNet, Form
from edgedense.converters.network.program import lower
from edgedense.converters.quantization import attempts, noise
from edgedense.converters.quantization.attempts import Attempt
from edgedense.errors import EdgedenseError
from tests import networks


def measured(network: DenseNet, attempt: Attempt) -> tuple[bytes, noise.Equalization, np.ndarray]:
    pixels = networks.pictures(network, 6)
    built = attempts.build(network, networks.statistics(network, pixels), attempt)
    return built.quantized.to_bytes(), built.equalization, pixels


@pytest.mark.parametrize("form", ["maximum", "depthwise"])
def test_with_the_equalization_undone_every_layer_is_close(form: Form) -> None:
    """8 bits resolve a range to 1/255, some 50 dB; 30 tensors in a row and channels of little signal cost the rest."""
    network = networks.rewritten(positive=True)
    model, maps, pixels = measured(network, Attempt(form=form))
    found = dict(noise.layer_noise(lower(network), model, maps, pixels))
    for name in ("stem/conv", "block1/layer1/bottleneck", "block1/layer2/growth", "transition1", "head/norm"):
        assert found[name] > 15, name


def test_without_it_they_are_not() -> None:
    network = networks.rewritten(positive=True)
    model, maps, pixels = measured(network, Attempt())
    plain = {name: (np.ones_like(scale), np.zeros_like(shift)) for name, (scale, shift) in maps.items()}
    assert dict(noise.layer_noise(lower(network), model, plain, pixels))["transition1"] < 10


def test_the_layer_that_is_wrong_stands_out() -> None:
    network = networks.rewritten(positive=True)
    model, maps, pixels = measured(network, Attempt())
    scale, shift = maps["transition1"]
    wrong = {**maps, "transition1": (scale * 3, shift)}
    worst = noise.worst_first(noise.layer_noise(lower(network), model, wrong, pixels))
    assert worst[0][0] == "transition1"
    assert [value for _, value in worst] == sorted(value for _, value in worst)


def test_round_trip() -> None:
    network = networks.rewritten()
    _, maps, _ = measured(network, Attempt())
    data = noise.to_bytes(maps)
    assert noise.to_bytes(maps) == data  # a zip that knows no time
    found = noise.from_bytes(data)
    assert found.keys() == maps.keys()
    for name, (scale, shift) in maps.items():
        assert found[name][0] == pytest.approx(scale, rel=1e-6)
        assert found[name][1] == pytest.approx(shift, rel=1e-6)


def test_a_file_of_another_network_is_refused() -> None:
    network = networks.rewritten()
    model, _, pixels = measured(network, Attempt())
    with pytest.raises(EdgedenseError, match="none in common"):
        noise.layer_noise(lower(network), model, {}, pixels)


def test_a_damaged_entry_is_refused() -> None:
    data = noise.to_bytes({"head/norm": (np.ones(3), np.zeros(3))})
    assert noise.from_bytes(data)["head/norm"][0].tolist() == [1, 1, 1]
    for damaged in (b"", b"no archive", data[:-30]):
        with pytest.raises(EdgedenseError, match=r"equalization\.npz"):
            noise.from_bytes(damaged)
