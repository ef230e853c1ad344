"""The head from names and shapes; what they do not say is asked for."""

from __future__ import annotations

import numpy as np
import pytest

from edgedense.converters.network.graph import Activation, Affine, Dense, HeadStep, Pool
from edgedense.converters.opening import Between
from edgedense.converters.readers.state_dicts.head import steps
from edgedense.errors import EdgedenseError
from tests.state_dicts import Arrays


def linear(name: str, inputs: int, outputs: int) -> Arrays:
    return {f"{name}.weight": np.ones((outputs, inputs)), f"{name}.bias": np.arange(float(outputs))}


def norm(name: str, size: int) -> Arrays:
    return {f"{name}.{part}": np.ones(size) for part in ("weight", "bias", "running_mean", "running_var")}


def kinds(found: tuple[HeadStep, ...]) -> list[str]:
    return [step.kind if isinstance(step, Activation) else type(step).__name__ for step in found]


def read(arrays: Arrays, between: Between | None = None) -> list[str]:
    return kinds(steps(arrays, 4, "x", between))


@pytest.mark.parametrize("name", ["classifier", "fc", "module.class_layers.out", "classifier.0", "classifier.1"])
def test_one_linear_whatever_it_is_called(name: str) -> None:
    """In a Sequential Dropout may stand before it, and a sigmoid behind it, which is asked for elsewhere."""
    kernel = np.arange(8.0).reshape(2, 4)
    pool, dense = steps({f"{name}.weight": kernel, f"{name}.bias": np.array([1.0, 2.0])}, 4, "x", None)
    assert pool == Pool("avg")
    assert isinstance(dense, Dense)
    assert dense.kernel[3, 1] == kernel[1, 3] == 7
    assert dense.bias.tolist() == [1, 2]


def test_a_linear_without_bias() -> None:
    _, dense = steps({"fc.weight": np.ones((3, 4))}, 4, "x", None)
    assert isinstance(dense, Dense)
    assert dense.bias.tolist() == [0, 0, 0]


def test_what_stands_between_layers_is_asked_for() -> None:
    two = {**linear("c.0", 4, 5), **linear("c.3", 5, 2)}
    with pytest.raises(
        EdgedenseError, match=r"told what stands .*; found c\.0 and c\.3 in 'x'.*--head-activation relu"
    ):
        read(two)
    assert read(two, "relu") == ["Pool", "Dense", "relu", "Dense"]
    assert read(two, "none") == ["Pool", "Dense", "Dense"]
    three = {**two, **linear("c.6", 2, 7)}
    assert read(three, "swish") == ["Pool", "Dense", "swish", "Dense", "swish", "Dense"]


def test_numbers_that_follow_each_other_have_nothing_between() -> None:
    two = {**linear("c.1", 5, 2), **linear("c.0", 4, 5)}
    assert read(two) == ["Pool", "Dense", "Dense"]
    with pytest.raises(
        EdgedenseError, match=r"several Linear layers for --head-activation; found nothing .*c\.0, c\.1"
    ):
        read(two, "relu")


def test_ten_comes_behind_nine() -> None:
    found = steps({**linear("c.10", 5, 2), **linear("c.9", 4, 5)}, 4, "x", None)
    assert [step.bias.size for step in found if isinstance(step, Dense)] == [5, 2]


def test_named_layers_follow_each_other_by_their_widths() -> None:
    arrays = {**linear("h.out", 5, 2), **linear("h.fc", 4, 5)}
    assert read(arrays, "relu") == ["Pool", "Dense", "relu", "Dense"]
    with pytest.raises(EdgedenseError, match=r"told what stands .*; found h\.fc and h\.out"):
        read(arrays)
    either = {**linear("h.a", 4, 4), **linear("h.b", 4, 4)}
    with pytest.raises(EdgedenseError, match=r"numbers or widths tell; found h\.a, h\.b in 'x'"):
        read(either, "relu")


@pytest.mark.parametrize(
    ("numbers", "expected"),
    [
        ((0, 1, 4), ["Pool", "Dense", "Affine", "relu", "Dense"]),
        ((0, 2, 3), ["Pool", "Dense", "relu", "Affine", "Dense"]),
        ((0, 1, 2), ["Pool", "Dense", "Affine", "Dense"]),
    ],
)
def test_the_gap_says_on_which_side_of_a_norm_the_activation_is(
    numbers: tuple[int, int, int], expected: list[str]
) -> None:
    first, middle, last = numbers
    arrays = {**linear(f"c.{first}", 4, 5), **norm(f"c.{middle}", 5), **linear(f"c.{last}", 5, 2)}
    assert read(arrays, "relu" if "relu" in expected else None) == expected


def test_a_norm_in_front() -> None:
    _, affine, _ = steps({**norm("c.0", 4), **linear("c.1", 4, 2)}, 4, "x", None)
    assert isinstance(affine, Affine)
    assert affine.scale.size == 4


@pytest.mark.parametrize(
    ("arrays", "said"),
    [
        ({}, "a Linear layer behind the last feature map; found none in 'x'.*save state_dict"),
        ({**linear("a.fc", 4, 2), **linear("b.fc", 4, 2)}, "a head of one Linear, .*; found a.fc, b.fc in 'x'"),
        ({**linear("c.0", 4, 5), **norm("c.2", 5), **linear("c.4", 5, 2)}, "one place before c.4 .*; found 2 in 'x'"),
        (linear("classifier", 8, 2), "4 inputs of classifier, as global average pooling gives; found 8 in 'x'"),
        ({**linear("c.0", 4, 5), **linear("c.1", 6, 2)}, "5 inputs of c.1, as the layer before gives; found 6"),
        ({**linear("c.0", 4, 5), **norm("c.1", 5)}, "a Linear layer at the end; found the norm c.1"),
        ({"c.weight": np.ones((2, 4, 1, 1))}, "Linear and BatchNorm1d layers; found c.weight of shape 2x4x1x1"),
        ({**linear("c.0", 4, 2), "c.1.weight": np.ones(1)}, "found c.1.weight of shape 1 in 'x'"),
        ({**linear("c", 4, 2), "c.scale": np.ones(2)}, "alone; found also c.scale in 'x'"),
        ({**linear("c", 4, 2), "c.bias": np.ones(3)}, "2 numbers in c.bias; found 3"),
    ],
)
def test_another_head_is_refused(arrays: Arrays, said: str) -> None:
    with pytest.raises(EdgedenseError, match=said):
        read(arrays, "relu" if len(arrays) > 4 else None)
