from __future__ import annotations

import numpy as np
import pytest

from edgedense.measures import layer_noise


def test_signal_to_noise_by_hand() -> None:
    assert layer_noise.signal_to_noise(100, 1) == pytest.approx(20)
    assert layer_noise.signal_to_noise(1, 0) == layer_noise.CEILING
    assert layer_noise.signal_to_noise(0, 1) == -layer_noise.CEILING


def test_the_meter_sums_over_pictures_and_keeps_the_order() -> None:
    meter = layer_noise.NoiseMeter()
    for size in (1.0, 3.0):
        meter.add("stem", [size, 0], [size, 1])
        meter.add("head", [size], [size])
    assert meter.result() == (("stem", pytest.approx(10 * np.log10(10 / 2))), ("head", layer_noise.CEILING))


def test_a_sudden_fall_is_named_and_a_gradual_one_is_not() -> None:
    gradual = tuple((f"layer{i}", 40.0 - 2 * i) for i in range(10))
    assert layer_noise.sudden_fall(gradual) is None
    assert layer_noise.sudden_fall((*gradual, ("spoiled", 3.0), ("after", -20.0))) == "spoiled"
    assert layer_noise.sudden_fall((("stem", -5.0),)) is None
    assert layer_noise.sudden_fall(()) is None
    assert layer_noise.sudden_fall((("pixels", layer_noise.CEILING), ("stem", 45.0))) is None  # the first rounding
