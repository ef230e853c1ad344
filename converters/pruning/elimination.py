"""What cutting a channel costs once those that stay have taken over what they can tell of it.

`reconstruct` fits what is left by least squares. So a channel that others tell is cheap, however much depends on it,
and it becomes dear when these have gone. Optimal brain surgeon says by how much (Hassibi and Stork, "Second order
derivatives for network pruning", 1993; for whole inputs of a layer Kurtic et al., "ZipLM", 2023): channels go one
after the other, the cheapest first, and each leaves behind kernels that are fitted to the channels that are left.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields

import numpy as np
import numpy.typing as npt

from edgedense.converters.network.graph import Array, Conv, DenseNet
from edgedense.converters.network.program import lower
from edgedense.converters.pruning.positions import Run, at_positions
from edgedense.images.preprocessing import Pixels

BATCH = 64
POSITIONS = 16  # of a picture and of its mirror image, on which channels are compared; a small map has no more
RIDGE = 1e-2  # of the inputs' mean variance: what a few pictures say of many channels is not all true
DEAD = 1e-6  # a variance below this share of the mean, or of the mean square, is none: float32 sums round as much
AT_ONCE = 8  # growth channels of a block that go before the others are looked at again: one by one takes minutes


@dataclass(frozen=True)
class Reader:
    """A convolution that reads the first n channels of a concatenation, or those of a bottleneck.

    `left` [n] says which it still has; `inverse` [n, n] is that of their covariance. `kernel` [n, outputs] is in units
    in which the square of an error in an output is the loss that it makes.
    """

    left: npt.NDArray[np.bool_]
    inverse: Array
    kernel: Array

    def losses(self) -> Array:
        """What the outputs lose when one channel goes and the others are fitted to them, for each; 0 without it."""
        left = self.left
        return np.divide((self.kernel**2).sum(axis=1), np.diag(self.inverse), out=np.zeros(left.size), where=left)

    def without(self, channels: npt.NDArray[np.int64]) -> Reader:
        """The convolution fitted to the same outputs without those of `channels` that it has."""
        gone = channels[channels < self.left.size]
        if not gone.size:
            return self
        share = np.linalg.solve(self.inverse[np.ix_(gone, gone)], self.inverse[gone])  # [gone, n]
        left = self.left.copy()
        left[gone] = False
        return Reader(left, self.inverse - self.inverse[:, gone] @ share, self.kernel - share.T @ self.kernel[gone])


def reader(covariance: Array, kernel: Array, worth: Array) -> Reader:
    """A convolution that has all its channels: their `covariance` [n, n], its `kernel` [height, width, n, outputs], and
    the loss `worth` [outputs] that a square error of one makes in each output.

    A channel is fitted from the others at its own position alone, the same for all of the kernel's: it needs a ninth of
    the unknowns that a 3x3 kernel has.
    """
    count, variance = len(covariance), np.diag(covariance)
    flat = (kernel * np.sqrt(worth)).transpose(2, 0, 1, 3).reshape(count, -1)
    flat[variance <= DEAD * variance.mean()] = 0  # else the ridge would be taken for something that they tell
    ridge = RIDGE * variance.mean() or 1.0
    return Reader(np.ones(count, bool), np.linalg.inv(covariance + ridge * np.eye(count)), flat)


def apart(losses: Array) -> Reader:
    """A reader in which no channel takes over for another."""
    return Reader(np.ones(losses.size, bool), np.eye(losses.size), np.sqrt(losses)[:, None])


def prices(readers: Sequence[Reader], first: int, at_once: int = 1) -> Array:
    """What each of the channels from `first` on costs its `readers` when it goes, `at_once` of the cheapest at a time.

    A price is never below that of a channel that has gone before it, so that the order of prices is the order in which
    channels go.
    """
    count = max(each.left.size for each in readers)
    found, paid, rest = np.zeros(count), 0.0, np.arange(first, count)
    while rest.size:
        losses = np.zeros(count)
        for each in readers:
            losses[: each.left.size] += each.losses()
        going = rest[np.argsort(losses[rest], kind="stable")[:at_once]]
        found[going] = np.maximum(losses[going], paid)
        paid = float(found[going].max())
        readers = [each.without(going) for each in readers]
        rest = np.setdiff1d(rest, going)
    return found[first:]


def taken_over(network: DenseNet, pixels: Pixels, losses: Mapping[str, Array]) -> dict[str, Array]:
    """The prices of the channels of each "block1/layer2/bottleneck" [k] and "block1/layer2/growth" [g].

    `losses` says of each channel what is lost when it becomes its mean and no other takes over: of these two kinds of
    tensors, of each "transition1/conv", and of what the "head" reads, whose channels keep their losses. By them an
    error in an output of a convolution is judged. `pixels` [N, H, W, C] are seen as they are and mirrored.
    """
    seen, found = _seen(network, pixels), {}
    for number, block in enumerate(network.blocks, start=1):
        if not block.layers:
            continue
        names = [f"block{number}/layer{position}" for position in range(1, len(block.layers) + 1)]
        readers = []
        for name, layer in zip(names, block.layers, strict=True):
            growing = _reader(layer.conv2, seen[f"{name}/bottleneck"], losses[f"{name}/growth"])
            found[f"{name}/bottleneck"] = prices([growing], 0)
            readers.append(_reader(layer.conv1, seen[f"{name}/norm"], losses[f"{name}/bottleneck"]))
        if block.transition:
            place = f"transition{number}"
            readers.append(_reader(block.transition.conv, seen[f"{place}/norm"], losses[f"{place}/conv"]))
        else:
            readers.append(apart(losses["head"]))
        paid = prices(readers, block.layers[0].norm1.scale.size, AT_ONCE)
        ends = np.cumsum([layer.conv2.bias.size for layer in block.layers])[:-1]
        found |= {f"{name}/growth": part for name, part in zip(names, np.split(paid, ends), strict=True)}
    return found


@dataclass(frozen=True)
class _Seen:
    """Of a convolution, over pictures and positions: the sums of what it reads [n], of the products of that [n, n], and
    of what it gives behind its ReLU [outputs], the square of that, and how often that is not 0; the `count` of all."""

    count: int
    inputs: Array
    products: Array
    outputs: Array
    squares: Array
    active: Array

    def __add__(self, other: _Seen) -> _Seen:
        return _Seen(*(getattr(self, part.name) + getattr(other, part.name) for part in fields(self)))


def _reader(conv: Conv, seen: _Seen, losses: Array) -> Reader:
    mean = seen.inputs / seen.count
    square = seen.squares / seen.count
    variance = square - (seen.outputs / seen.count) ** 2
    active = seen.active / seen.count  # an error where the ReLU gives 0 is none
    worth = np.divide(losses * active, variance, out=np.zeros_like(losses), where=variance > DEAD * square)
    return reader(seen.products / seen.count - np.outer(mean, mean), conv.kernel, worth)


def _seen(network: DenseNet, pixels: Pixels) -> dict[str, _Seen]:
    """Of each convolution of a dense layer or a transition, by the tensor that it reads."""
    import tensorflow as tf

    program = lower(network)
    found: dict[str, _Seen] = {}
    for start in range(0, len(pixels), BATCH):
        batch = pixels[start : start + BATCH]
        for side in (batch, batch[:, :, ::-1]):
            run = Run(tf, program, side)
            for op in program.ops:
                x = run.tensors.get(op.inputs[0])
                linear = run.step(op)
                if op.kind == "conv" and op.inputs[0].startswith(("block", "transition")):
                    given, count = tf.nn.relu(linear) if op.relu else linear, POSITIONS * len(side)
                    part = _sums(at_positions(tf, x, count), at_positions(tf, given, count), op.relu)
                    found[op.inputs[0]] = found[op.inputs[0]] + part if op.inputs[0] in found else part
    return found


def _sums(x: Array, y: Array, relu: bool) -> _Seen:
    """Of what is read [N, P, n] and given [N, P, outputs]. float32 rounds the products far less than RIDGE changes."""
    x, y = (values.reshape(-1, values.shape[-1]) for values in (x, y))
    single = x.astype(np.float32)
    active = (y > 0).sum(axis=0) if relu else np.full(y.shape[-1], len(y))
    return _Seen(len(x), x.sum(axis=0), (single.T @ single).astype(float), y.sum(axis=0), (y**2).sum(axis=0), active)
