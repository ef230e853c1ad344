"""Stem, dense blocks and transitions from shapes."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from edgedense.converters.readers.state_dicts.structure import Weights, blocks, refuse_variants, transition
from edgedense.errors import EdgedenseError
from tests.state_dicts import Arrays, state_dict


def body(**options: object) -> Arrays:
    return {
        name.removeprefix("features."): array.astype(np.float64)
        for name, array in state_dict(**options).items()  # type: ignore[arg-type]
        if name.startswith("features.") and not name.endswith("num_batches_tracked")
    }


def test_a_kernel_is_turned_round() -> None:
    kernel = np.arange(24.0).reshape(2, 3, 2, 2)  # [out, in, height, width]
    found = Weights({"conv.weight": kernel}, "x").kernel("conv", 2)
    assert found.shape == (2, 2, 3, 2)
    assert found[0, 1, 2, 1] == kernel[1, 2, 0, 1] == 21


def test_a_norm_has_pytorchs_epsilon() -> None:
    arrays = {"weight": 3.0, "bias": 5.0, "running_mean": 2.0, "running_var": 4 - 1e-5}
    norm = Weights({f"norm.{name}": np.array([value]) for name, value in arrays.items()}, "x").norm("norm")
    assert norm.scale == pytest.approx([1.5], rel=1e-15)
    assert norm.shift == pytest.approx([2.0], rel=1e-15)


@pytest.mark.parametrize("layers", [(6, 12, 24, 16), (6, 12, 64, 48), (2,), (1, 1, 1, 1, 1)])
def test_blocks_are_counted(layers: tuple[int, ...]) -> None:
    """DenseNet121 and 264, and blocks of one's own; small in width."""
    weights = Weights(body(blocks=layers, growth=2), "x")
    found = blocks(weights)
    assert tuple(map(len, found)) == layers
    assert found[0][0].conv1.shape == (1, 1, 6, 5)
    assert found[-1][-1].conv2.shape == (3, 3, 5, 2)
    for number in range(1, len(layers)):
        assert transition(weights, number).conv.shape[:2] == (1, 1)
    assert all(f"{name}.weight" in weights for name in ("conv0", "norm0", "norm5"))


def left_out(*names: str) -> Callable[[Arrays], None]:
    def change(arrays: Arrays) -> None:
        for name in [n for n in arrays if n.startswith(names)]:
            del arrays[name]

    return change


def put(name: str, *shape: int, value: float = 1.0) -> Callable[[Arrays], None]:
    return lambda arrays: arrays.update({name: np.full(shape, value)})


LAYER = "denseblock1.denselayer1"


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (left_out("denseblock"), "dense blocks; found no denseblock1 in 'x'"),
        (left_out("denseblock1"), "denseblock1 and so on; found denseblock 2 in 'x'"),
        (left_out("denseblock1.denselayer1"), "denselayer1 and so on; found denseblock1.denselayer 2 in 'x'"),
        (left_out(f"{LAYER}.norm2", f"{LAYER}.conv2"), f"the parameter {LAYER}.norm2.weight; found none"),
        (left_out("transition1"), "the parameter transition1.norm.weight; found none"),
        (left_out(f"{LAYER}.norm1.running"), f"found {LAYER}.norm1 without them in 'x', as instance and group norms"),
        (put(f"{LAYER}.conv2.weight", 4, 5, 1, 1), f"a 3x3 convolution as {LAYER}.conv2; found 1x1"),
        (put(f"{LAYER}.conv1.weight", 5, 6, 1), f"4 dimensions of {LAYER}.conv1.weight; found 5 x 6 x 1"),
        (put(f"{LAYER}.norm1.bias", 7), f"four arrays of one size .*; found {LAYER}.norm1 with other ones"),
        (put(f"{LAYER}.norm1.running_var", 6, value=-1.0), "a variance of 0 or more"),
        (put(f"{LAYER}.norm1.bias", 6, value=np.nan), f"finite weights; found NaN or infinity in {LAYER}.norm1.bias"),
        (put(f"{LAYER}.conv1.bias", 5), f"alone; found also {LAYER}.conv1.bias in 'x'"),
        (put("transition2.conv.weight", 1, 1, 1, 1), "alone; found also transition2.conv.weight"),
    ],
)
def test_what_is_no_densenet_is_named(change: Callable[[Arrays], None], said: str) -> None:
    arrays = body()
    change(arrays)
    weights = Weights(arrays, "x")
    with pytest.raises(EdgedenseError, match=said):
        read(weights)


def read(weights: Weights) -> None:
    """As the reader does."""
    found = blocks(weights)
    for name in ("norm0", "norm5"):
        weights.norm(name)
    weights.kernel("conv0", 7)
    for number in range(1, len(found)):
        transition(weights, number)
    weights.refuse_rest()


def test_a_densenet_leaves_nothing_over() -> None:
    read(Weights(body(), "x"))


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (put("conv0.weight", 6, 1, 7, 7, 7), r"found one for volumes \(spatial_dims=3\) in 'x'"),
        (put("conv0.weight", 6, 1, 7), r"found one for signals \(spatial_dims=1\) in 'x'"),
        (put("conv2.weight", 6, 6, 3, 3), "found a deep stem of three convolutions in 'x'.*densenetblur121d"),
        (put("pool0.1.filt", 6, 1, 3, 3), "found blur pooling in 'x'"),
    ],
)
def test_relatives_are_named(change: Callable[[Arrays], None], said: str) -> None:
    arrays = body()
    refuse_variants(arrays, "x")
    change(arrays)
    with pytest.raises(EdgedenseError, match=said):
        refuse_variants(arrays, "x")
