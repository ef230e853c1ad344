"""After a cut, what stays takes over what the cut channels contributed, by least squares, layer after layer."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from edgedense.converters.network.graph import Array, DenseNet
from edgedense.converters.network.program import Op, lower
from edgedense.converters.network.weights import with_weights
from edgedense.converters.pruning.channels import Indices, Selection, cut
from edgedense.converters.pruning.positions import Run, samples
from edgedense.images.preprocessing import Pixels

RIDGES = (1e-3, 1e-2, 1e-1, 1.0)  # of the inputs' mean variance; which one is found on held-out pictures
SAMPLES = 4096  # positions in all that a layer is fitted on
QUICK_SAMPLES, QUICK_RIDGE = 1024, 1e-2  # of a fit that only tells good cuts from bad ones
WIDEST = 4096  # inputs; a wider Dense has more unknowns than pictures can tell, and only gets its bias


@dataclass(frozen=True)
class Fit:
    """How thoroughly a network is fitted: on how many positions in all, and with which ridges, of which the best is
    taken for each layer."""

    samples: int
    strengths: tuple[float, ...]


THOROUGH = Fit(SAMPLES, RIDGES)
QUICK = Fit(QUICK_SAMPLES, (QUICK_RIDGE,))


def reconstruct(
    network: DenseNet,
    selection: Selection,
    pixels: Pixels,
    tick: Callable[[int], None] = lambda n: None,
    fit: Fit = THOROUGH,
) -> DenseNet:
    """`network` cut to `selection`, with weights that give back the uncut outputs as far as what is left tells them.

    Each convolution and Dense, in order, is fitted to what its counterpart in the uncut network gives for `pixels`
    [N, H, W, 3], from inputs that earlier layers, already fitted, give: the mean difference goes into the bias, and a
    ridge regression towards the weights that stayed into the kernel (after He et al., "Channel pruning for accelerating
    very deep neural networks", 2017, section 3.1). How far the kernel moves is decided on every second picture by the
    fit to the others; where no fit helps, the kernel stays. `tick(1)` is called for each of them.
    `fit` says how thoroughly.
    """
    import tensorflow as tf

    student = cut(network, selection)
    uncut, left = Run(tf, lower(network), pixels), Run(tf, lower(student), pixels)
    counterparts, fitted = _counterparts(selection), {}
    for op in left.program.ops:
        if op.kind in ("conv", "dense"):
            name, outputs = counterparts.get(op.output, (op.output, None))
            expected = uncut.linear(name)
            op = _fitted(tf, op, left.tensors[op.inputs[0]], expected, outputs, fit)
            fitted[op.output] = op.weights
            tick(1)
        left.step(op)
    return with_weights(student, fitted)


def _counterparts(selection: Selection) -> dict[str, tuple[str, Indices]]:
    """Of each convolution in a dense layer, as the cut network calls it: its name in the uncut one, and which of the
    outputs there stay."""
    found = {}
    for number, rows in enumerate(selection.layers, start=1):
        staying = [(position, row) for position, row in enumerate(rows, start=1) if row.growth.size]
        for after, (before, row) in enumerate(staying, start=1):
            here, there = f"block{number}/layer{after}", f"block{number}/layer{before}"
            found[f"{here}/bottleneck"] = (f"{there}/bottleneck", row.bottleneck)
            found[f"{here}/growth"] = (f"{there}/growth", row.growth)
    return found


def _fitted(tf: Any, op: Op, x: Any, expected: Any, outputs: Indices | None, fit: Fit) -> Op:
    """`op` with kernel and bias fitted to `expected`, of which `outputs` are its own."""
    kernel, _ = op.weights
    inputs, targets = samples(tf, op, x, expected, fit.samples)
    if outputs is not None:
        targets = targets[..., outputs]
    flat = kernel.reshape(-1, kernel.shape[-1])
    if len(flat) <= WIDEST:
        flat = ridge(inputs, targets, flat, fit.strengths)
    mean = (targets - inputs @ flat).mean(axis=(0, 1))
    return replace(op, kernel=flat.reshape(kernel.shape), bias=mean)


def ridge(inputs: Array, targets: Array, kernel: Array, strengths: Sequence[float] = RIDGES) -> Array:
    """The kernel [inputs, outputs] near `kernel` that best gives `targets` [N, P, outputs] from `inputs` [N, P, inputs]
    up to a constant, N pictures with P positions each. A single one of `strengths` is taken as it is."""
    if len(inputs) < 2:
        return kernel
    x, y = _centered(inputs), _centered(targets)
    if len(strengths) == 1:
        return kernel + _solved(*_normal(x, y, kernel), strengths[0])
    fit, held = slice(0, None, 2), slice(1, None, 2)
    normal, other = (_normal(x[part], y[part], kernel) for part in (fit, held))
    errors: dict[float | None, float] = {None: 0.0}  # by how much the square error of `kernel` itself changes
    for strength in strengths:
        step = _solved(*normal, strength)
        errors[strength] = float((step * (other[0] @ step - 2 * other[1])).sum())
    best = min(errors, key=lambda strength: errors[strength])
    return kernel if best is None else kernel + _solved(normal[0] + other[0], normal[1] + other[1], best)


def _centered(values: Array) -> Array:
    return values - values.mean(axis=(0, 1))


def _normal(x: Array, y: Array, kernel: Array) -> tuple[Array, Array]:
    """The normal equations of what `kernel` leaves to be explained: products of inputs, and theirs with the rest.

    The products are float32: they are millions, and the ridge is far above what that rounds.
    """
    flat = x.reshape(-1, x.shape[-1]).astype(np.float32)
    rest = (y.reshape(-1, y.shape[-1]) - x.reshape(-1, x.shape[-1]) @ kernel).astype(np.float32)
    return (flat.T @ flat).astype(np.float64), (flat.T @ rest).astype(np.float64)


def _solved(gram: Array, missing: Array, strength: float) -> Array:
    variance = gram.trace() / len(gram)
    if variance == 0:
        return np.zeros_like(missing)
    return np.linalg.solve(gram + strength * variance * np.eye(len(gram)), missing)
