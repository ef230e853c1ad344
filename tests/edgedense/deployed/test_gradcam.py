"""The head in numpy: gradients against differences, and its way through the archive."""

from __future__ import annotations

import numpy as np
import pytest

from edgedense.deployed.gradcam import Affine, Dense, Flatten, Head, Nonlinear, Pool, Step, WindowPool
from edgedense.errors import EdgedenseError

SHAPE = (5, 4, 6)
random = np.random.default_rng(3)


def dense(inputs: int, outputs: int) -> Dense:
    return Dense(
        random.normal(0, 0.5, (inputs, outputs)).astype(np.float32), random.normal(0, 0.1, outputs).astype(np.float32)
    )


def hidden(function: str) -> tuple[Step, ...]:
    return Pool("avg"), dense(6, 8), Nonlinear(function, 0.3), dense(8, 3)  # type: ignore[arg-type]


HEADS: dict[str, tuple[Step, ...]] = {
    "average": (Pool("avg"), dense(6, 3)),
    "max": (Pool("max"), dense(6, 3)),
    "flatten": (Flatten(), dense(5 * 4 * 6, 3)),
    "windows": (WindowPool("max", (2, 2), (1, 1)), WindowPool("avg", (2, 2), (2, 1)), Flatten(), dense(24, 3)),
    "affine": (Affine(random.normal(0, 1, 6).astype(np.float32), np.ones(6, np.float32)), Pool("avg"), dense(6, 3)),
    "relu on the map": (Nonlinear("relu"), WindowPool("max", (3, 2), (2, 2)), Flatten(), dense(24, 3)),
    **{function: hidden(function) for function in ("relu", "relu6", "leaky_relu", "elu", "tanh", "swish", "sigmoid")},
}


def features() -> np.ndarray:
    return random.normal(0.3, 1, SHAPE).astype(np.float32)


def logits(head: Head, x: np.ndarray) -> np.ndarray:
    for step in head.steps:
        x = step.forward(x)
    return x


def by_differences(head: Head, x: np.ndarray, number: int) -> np.ndarray:
    """Grad-CAM whose gradient is (y(x + d) - y(x - d)) / 2d, in float64."""
    gradient, d = np.zeros(SHAPE), 1e-5
    for place in np.ndindex(SHAPE):
        step = np.zeros(SHAPE)
        step[place] = d
        gradient[place] = (logits(head, x + step)[number] - logits(head, x - step)[number]) / (2 * d)
    return np.maximum((x * gradient.mean(axis=(0, 1))).sum(axis=-1), 0)


@pytest.mark.parametrize("name", HEADS)
def test_the_gradient_is_that_of_the_logit(name: str) -> None:
    """Float32 weights in float64: a difference over 2e-5 keeps ten digits of its sixteen, float32 keeps seven."""
    head = Head(HEADS[name])
    for _ in range(3):
        x = features()
        found = head.heatmaps(x, (0, 1, 2))
        expected = np.stack([by_differences(head, x.astype(np.float64), number) for number in range(3)])
        assert np.abs(found - expected).max() <= 1e-4 * expected.max()
        assert expected.max() > 0


def test_behind_average_pooling_it_is_the_class_activation_map() -> None:
    x, last = np.abs(features()), dense(6, 3)
    found = Head((Pool("avg"), last)).heatmaps(x, (1,))[0]
    assert np.allclose(found, np.maximum(x @ last.kernel[:, 1], 0) / 20, rtol=1e-5)


@pytest.mark.parametrize("name", [name for name in HEADS if name not in ("relu on the map", "flatten", "windows")])
def test_a_scale_for_each_channel_cancels(name: str) -> None:
    first = next(i for i, step in enumerate(HEADS[name]) if isinstance(step, Dense))
    scale = random.uniform(0.1, 10, 6).astype(np.float32)
    last = HEADS[name][first]
    assert isinstance(last, Dense)
    before, x = Head(HEADS[name]), features()
    scaled = Dense(last.kernel / scale[:, None], last.bias)
    steps: tuple[Step, ...] = (*HEADS[name][:first], scaled, *HEADS[name][first + 1 :])
    if name == "affine":
        affine = HEADS[name][0]
        assert isinstance(affine, Affine)
        steps = (Affine(affine.scale, affine.shift * scale), *steps[1:])
    expected = before.heatmaps(x, (0, 1))
    assert np.allclose(Head(steps).heatmaps(x * scale, (0, 1)), expected, atol=1e-4 * expected.max())


def test_the_two_classes_of_a_single_output_are_opposite() -> None:
    head = Head((Pool("avg"), dense(6, 8), Nonlinear("relu"), dense(8, 1)))
    x = features()
    no, yes = head.heatmaps(x, (0, 1))
    assert not (no * yes).any()
    assert np.allclose(yes, by_differences(head, x.astype(np.float64), 0), atol=1e-5)


def test_another_size_after_the_first() -> None:
    head = Head((Pool("avg"), dense(6, 3)))
    small, large = (
        head.heatmaps(np.ones((2, 2, 6), np.float32), (0,)),
        head.heatmaps(np.ones((4, 4, 6), np.float32), (0,)),
    )
    assert np.allclose(small[0, 0, 0] / 4, large[0, 0, 0])


class TestArchive:
    @pytest.mark.parametrize("name", HEADS)
    def test_round_trip(self, name: str) -> None:
        head, x = Head(HEADS[name]), features()
        read = Head.from_bytes(head.to_bytes())
        assert read.to_bytes() == head.to_bytes()
        assert np.array_equal(read.heatmaps(x, (0, 2)), head.heatmaps(x, (0, 2)))

    def test_int8_weights_stay_int8(self) -> None:
        kernel = random.integers(-127, 128, (6, 3)).astype(np.int8)
        scale = np.float32([0.1, 0.2, 0.3])
        head = Head.from_bytes(Head((Pool("avg"), Dense(kernel, np.zeros(3, np.float32), scale))).to_bytes())
        last = head.steps[-1]
        assert isinstance(last, Dense)
        assert last.kernel.dtype == np.int8
        same = Head((Pool("avg"), Dense(kernel * scale, np.zeros(3, np.float32))))
        x = features()
        assert np.allclose(head.heatmaps(x, (1,)), same.heatmaps(x, (1,)), rtol=1e-5)

    @pytest.mark.parametrize("data", [b"", b"no archive", Head((Flatten(),)).to_bytes()[:60]])
    def test_damaged(self, data: bytes) -> None:
        with pytest.raises(EdgedenseError, match="last layers"):
            Head.from_bytes(data)

    def test_an_unknown_step(self, monkeypatch: pytest.MonkeyPatch) -> None:
        from edgedense.deployed import gradcam

        data = Head((Flatten(),)).to_bytes()
        monkeypatch.setattr(gradcam, "Flatten", None)
        monkeypatch.setattr(gradcam, "_named", lambda step: "folding")
        data = Head((Pool("avg"),)).to_bytes()
        with pytest.raises(EdgedenseError, match="folding"):
            Head.from_bytes(data)
