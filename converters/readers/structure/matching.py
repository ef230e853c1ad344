"""Finds the DenseNet in the layers of a model, by what feeds what and never by names.

Whatever does not fit is refused with the layer at which the structure ends and with what was expected there.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
import numpy.typing as npt

from edgedense.converters.network.graph import (
    NO_PADDING,
    Activation,
    Affine,
    Block,
    Conv,
    Dense,
    DenseLayer,
    DenseNet,
    Flatten,
    Head,
    HeadStep,
    MaxPool,
    Padding,
    Pool,
    Stem,
    Transition,
)
from edgedense.converters.readers.structure import pixels as keras_pixels
from edgedense.converters.readers.structure import seam as head_seam
from edgedense.converters.readers.structure import sizes as keras_sizes
from edgedense.converters.readers.structure import weights as keras_weights
from edgedense.converters.readers.structure.layers import Layer
from edgedense.converters.readers.structure.seam import Seam
from edgedense.converters.readers.structure.weights import Size
from edgedense.errors import EdgedenseError
from edgedense.images.steps import Step

DENSE_LAYER = (
    "a dense layer (BatchNormalization - ReLU - 1x1 Conv2D - BatchNormalization - ReLU - Conv2D - Concatenate)"
)
HINT = "a DenseNet121, 169 or 201, or the same structure with other sizes"
_BATCH_NORMS = ("BatchNormalization", "SyncBatchNormalization")
_GLOBAL_POOLS: dict[str, Literal["avg", "max"]] = {"GlobalAveragePooling2D": "avg", "GlobalMaxPooling2D": "max"}
_WINDOW_POOLS = ("AveragePooling2D", "MaxPooling2D")

Order = npt.NDArray[np.intp]  # Order[j]: which channel of the graph's tensor Keras' channel j is


@dataclass(frozen=True)
class Structure:
    """A DenseNet, what its Keras model says beside it, and how many parameters Keras counts in each part.

    The parts are "input" (what stands before the stem), "stem", "block1", "transition1", and so on; "head"
    (final norm and pooling), "dense1", "dense2" and so on (each Dense with what follows it); where there is a `seam`,
    "head" (final norm) and "float head" (all behind the seam, which is not among the network's head's steps).
    """

    network: DenseNet
    normalized: bool
    parameters: dict[str, int]
    final: int  # the number of the layer that computes the head's last step
    steps: tuple[Step, ...]  # what is done to the picture's size first, with borders in the units of the input
    backbone: tuple[int, ...]  # the numbers of the layers before the head, its norm and ReLU included
    seam: Seam | None = None


def match(layers: Sequence[Layer], size: Size) -> Structure:
    """The DenseNet that `layers` (as `keras_layers.flatten` lists them) compute for images of `size`.

    EdgedenseError, naming the layer, when they compute something else.
    """
    return _Match(layers).network(size)


class _WrongSizeError(EdgedenseError):
    """A head that is known, and fixes another image size."""


class _Match:
    """Walks from the input to the output, keeping account of every layer that it passes."""

    def __init__(self, layers: Sequence[Layer]) -> None:
        self.layers = layers
        self.readers: dict[int, list[Layer]] = {layer.index: [] for layer in layers}
        for layer in layers:
            for index in dict.fromkeys(layer.inputs):
                self.readers[index].append(layer)
        self.parameters: dict[str, int] = {}
        self.seen: set[int] = set()
        self.part = "input"
        self.final = 0
        self.last_growth = max((layer.index for layer in layers if self._starts_dense_layer(layer)), default=-1)

    def network(self, size: Size) -> Structure:
        entry = keras_pixels.entry(self.layers, size)
        for layer in entry.layers:
            self._see(layer)
        stem, last, stem_size = self._stem(entry, entry.stem_size)
        blocks, end, order, end_size = self._blocks(last, stem_size)
        head, seam, backbone = self._head(end, order, end_size)
        left = [layer for layer in self.layers if layer.index not in self.seen]
        if left:
            raise _refusal("a single DenseNet from the input to the output", f"{left[0]} beside it")
        # The network takes RGB, so the channels of affine and kernel go back to where the pixels stand.
        rgb = np.argsort(entry.order, kind="stable")
        normalization = Affine(entry.affine.scale[rgb], entry.affine.shift[rgb])
        network = DenseNet(*entry.size, normalization, stem, blocks, head, front=entry.front)
        first = network.first
        network = network.with_first(replace(first, conv=replace(first.conv, kernel=first.conv.kernel[:, :, rgb])))
        if entry.is_grey:
            network = replace(network, repeats=len(entry.order))
        return Structure(network, entry.normalized, self.parameters, self.final, entry.steps, backbone, seam)

    # The walk

    def _see(self, layer: Layer) -> Layer:
        if layer.index not in self.seen:
            self.seen.add(layer.index)
            self.parameters[self.part] = self.parameters.get(self.part, 0) + layer.parameters
        return layer

    def _next(self, layer: Layer, expected: str) -> Layer | None:
        """The one layer that reads `layer`; None when it is the output."""
        readers = self.readers[layer.index]
        if len(readers) > 1:
            raise _refusal(f"{expected} behind {layer}", _listed(readers))
        return readers[0] if readers else None

    def _only(self, layer: Layer | None, *kinds: str) -> Layer | None:
        """The one layer that reads `layer`; None when there are several or none, or it is not of one of `kinds`."""
        readers = [] if layer is None else self.readers[layer.index]
        return readers[0] if len(readers) == 1 and (not kinds or readers[0].kind in kinds) else None

    def _only_relu(self, layer: Layer | None) -> Layer | None:
        """The one layer that reads `layer`, if it is a ReLU."""
        following = self._only(layer)
        return following if following is not None and keras_weights.is_relu(following) else None

    def _starts_dense_layer(self, layer: Layer) -> bool:
        """Whether `layer` is the first of norm - ReLU - convolution - norm - ReLU - convolution - concatenation. The
        first convolution may contain the second norm.
        """
        if layer.kind not in _BATCH_NORMS:
            return False
        conv1 = self._only(self._only_relu(layer), "Conv2D")
        relu = self._only_relu(self._only(conv1, *_BATCH_NORMS)) or self._only_relu(conv1)
        zeros = self._only(relu, "ZeroPadding2D")
        conv2 = self._only(zeros or relu, "Conv2D")
        return conv2 is not None and any(reader.kind == "Concatenate" for reader in self.readers[conv2.index])

    def _is_last(self, joined: Layer) -> bool:
        """Whether the last dense block ends with `joined`: no block goes on with it, and no dense layer is behind."""
        goes_on = any(reader.kind == "Concatenate" for reader in self.readers[joined.index])
        return not goes_on and joined.index > self.last_growth

    def _after(self, layer: Layer, kinds: Iterable[str], expected: str) -> Layer:
        """The one layer that reads `layer`, which must be of one of `kinds`."""
        return self._see(_require(self._next(layer, expected), kinds, expected, layer))

    def _relu_after(self, layer: Layer, expected: str) -> Layer:
        following = self._next(layer, expected)
        if following is None or not keras_weights.is_relu(following):
            raise _refusal(f"{expected} behind {layer}", _described(following))
        return self._see(following)

    def _zeros(self, layer: Layer | None, expected: str) -> tuple[Padding, Layer | None]:
        """The border of `layer`, if that is a zero padding, and what comes behind it."""
        if layer is None or layer.kind != "ZeroPadding2D":
            return NO_PADDING, layer
        return keras_weights.zero_padding(layer), self._next(layer, expected)

    # The parts

    def _stem(self, entry: keras_pixels.Entry, size: Size) -> tuple[Stem, Layer, Size]:
        self.part = "stem"
        expected = "the stem's Conv2D"
        first = self._next(entry.last, expected)
        zeros, layer = self._zeros(first, expected)
        conv_layer = _require(layer, ("Conv2D",), expected, entry.last)
        self._see_padding(first)
        self._see(conv_layer)
        conv, size = keras_weights.convolution(conv_layer, size, zeros)
        norm, last = None, conv_layer
        if keras_weights.activation(conv_layer) != Activation("relu"):
            _require_linear(conv_layer)
            following = self._next(conv_layer, "the stem's BatchNormalization and ReLU")
            if following is not None and following.kind in _BATCH_NORMS:
                last = self._see(following)
                norm = keras_weights.batch_norm(last)
            last = self._relu_after(last, "the stem's ReLU")
        pool, last, size = self._stem_pool(last, size)
        return Stem(conv, norm, pool), last, size

    def _stem_pool(self, relu: Layer, size: Size) -> tuple[MaxPool | None, Layer, Size]:
        readers = self.readers[relu.index]
        if len(readers) != 1 or readers[0].kind not in ("ZeroPadding2D", "MaxPooling2D"):
            return None, relu, size
        expected = "the stem's MaxPooling2D"
        zeros, layer = self._zeros(readers[0], expected)
        pool_layer = _require(layer, ("MaxPooling2D",), expected, relu)
        self._see_padding(readers[0])
        self._see(pool_layer)
        pool, size = keras_weights.max_pool(pool_layer, size, zeros)
        return pool, pool_layer, size

    def _see_padding(self, layer: Layer | None) -> None:
        if layer is not None and layer.kind == "ZeroPadding2D":
            self._see(layer)

    def _blocks(self, start: Layer, size: Size) -> tuple[tuple[Block, ...], Layer, Order, Size]:
        """All blocks and transitions; the tensor that the head reads, its channel order and size."""
        blocks: list[Block] = []
        while True:
            number = len(blocks) + 1
            layers, end, order = self._block(start, number)
            conv = None if layers and self._is_last(end) else self._bottleneck(end)
            if not layers:
                following = self.readers[start.index]
                raise _refusal(f"{DENSE_LAYER} behind {start}", _listed(following), _size_hint(following))
            if conv is None:
                blocks.append(Block(layers, None))
                return tuple(blocks), end, order, size
            self.part = f"transition{number}"
            transition, start, size = self._transition(end, order, size)
            blocks.append(Block(layers, transition))

    def _block(self, start: Layer, number: int) -> tuple[tuple[DenseLayer, ...], Layer, Order]:
        """The dense layers behind `start`, the last concatenation, and the order of its channels."""
        self.part = f"block{number}"
        parts, joined = [start], start
        order = np.arange(start.shape[-1] or 0)
        found: list[DenseLayer] = []
        while not (found and self._is_last(joined)) and (conv1_layer := self._bottleneck(joined)) is not None:
            expected = f"the second BatchNormalization of {DENSE_LAYER}, or the pooling of a transition"
            following = self._next(conv1_layer, expected)
            if following is not None and following.kind == "AveragePooling2D":
                break
            layer, new = self._dense_layer(joined, order, expected)
            found.append(replace(layer, name=f"block{number}_layer{len(found) + 1}"))
            joined = self._join(parts, new)
            parts.append(new)
            order = _order(parts, self._sources(joined))
        return tuple(found), joined, order

    def _bottleneck(self, joined: Layer) -> Layer | None:
        """The convolution of the BatchNormalization - ReLU - Conv2D that reads `joined`; None where the head
        begins.
        """
        readers = [r for r in self.readers[joined.index] if r.kind != "Concatenate"]
        if len(readers) != 1:
            if not readers:
                return None
            raise _refusal(f"{DENSE_LAYER}, a transition or the head behind {joined}", _listed(readers))
        norm = readers[0]
        relu = self._next(norm, "ReLU") if norm.kind in _BATCH_NORMS else None
        if relu is None or not keras_weights.is_relu(relu):
            return None
        conv = self._next(relu, "a 1x1 Conv2D or the head")
        return conv if conv is not None and conv.kind == "Conv2D" else None

    def _norm_relu_conv(self, joined: Layer, order: Order) -> tuple[Affine, Conv, Layer]:
        """The BatchNormalization - ReLU - 1x1 Conv2D that reads `joined`, its channels put in the graph's
        order.
        """
        norm_layer = next(r for r in self.readers[joined.index] if r.kind in _BATCH_NORMS)
        relu = self._relu_after(self._see(norm_layer), "ReLU")
        conv_layer = self._after(relu, ("Conv2D",), "a 1x1 Conv2D")
        _require_linear(conv_layer)
        conv, _ = keras_weights.convolution(conv_layer, (1, 1))
        if conv.kernel.shape[:2] != (1, 1) or conv.stride != 1:
            height, width = conv.kernel.shape[:2]
            raise _refusal(
                "a 1x1 convolution with stride 1", f"{conv_layer}, {height}x{width} with stride {conv.stride}"
            )
        back = np.argsort(order)
        norm = keras_weights.batch_norm(norm_layer)
        affine = Affine(norm.scale[back], norm.shift[back])
        return affine, replace(conv, kernel=conv.kernel[:, :, back]), conv_layer

    def _dense_layer(self, joined: Layer, order: Order, expected: str) -> tuple[DenseLayer, Layer]:
        """One dense layer, still without a name, and the Keras layer that makes its new channels."""
        norm1, conv1, conv1_layer = self._norm_relu_conv(joined, order)
        following = self._next(conv1_layer, expected)
        if following is not None and keras_weights.is_relu(following):
            norm2, relu = None, self._see(following)  # the convolution contains the norm
        else:
            norm2_layer = self._after(conv1_layer, _BATCH_NORMS, expected)
            norm2 = keras_weights.batch_norm(norm2_layer)
            relu = self._relu_after(norm2_layer, f"the second ReLU of {DENSE_LAYER}")
        what = f"the growing Conv2D of {DENSE_LAYER}"
        first = self._next(relu, what)
        zeros, layer = self._zeros(first, what)
        conv2_layer = _require(layer, ("Conv2D",), what, relu)
        self._see_padding(first)
        self._see(conv2_layer)
        _require_linear(conv2_layer)
        # With stride 1, whether the convolution keeps the size does not depend on the size.
        probe = (conv2_layer.options["kernel_size"][0] * 8, conv2_layer.options["kernel_size"][1] * 8)
        conv2, size = keras_weights.convolution(conv2_layer, probe, zeros)
        if size != probe or conv2.stride != 1:
            raise _refusal("a convolution that keeps height and width", f"{conv2_layer}, which changes them")
        return DenseLayer("", norm1, conv1, norm2, conv2), conv2_layer

    def _join(self, parts: list[Layer], new: Layer) -> Layer:
        """The Concatenate that holds the block so far and its new channels, in whatever order."""
        wanted = sorted(part.index for part in [*parts, new])
        joins = [r for r in self.readers[new.index] if r.kind == "Concatenate" and sorted(self._sources(r)) == wanted]
        if not joins:
            raise _refusal(f"a Concatenate of the block so far with {new}", _listed(self.readers[new.index]))
        return self._see(joins[0])

    def _sources(self, layer: Layer) -> list[int]:
        """The numbers of the layers whose outputs a tree of Concatenates holds, in order."""
        if layer.kind != "Concatenate":
            return [layer.index]
        keras_weights.require_channel_axis(layer)
        return [source for i in layer.inputs for source in self._sources(self.layers[i])]

    def _transition(self, joined: Layer, order: Order, size: Size) -> tuple[Transition, Layer, Size]:
        norm, conv, conv_layer = self._norm_relu_conv(joined, order)
        expected = "a transition's AveragePooling2D (2x2, stride 2)"
        pool_layer = self._after(conv_layer, ("AveragePooling2D",), expected)
        pool, pooled = keras_weights.window_pool(pool_layer, size)
        if pool.size != (2, 2) or pool.stride != (2, 2):
            raise _refusal(expected, f"{pool_layer} with {pool.size} and strides {pool.stride}")
        return Transition(self.part, norm, conv), pool_layer, pooled

    # The head

    def _head(self, end: Layer, order: Order, size: Size) -> tuple[Head, Seam | None, tuple[int, ...]]:
        """The head behind the last block, where it begins if it stays float, and the numbers of all layers before."""
        self.part = "head"
        norm, last = None, end
        relu = self._only_relu(self._only(end, *_BATCH_NORMS))
        if relu is not None:
            norm_layer = self.layers[relu.inputs[0]]
            norm = _permuted(keras_weights.batch_norm(self._see(norm_layer)), order)
            last = self._see(relu)
        backbone, parameters = tuple(sorted(self.seen)), dict(self.parameters)
        try:
            steps = self._head_steps(last, order, size)
        except _WrongSizeError:
            raise
        except EdgedenseError as error:  # a branch, or a layer that the graph has no words for
            self.seen, self.parameters = set(backbone), parameters
            steps, seam = self._float_head(last, order, size, error.found)
            return Head(norm, steps), seam, backbone
        if not any(isinstance(step, Dense) for step in steps):
            raise _refusal("a Dense layer that classifies", f"a model that ends in {self.layers[-1]}", HINT_HEAD)
        return Head(norm, steps), None, backbone

    def _float_head(self, last: Layer, order: Order, size: Size, reason: str) -> tuple[tuple[HeadStep, ...], Seam]:
        """The steps behind the head's layers: softmax or sigmoid at the end, or none; and where those layers begin."""
        self.part = "float head"
        layers = [layer for layer in self.layers if layer.index not in self.seen]
        seam = Seam(last.index, order, (*size, order.size), tuple(layer.index for layer in layers), reason)
        head_seam.check(self.layers, seam)
        for layer in layers:
            self._see(layer)
        final = head_seam.last_activated(self.layers)
        self.final = final.index
        function = head_seam.scoring(final)
        return () if function is None else (function,), seam

    def _head_steps(self, last: Layer, order: Order, size: Size) -> tuple[HeadStep, ...]:
        steps: list[HeadStep] = []
        shape: tuple[int, ...] = (*size, order.size)
        layer = self._next(last, "the head")
        dense = 0
        while layer is not None:
            if layer.kind == "Dense":
                dense += 1
                self.part = f"dense{dense}"
            new, order, shape = _head_step(layer, order, shape)
            steps += new
            self.final = layer.index if new else self.final
            self._see(layer)
            layer = self._next(layer, "the next layer of the head")
        return tuple(steps)


HINT_SIZES = "resizing and cropping are taken before the first convolution; rebuild the model without it behind that"
HINT_HEAD = "convert the whole classifier, not its feature extractor"


def _head_step(layer: Layer, order: Order, shape: tuple[int, ...]) -> tuple[list[HeadStep], Order, tuple[int, ...]]:
    """What one layer adds to the head, and the order and shape behind it; `shape` is (h, w, c) or (c,)."""
    if layer.kind in _GLOBAL_POOLS and len(shape) == 3:
        keras_weights.require_channels_last(layer)
        return [Pool(_GLOBAL_POOLS[layer.kind])], order, shape[2:]
    if layer.kind in _WINDOW_POOLS and len(shape) == 3:
        pool, size = keras_weights.window_pool(layer, (shape[0], shape[1]))
        return [pool], order, (*size, shape[2])
    if layer.kind == "Flatten" or (layer.kind == "Reshape" and len(layer.shape) == 2):
        if len(shape) == 1:
            return [], order, shape
        places = np.arange(shape[0] * shape[1])[:, np.newaxis] * shape[2] + order
        channels_first = layer.options.get("channels") == "first"  # all positions of one channel, then the next
        return [Flatten()], (places.T if channels_first else places).ravel(), (shape[0] * shape[1] * shape[2],)
    if layer.kind == "Dense" and len(shape) == 1:
        return _dense_steps(layer, order, shape)
    if layer.kind in _BATCH_NORMS:
        return [_permuted(keras_weights.batch_norm(layer), order)], order, shape
    if keras_weights.is_activation(layer):
        function = keras_weights.activation(layer)
        return [function] if function else [], order, shape
    raise _refusal(
        "a head of pooling, Flatten, Dense, Dropout, BatchNormalization and activation layers",
        f"{layer} on a tensor of shape {list(layer.shape)}",
    )


def _dense_steps(layer: Layer, order: Order, shape: tuple[int, ...]) -> tuple[list[HeadStep], Order, tuple[int, ...]]:
    step = keras_weights.dense(layer)
    inputs, outputs = step.kernel.shape
    if inputs != shape[0]:
        raise _WrongSizeError(
            f"a DenseNet: {inputs} inputs of {layer}",
            f"{shape[0]} at this image size",
            "a Flatten head fixes the image size: convert at the size that the model was trained with",
        )
    function = keras_weights.activation(layer)
    step = replace(step, kernel=step.kernel[np.argsort(order)])
    return [step, function] if function else [step], np.arange(outputs), (outputs,)


def _permuted(affine: Affine, order: Order) -> Affine:
    back = np.argsort(order)
    return Affine(affine.scale[back], affine.shift[back])


def _order(parts: list[Layer], sources: list[int]) -> Order:
    """Where each channel of a concatenation of `sources` stands in the graph, which concatenates `parts`."""
    widths = [part.shape[-1] or 0 for part in parts]
    starts = dict(zip((part.index for part in parts), np.cumsum([0, *widths]), strict=False))
    by_index = dict(zip((part.index for part in parts), widths, strict=True))
    return np.concatenate([starts[s] + np.arange(by_index[s]) for s in sources])


def _require(layer: Layer | None, kinds: Iterable[str], expected: str, behind: Layer, hint: str | None = None) -> Layer:
    if layer is None or layer.kind not in kinds:
        raise _refusal(f"{expected} behind {behind}", _described(layer), hint or _size_hint([layer] if layer else []))
    return layer


def _require_linear(layer: Layer) -> None:
    function = keras_weights.activation(layer)
    if function is not None:
        raise _refusal("a convolution without activation", f"{layer} with activation '{function.kind}'")


def _size_hint(layers: Sequence[Layer]) -> str | None:
    return HINT_SIZES if any(layer.kind in keras_sizes.KINDS for layer in layers) else None


def _described(layer: Layer | None) -> str:
    return "the output" if layer is None else keras_weights.described(layer)


def _listed(layers: Sequence[Layer]) -> str:
    return " and ".join(map(keras_weights.described, layers)) or "the output"


def _refusal(expected: str, found: str, hint: str | None = None) -> EdgedenseError:
    return EdgedenseError(f"a DenseNet: {expected}", found, hint or HINT)
