"""Which DenseNet the shapes are of, and what head."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from edgedense.converters.network.graph import Activation, Dense, Flatten, Pool
from edgedense.converters.readers import assembly
from edgedense.converters.readers.keras_weights import parts
from edgedense.converters.readers.keras_weights.contents import Contents, Stored
from edgedense.errors import EdgedenseError


def conv(*shape: int, place: str = "", bias: bool = False) -> Stored:
    return Stored("conv", f"conv{shape}", (np.ones(shape), *[np.zeros(shape[3])] * bias), place)


def norm(channels: int, place: str = "") -> Stored:
    return Stored("norm", "bn", tuple(np.full(channels, value) for value in (1.0, 0.0, 0.0, 1.0)), place)


def dense(inputs: int, outputs: int, bias: bool = True) -> Stored:
    return Stored("dense", "fc", (np.ones((inputs, outputs)), *[np.ones(outputs)] * bias))


# Blocks of 1 and 2 layers: 4 channels, 2 more, halved, 2 more, 2 more.
CONVS = [
    conv(7, 7, 3, 4),
    *(conv(1, 1, 4, 8), conv(3, 3, 8, 2)),
    conv(1, 1, 6, 3),
    *(conv(1, 1, 3, 8), conv(3, 3, 8, 2), conv(1, 1, 5, 8), conv(3, 3, 8, 2)),
]
PADDED = (*["activation"] * 9, "zero_padding2d", "zero_padding2d")
NORMS = [norm(channels) for channels in (4, 4, 8, 6, 3, 8, 5, 8, 7)]


def contents(*layers: Stored, plain: tuple[str, ...] = ()) -> Contents:
    return Contents("w.h5", layers or (*CONVS, *NORMS, dense(7, 3)), plain)


def wide(kernel: tuple[int, ...], growth: int) -> list[Stored]:
    """As many convolutions and norms as a DenseNet121 has."""
    layer = [conv(1, 1, 1, 1), conv(3, 3, 1, growth)]
    blocks = [layer * count + [conv(1, 1, 1, 1)] for count in (6, 12, 24, 16)]
    convs = [conv(*kernel), *[each for block in blocks for each in block][:-1]]
    return [*convs, *[norm(1)] * (len(convs) + 1)]


class TestArchitecture:
    def test_names_and_numbers(self) -> None:
        assert parts.blocks_of("densenet121") == (6, 12, 24, 16)
        assert parts.blocks_of("DenseNet201") == (6, 12, 48, 32)
        assert parts.blocks_of("2, 3") == (2, 3)

    @pytest.mark.parametrize("word", ["resnet50", "", "6,,12", "0,1", "-1", "²"])
    def test_anything_else_is_refused(self, word: str) -> None:
        with pytest.raises(EdgedenseError, match="densenet121, densenet169"):
            parts.blocks_of(word)

    def test_it_is_asked_for_with_what_the_shapes_are(self) -> None:
        with pytest.raises(EdgedenseError, match="Try: --architecture 1,2, if"):
            parts.backbone(contents(), None)
        with pytest.raises(EdgedenseError, match="Try: --architecture densenet121, if"):
            parts.backbone(contents(*wide((7, 7, 3, 64), 32)), None)

    def test_another_one_is_refused(self) -> None:
        with pytest.raises(
            EdgedenseError, match=r"have 2, 1 layers; found the shapes of 1, 2 layers.*--architecture 1,2"
        ):
            parts.backbone(contents(), "2,1")

    def test_a_name_stands_for_widths_too(self) -> None:
        with pytest.raises(
            EdgedenseError, match=r"first kernel of \[7, 7, 3, 24\] and layers that add 12 .*6,12,24,16"
        ):
            parts.backbone(contents(*wide((7, 7, 3, 24), 12)), "densenet121")
        assert parts.backbone(contents(*wide((7, 7, 1, 64), 32)), "densenet121").blocks == (6, 12, 24, 16)


class TestBackbone:
    def test_blocks_and_parts(self) -> None:
        found = parts.backbone(contents(), "1,2")
        assert found.blocks == (1, 2)
        made = parts.parts(found, ())
        assert [[layer.conv1.shape[2] for layer in block] for block in made.blocks] == [[4], [3, 5]]
        assert made.transitions[0].conv.shape == (1, 1, 6, 3)
        assert [made.stem_norm.scale.size, made.transitions[0].norm.scale.size, made.norm.scale.size] == [4, 6, 7]
        assert parts.channels(found) == 7

    @pytest.mark.parametrize(
        ("layers", "found"),
        [
            ([conv(7, 7, 3, 4), conv(3, 3, 4, 4)], r"1x1 convolution at place 2; found 'conv.*\[3, 3, 4, 4\]"),
            ([conv(7, 7, 3, 4), conv(1, 1, 4, 4), conv(1, 1, 4, 4)], "3 convolutions in"),
            ([conv(7, 7, 3, 4)], "1 convolutions in"),
            ([*CONVS, *NORMS, norm(3)], "10 norms with 8 convolutions"),
            ([CONVS[0], conv(1, 1, 4, 8, bias=True), *CONVS[2:], *NORMS], "a bias in 'conv"),
            ([*CONVS, *NORMS[:-1], norm(7, "head")], "several models"),
        ],
    )
    def test_other_networks_are_refused(self, layers: list[Stored], found: str) -> None:
        with pytest.raises(EdgedenseError, match=found):
            parts.backbone(contents(*layers), "1,2")

    @pytest.mark.parametrize("name", ["lambda", "multiply", "global_max_pooling2d"])
    def test_layers_that_leave_no_trace_are_refused(self, name: str) -> None:
        with pytest.raises(EdgedenseError, match=f"a layer '{name}'"):
            parts.backbone(contents(plain=(*PADDED, name)), "1,2")

    def test_pooling_behind_the_transitions_is_refused(self) -> None:
        assert parts.backbone(contents(plain=(*PADDED, "average_pooling2d")), "1,2").blocks == (1, 2)
        with pytest.raises(EdgedenseError, match="a layer 'average_pooling2d'"):
            parts.backbone(contents(plain=(*PADDED, *("average_pooling2d",) * 2)), "1,2")

    def test_another_padding_is_refused_where_the_file_lists_it(self) -> None:
        with pytest.raises(EdgedenseError, match=r"no ZeroPadding2D among the layers of 'w\.h5'"):
            parts.backbone(contents(plain=("activation", "average_pooling2d")), "1,2")
        assert not parts.backbone(contents(plain=("dropout",)), "1,2").same  # a model in the model lists none

    @pytest.mark.parametrize(
        ("name", "place"), [("stack1_block1_1_conv", ""), ("c", "layers/dense_net_backbone/layers")]
    )
    def test_the_padding_of_keras_hub(self, name: str, place: str) -> None:
        layers = [replace(layer, place=place) for layer in (*CONVS, *NORMS)]
        layers[1] = replace(layers[1], name=name)
        assert parts.backbone(contents(*layers, plain=("activation",)), "1,2").same


class TestLastRelu:
    """Before Keras 2.2.3 keras.applications had no ReLU behind the last norm."""

    @pytest.mark.parametrize(
        ("plain", "titles", "version", "expected"),
        [
            ((), ("conv1/relu", "relu"), "2.1.4", True),
            (("activation",), ("conv1/relu", "pool2_relu", "activation_1"), "2.3.1", False),
            (PADDED, (), "", True),
            (PADDED[1:], (), "3.15.1", False),
            ((), (), "2.2.3", True),  # a model in the model lists none of its layers
            ((), (), "2.1.4", False),
            ((), (), "2.2.4-tf", True),
        ],
    )
    def test_it_is_seen(self, plain: tuple[str, ...], titles: tuple[str, ...], version: str, expected: bool) -> None:
        found = replace(contents(plain=plain), titles=titles, version=version)
        if "activation" in plain and "zero_padding2d" not in plain:
            found = replace(found, plain=(*plain, "zero_padding2d", "zero_padding2d"))
        assert parts.backbone(found, "1,2").relu == expected

    def test_what_nothing_tells_is_refused(self) -> None:
        with pytest.raises(EdgedenseError, match=r"whether a ReLU .* of Keras 2\.1\.6-tf"):
            parts.backbone(replace(contents(), version="2.1.6-tf"), "1,2")


class TestHead:
    def steps(self, *layers: Stored, between: Any = None) -> list[Any]:
        return list(parts.head(contents(*layers), 7, 4, between))

    def test_one_dense(self) -> None:
        pool, last = self.steps(dense(7, 3))
        assert pool == Pool("avg")
        assert isinstance(last, Dense)
        assert last.bias.tolist() == [1, 1, 1]

    def test_without_bias(self) -> None:
        assert self.steps(dense(7, 3, bias=False))[1].bias.tolist() == [0, 0, 0]

    def test_one_that_reads_all_positions(self) -> None:
        assert self.steps(dense(28, 3))[0] == Flatten()

    def test_what_stands_between_several_is_asked_for(self) -> None:
        with pytest.raises(
            EdgedenseError, match=r"2 of them in 'w.h5': 7 to 5, then 5 to 3\. Try: --head-activation relu"
        ):
            self.steps(dense(7, 5), dense(5, 3))
        assert self.steps(dense(7, 5), dense(5, 3), between="relu")[2] == Activation("relu")
        assert len(self.steps(dense(7, 5), dense(5, 3), between="none")) == 3

    def test_between_needs_several(self) -> None:
        with pytest.raises(EdgedenseError, match="several Dense layers for --head-activation"):
            self.steps(dense(7, 3), between="relu")

    @pytest.mark.parametrize(
        ("layers", "found"),
        [
            ([CONVS[0]], "found none"),
            ([dense(8, 3)], "8 to 3"),
            ([dense(7, 5), dense(5, 1), dense(7, 5), dense(5, 1)], "5 to 1, then 7 to 5"),  # a branch for each class
        ],
    )
    def test_others_are_refused(self, layers: list[Stored], found: str) -> None:
        with pytest.raises(EdgedenseError, match=found):
            self.steps(*layers, between="relu")


@pytest.mark.parametrize(("side", "blocks", "expected"), [(224, 4, 7), (32, 2, 4), (33, 2, 4), (41, 3, 2)])
def test_positions_of_the_last_map(side: int, blocks: int, expected: int) -> None:
    assert assembly.positions(side, blocks) == expected
