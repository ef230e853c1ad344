"""The head by itself: the feature map that it reads, and its layers as the device computes heatmaps from them."""

from __future__ import annotations

import numpy as np

from edgedense.converters.network import graph
from edgedense.converters.network.program import Program
from edgedense.converters.quantization.attempts import FLOAT_DENSE
from edgedense.converters.quantization.quantize import weight_scale
from edgedense.deployed import gradcam


def features_tensor(program: Program) -> str:
    """The last feature map: what the head's first pooling or flattening reads, behind the last norm - ReLU."""
    behind = (op for op in program.ops if op.output.startswith("head/") and op.output != "head/norm")
    return next(behind, program.ops[-1]).inputs[0]


def deployed_head(head: graph.Head) -> gradcam.Head:
    """The layers between the last feature map and the logits. A Dense that the deployed file holds in int8 is int8
    here too: a hidden one would make the file larger by megabytes.

    A head in another form than "depthwise" has put a shift of its features into the layer behind, which Grad-CAM
    would miss, and one that stays float has layers without gradients here: AssertionError.
    """
    assert head.float_head is None, head.float_head
    assert head.norm is None or head.form == "depthwise", head.form
    steps = head.steps[:-1] if _ends_in_scores(head.steps[-1]) else head.steps
    return gradcam.Head(tuple(_step(step) for step in steps))


def _ends_in_scores(step: graph.HeadStep) -> bool:
    return isinstance(step, graph.Activation) and step.kind in ("softmax", "sigmoid")


def _step(step: graph.HeadStep) -> gradcam.Step:
    match step:
        case graph.Pool(kind):
            return gradcam.Pool(kind)
        case graph.WindowPool(kind, size, stride):
            return gradcam.WindowPool(kind, size, stride)
        case graph.Flatten():
            return gradcam.Flatten()
        case graph.Affine(scale, shift):
            return gradcam.Affine(scale.astype(np.float32), shift.astype(np.float32))
        case graph.Dense(kernel, bias):
            return _dense(kernel, bias)
        case graph.Activation(kind, alpha):
            assert kind != "softmax"
            return gradcam.Nonlinear(kind, alpha)
        case graph.FloatHead():
            raise AssertionError(step)


def _dense(kernel: graph.Array, bias: graph.Array) -> gradcam.Dense:
    if kernel.size <= FLOAT_DENSE:
        return gradcam.Dense(kernel.astype(np.float32), bias.astype(np.float32))
    scale = weight_scale(kernel)
    rounded = np.clip(np.round(kernel / scale), -127, 127).astype(np.int8)
    return gradcam.Dense(rounded, bias.astype(np.float32), scale.astype(np.float32))
