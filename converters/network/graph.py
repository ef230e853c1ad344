"""A DenseNet as data: stem, dense blocks with transitions, head.

Every array is float64, so that rewriting a graph many times leaves no rounding behind. Activations are laid out
[batch, height, width, channels], convolution kernels [height, width, in, out], dense kernels [in, out], as in Keras.
The terms follow Huang et al., "Densely Connected Convolutional Networks", 2017: a dense layer is
norm - ReLU - 1x1 convolution (the bottleneck) - norm - ReLU - 3x3 convolution, which adds growth-rate channels to the
block's concatenation; a transition is norm - ReLU - 1x1 convolution - 2x2 average pooling.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Literal

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.float64]
Padding = tuple[tuple[int, int], tuple[int, int]]  # ((top, bottom), (left, right)), in pixels
NO_PADDING: Padding = ((0, 0), (0, 0))


@dataclass(frozen=True)
class Affine:
    """y = scale * x + shift per channel: a batch norm at inference, or a pixel normalization. Arrays of shape [C]."""

    scale: Array
    shift: Array


@dataclass(frozen=True)
class Conv:
    """A convolution: kernel [height, width, in, out], bias [out], explicit zero padding."""

    kernel: Array
    bias: Array
    stride: int = 1
    padding: Padding = NO_PADDING


@dataclass(frozen=True)
class MaxPool:
    """Max pooling with a square window. Padding never wins: what it pads is >= 0."""

    size: int
    stride: int
    padding: Padding = NO_PADDING


# How norm - ReLU in front of a 1x1 convolution is computed:
#   depthwise  relu(scale * x + shift), as a 1x1 depthwise convolution
#   maximum    max(x, -shift); scale is 1, the convolution behind it has absorbed the true scale and the "+ shift"
Form = Literal["depthwise", "maximum"]


@dataclass(frozen=True)
class Front:
    """A convolution in front of the stem, and ReLU where `relu`: it makes of the picture what a stem that was trained
    on something else reads. `border` as in Stem.
    """

    conv: Conv
    relu: bool = False
    border: Array | None = None


@dataclass(frozen=True)
class Stem:
    """Convolution - norm - ReLU - max pooling.

    `norm` None: the convolution already contains it; `pool` None: no pooling.

    `border`: None, or the pixel value per channel [C] that the convolution's padding has, once the normalization is
    folded into the convolution. `space_to_depth`: the block size by which padded pixels are regrouped into channels
    before the convolution (1: not at all); the padding stays in pixels.
    """

    conv: Conv
    norm: Affine | None
    pool: MaxPool | None
    border: Array | None = None
    space_to_depth: int = 1


@dataclass(frozen=True)
class DenseLayer:
    """norm1 - ReLU - conv1 (1x1 bottleneck) - norm2 - ReLU - conv2 (3x3, growth-rate outputs)."""

    name: str
    norm1: Affine
    conv1: Conv
    norm2: Affine | None
    conv2: Conv
    form: Form = "depthwise"


@dataclass(frozen=True)
class Transition:
    """norm - ReLU - conv (1x1) - 2x2 average pooling with stride 2, valid.

    `pool_first`: pooling before the conv. With it, the form "maximum" leaves `norm` as it is: max(x, -shift / scale) is
    pooled, and the pooling multiplies by scale and adds shift.
    """

    name: str
    norm: Affine
    conv: Conv
    form: Form = "depthwise"
    pool_first: bool = False


@dataclass(frozen=True)
class Block:
    """A dense block and the transition that follows it (None behind the last block)."""

    layers: tuple[DenseLayer, ...]
    transition: Transition | None


@dataclass(frozen=True)
class Pool:
    """Head: [B, H, W, C] to [B, C] over all positions ("avg" or "max")."""

    kind: Literal["avg", "max"]


@dataclass(frozen=True)
class WindowPool:
    """Head: pooling with a window that keeps the rank, [B, H, W, C] to [B, H', W', C], valid."""

    kind: Literal["avg", "max"]
    size: tuple[int, int]
    stride: tuple[int, int]


@dataclass(frozen=True)
class Flatten:
    """Head: [B, H, W, C] to [B, H * W * C]; fixes the input size."""


@dataclass(frozen=True)
class Dense:
    """Head: x @ kernel + bias; kernel [in, out], bias [out]."""

    kernel: Array
    bias: Array


@dataclass(frozen=True)
class Activation:
    """Head: an elementwise function, or softmax over the last axis."""

    kind: Literal["relu", "relu6", "leaky_relu", "elu", "tanh", "swish", "sigmoid", "softmax"]
    alpha: float = 0.0  # the slope of leaky_relu; elu has 1


@dataclass(frozen=True)
class FloatHead:
    """Head: [B, H, W, C] to [B, outputs], by layers that this module has no words for; they stay float32.

    `graph` is a serialized TensorFlow GraphDef that holds its weights as constants. It computes the tensor named
    `logits` [B, outputs] from the tensor named `features` [B, *shape], of any batch, or of one picture where it is
    `single`. `layers` are the Keras layers, or the operators of another file, that it was made of, for people, and
    `reason` says which of them is the one without words.
    """

    graph: bytes = field(repr=False)
    features: str
    logits: str
    shape: tuple[int, int, int]
    outputs: int
    layers: tuple[str, ...] = ()
    reason: str = ""
    single: bool = False


HeadStep = Pool | WindowPool | Flatten | Dense | Activation | Affine | FloatHead


@dataclass(frozen=True)
class Head:
    """norm - ReLU behind the last block (`norm` None: the last block's output is used as it is), then `steps` in order.

    Dropout is not here: it does nothing at inference. An Affine among the steps acts on the last axis. A FloatHead is
    the first step, with nothing behind it but the activation.
    """

    norm: Affine | None
    steps: tuple[HeadStep, ...]
    form: Form = "depthwise"

    @property
    def float_head(self) -> FloatHead | None:
        """The layers that stay float, where there are some."""
        first = self.steps[0] if self.steps else None
        return first if isinstance(first, FloatHead) else None


@dataclass(frozen=True)
class DenseNet:
    """The whole network, from raw pixels (RGB or grey, 0 to 255) to scores.

    `normalization` takes pixels to what the first convolution pads and reads (None: it reads pixels). The first one is
    that of `front`, or the stem's where there is no such part.

    `grey`: the shares [3] of red, green and blue in the one channel that is read of an RGB picture, or None.
    `repeats`: how many times the one channel, of a grey picture or made by `grey`, is repeated before the
    normalization, which has numbers for each copy.
    """

    height: int
    width: int
    normalization: Affine | None
    stem: Stem
    blocks: tuple[Block, ...]
    head: Head
    grey: Array | None = None
    repeats: int = 1
    front: Front | None = None

    @property
    def first(self) -> Front | Stem:
        """What holds the first convolution."""
        return self.front or self.stem

    def with_first(self, first: Front | Stem) -> DenseNet:
        """The same with another first part."""
        return replace(self, front=first) if isinstance(first, Front) else replace(self, stem=first)

    @property
    def entering(self) -> int:
        """Channels that the normalization and the first convolution read."""
        return int(self.first.conv.kernel.shape[2]) // (1 if self.front else self.stem.space_to_depth**2)

    @property
    def channels(self) -> int:
        """Channels of the picture: 3 (RGB) or 1 (grey)."""
        if self.grey is not None:
            return self.grey.size
        return 1 if self.repeats > 1 else self.entering

    @property
    def classes(self) -> int:
        """Number of outputs: of the layers that stay float, or the length of the last Dense's bias."""
        last = [s for s in self.head.steps if isinstance(s, Dense | FloatHead)][-1]
        return last.outputs if isinstance(last, FloatHead) else int(last.bias.size)
