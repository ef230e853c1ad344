"""The operator list of a network, and its evaluation against the definition."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from edgedense.converters.network.evaluate import evaluate, logits_tensor
from edgedense.converters.network.graph import (
    Activation,
    Affine,
    Dense,
    DenseNet,
    Flatten,
    HeadStep,
    MaxPool,
    Pool,
    Stem,
    WindowPool,
)
from edgedense.converters.network.program import IMAGE, SCORES, Program, lower
from edgedense.converters.passes.fold_normalization import fold_normalization
from tests import networks, reference
from tests.networks import array

DENSE = Dense(np.random.default_rng(0).normal(0, 1, (15, 3)), array(1, 2, 3))


def kinds(program: Program) -> list[str]:
    return [op.kind for op in program.ops]


def test_the_whole_list_of_the_minimal_network() -> None:
    program = lower(networks.minimal())
    assert [(op.kind, op.output, op.relu) for op in program.ops] == [
        ("conv", "stem/linear", False),
        ("depthwise", "stem/conv", True),
        ("depthwise", "block1/layer1/norm", True),
        ("conv", "block1/layer1/linear", False),
        ("depthwise", "block1/layer1/bottleneck", True),
        ("conv", "block1/layer1/growth", False),
        ("concat", "block1/layer1/concat", False),
        ("depthwise", "head/norm", True),
        ("mean", "head/1_pool", False),
        ("dense", "head/2_dense", False),
        ("activation", SCORES, False),
    ]
    assert program.shapes["block1/layer1/concat"] == (2, 2, 3)
    assert program.shapes[SCORES] == (2,)


def test_folded_norms_leave_their_operator_out() -> None:
    assert kinds(lower(networks.folded_minimal())).count("depthwise") == 2
    assert "stem/linear" not in lower(networks.folded_minimal()).shapes


def stemmed(stem: Stem, size: tuple[int, int] = (33, 40)) -> DenseNet:
    return replace(networks.densenet(height=size[0], width=size[1]), stem=stem)


class TestStem:
    network = networks.densenet()

    def test_padding_that_is_same_is_not_an_operator(self) -> None:
        conv = replace(self.network.stem.conv, kernel=self.network.stem.conv.kernel[:3, :3], padding=((1, 1), (1, 1)))
        program = lower(stemmed(replace(self.network.stem, conv=conv), (33, 33)))
        (op,) = (op for op in program.ops if op.output == "stem/linear")
        assert op.same
        assert "stem/pad" not in program.shapes

    def test_other_padding_is(self) -> None:
        """At an even size SAME would pad behind only."""
        conv = replace(self.network.stem.conv, kernel=self.network.stem.conv.kernel[:3, :3], padding=((1, 1), (1, 1)))
        program = lower(stemmed(replace(self.network.stem, conv=conv), (32, 32)))
        assert program.shapes["stem/pad"] == (34, 34, 3)

    def test_a_border_is_drawn_on_every_side_that_is_padded(self) -> None:
        network = fold_normalization(self.network)
        for padding, borders in ((((3, 3), (3, 3)), 4), (((0, 3), (2, 1)), 3), (((1, 0), (0, 0)), 1)):
            conv = replace(network.stem.conv, padding=padding)
            program = lower(replace(network, stem=replace(network.stem, conv=conv)))
            (top, bottom), (left, right) = padding
            drawn = [op for op in program.ops if op.output.startswith(("stem/rows", "stem/border"))]
            assert len(drawn) == borders
            assert program.shapes[drawn[-1].output] == (33 + top + bottom, 40 + left + right, 3)
            (before,) = (op for op in program.ops if op.output == "stem/linear")
            assert before.inputs == (drawn[-1].output,)

    def test_without_pooling(self) -> None:
        program = lower(stemmed(replace(self.network.stem, pool=None)))
        assert "max_pool" not in kinds(program)
        assert next(op for op in program.ops if op.output == "block1/layer1/norm").inputs == ("stem/conv",)


def heads() -> dict[str, tuple[HeadStep, ...]]:
    affine = Affine(np.linspace(-1, 2, 15), np.linspace(1, -1, 15))
    two = Dense(np.arange(9.0).reshape(3, 3) / 9 - 0.4, array(0.1, 0, -0.1))
    flat = Dense(np.random.default_rng(1).normal(0, 0.1, (4 * 5 * 15, 3)), array(1, 2, 3))
    window = Dense(np.random.default_rng(1).normal(0, 0.1, (2 * 4 * 15, 3)), array(1, 2, 3))
    found: dict[str, tuple[HeadStep, ...]] = {
        "average": (Pool("avg"), DENSE, Activation("softmax")),
        "maximum": (Pool("max"), DENSE, Activation("softmax")),
        "flatten": (Flatten(), flat),
        "windows": (WindowPool("max", (2, 2), (1, 1)), WindowPool("avg", (2, 1), (1, 1)), Flatten(), window),
        "affine before": (affine, Pool("avg"), DENSE),
        "affine behind": (Pool("avg"), affine, DENSE),
        "alone": (Pool("avg"), DENSE),
    }
    for kind in ("relu", "relu6", "elu", "tanh", "swish", "sigmoid", "softmax"):
        found[kind] = (Pool("avg"), DENSE, Activation(kind), two)  # type: ignore[arg-type]
    found["leaky_relu"] = (Pool("avg"), DENSE, Activation("leaky_relu", 0.3), two)
    return found


# 33 x 40 pixels: 17 x 20 behind the stem's stride, 9 x 10 behind its pooling, 4 x 5 behind the transition.
@pytest.mark.parametrize("name", heads())
def test_every_head_computes_what_the_definition_says(name: str) -> None:
    network = networks.with_head(networks.densenet(), *heads()[name])
    pixels = networks.pictures(network)
    program = lower(network)
    for dtype, tolerance in (("float64", networks.EXACT), ("float32", 1e-5)):
        found = evaluate(program, pixels, dtype=dtype)
        assert reference.relative_error(found, reference.scores(network, pixels)) < tolerance
    assert program.shapes[SCORES] == found.shape[1:]


@pytest.mark.parametrize("height", [33, 34, 35, 36])
@pytest.mark.parametrize("pool", [None, MaxPool(3, 2, ((0, 1), (1, 0))), MaxPool(2, 2)])
def test_every_size_and_pooling(height: int, pool: MaxPool | None) -> None:
    network = networks.densenet(height=height, width=height + 5)
    network = replace(network, stem=replace(network.stem, pool=pool))
    pixels = networks.pictures(network)
    wanted = reference.logits(network, pixels)
    assert reference.relative_error(networks.logits(network, pixels), wanted) < networks.EXACT


def test_shapes_are_those_of_the_values() -> None:
    network = fold_normalization(networks.folded())
    program = lower(network)
    found: dict[str, tuple[int, ...]] = {}
    names = [op.output for op in program.ops]
    evaluate(program, networks.pictures(network, 2), lambda name, value: found.update({name: value.shape[1:]}), names)
    assert {IMAGE: (33, 40, 3), **found} == program.shapes


def test_any_tensor_can_be_the_output() -> None:
    network = networks.folded()
    pixels = networks.pictures(network)
    taken: dict[str, np.ndarray] = {}
    evaluate(lower(network), pixels, taken.__setitem__, ["transition1"])
    assert evaluate(lower(network), pixels, output="transition1").tolist() == taken["transition1"].tolist()
    with pytest.raises(KeyError):
        evaluate(lower(network), pixels, output="nowhere")


def test_logits_are_taken_before_the_last_softmax_or_sigmoid() -> None:
    network = networks.minimal()
    assert logits_tensor(lower(network)) == "head/2_dense"
    plain = networks.with_head(network, *network.head.steps[:2])
    assert logits_tensor(lower(plain)) == SCORES
