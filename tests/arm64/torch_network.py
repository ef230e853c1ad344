"""The digits model in PyTorch, with the weights of the Keras one: what ExecuTorch and ncnn convert."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import nn

BLOCKS, GROWTH, STEM = (6, 12, 24, 16), 32, 64  # DenseNet121
EPSILON = 1.001e-5  # Keras' batch normalization has another default than PyTorch's


class Layer(nn.Module):
    """A dense layer: what it computes stands behind what it was given."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.norm1 = nn.BatchNorm2d(channels, EPSILON)
        self.conv1 = nn.Conv2d(channels, 4 * GROWTH, 1, bias=False)
        self.norm2 = nn.BatchNorm2d(4 * GROWTH, EPSILON)
        self.conv2 = nn.Conv2d(4 * GROWTH, GROWTH, 3, padding=1, bias=False)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        narrow = self.conv1(torch.relu(self.norm1(x)))
        return torch.cat([x, self.conv2(torch.relu(self.norm2(narrow)))], 1)


def network(model: Any) -> nn.Module:
    """Of a Keras DenseNet121 that ends in global average pooling, Dense and softmax; pictures are [N, 3, H, W]."""
    parts: list[tuple[str, nn.Module]] = [
        ("conv", nn.Conv2d(3, STEM, 7, 2, 3, bias=False)),
        ("norm", nn.BatchNorm2d(STEM, EPSILON)),
        ("relu", nn.ReLU()),
        ("pool", nn.MaxPool2d(3, 2, 1)),
    ]
    channels = STEM
    for number, layers in enumerate(BLOCKS, start=1):
        for position in range(layers):
            parts.append((f"block{number}_layer{position}", Layer(channels)))
            channels += GROWTH
        parts += [(f"norm{number}", nn.BatchNorm2d(channels, EPSILON)), (f"relu{number}", nn.ReLU())]
        if number < len(BLOCKS):
            parts.append((f"transition{number}", nn.Conv2d(channels, channels // 2, 1, bias=False)))
            parts.append((f"pool{number}", nn.AvgPool2d(2)))
            channels //= 2
    weights = [[np.asarray(array) for array in layer.get_weights()] for layer in model.layers if layer.get_weights()]
    head = [
        ("mean", nn.AdaptiveAvgPool2d(1)),
        ("flat", nn.Flatten()),
        ("dense", nn.Linear(channels, len(weights[-1][1]))),
    ]
    made = nn.Sequential(OrderedDict([*parts, *head, ("softmax", nn.Softmax(1))])).eval()
    _fill(made, weights)
    return made


def _fill(made: nn.Module, weights: Sequence[list[np.ndarray]]) -> None:
    """Both have their layers in the same order."""
    kinds = (nn.Conv2d, nn.BatchNorm2d, nn.Linear)
    with torch.no_grad():
        for layer, arrays in zip((m for m in made.modules() if isinstance(m, kinds)), weights, strict=True):
            if isinstance(layer, nn.BatchNorm2d):
                targets = [layer.weight, layer.bias, layer.running_mean, layer.running_var]
            else:
                axes = (3, 2, 0, 1) if isinstance(layer, nn.Conv2d) else (1, 0)
                arrays = [arrays[0].transpose(axes), *arrays[1:]]
                targets = [layer.weight, layer.bias][: len(arrays)]
            for target, array in zip(targets, arrays, strict=True):
                assert target is not None
                target.copy_(torch.from_numpy(array.copy()))
