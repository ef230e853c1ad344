"""DenseNets in PyTorch, written here so that the tests need no library but PyTorch itself.

Parameters are named as torchvision, MONAI and torchvision's first releases name them. Weights are random and seeded;
norms are not trivial, so that a reader cannot pass that ignores them.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence

import torch
from torch import nn


class Layer(nn.Module):
    """norm - ReLU - 1x1 convolution - norm - ReLU - 3x3 convolution, joined to what came in."""

    def __init__(self, inputs: int, growth: int, naming: str) -> None:
        super().__init__()
        steps = OrderedDict(
            {
                "norm1": nn.BatchNorm2d(inputs),
                "relu1": nn.ReLU(),
                "conv1": nn.Conv2d(inputs, 4 * growth, 1, bias=False),
                "norm2": nn.BatchNorm2d(4 * growth),
                "relu2": nn.ReLU(),
                "conv2": nn.Conv2d(4 * growth, growth, 3, padding=1, bias=False),
            }
        )
        layers = nn.Sequential(steps)
        if naming == "monai":
            self.layers = layers
        elif naming == "old":  # a module's name may hold no dot today: norm.1 is the module "1" of the module "norm"
            for kind in ("norm", "relu", "conv"):
                pair = {number: steps[f"{kind}{number}"] for number in "12"}
                self.add_module(kind, nn.ModuleDict(pair))
        else:
            for name, step in steps.items():
                self.add_module(name, step)
        self._run = [layers]  # in a list, so that PyTorch does not register the same modules twice

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return torch.cat([x, self._run[0](x)], 1)


class DenseNet(nn.Module):
    """As torchvision builds it. `naming` is "torchvision", "monai" or "old"; `head` stands behind the average pooling,
    by default one Linear to `classes`."""

    def __init__(
        self,
        blocks: Sequence[int] = (2, 3),
        growth: int = 6,
        first: int = 8,
        channels: int = 3,
        classes: int = 4,
        naming: str = "torchvision",
        head: nn.Module | None = None,
    ) -> None:
        super().__init__()
        stem = {
            "conv0": nn.Conv2d(channels, first, 7, 2, 3, bias=False),
            "norm0": nn.BatchNorm2d(first),
            "relu0": nn.ReLU(),
            "pool0": nn.MaxPool2d(3, 2, 1),
        }
        self.features = nn.Sequential(OrderedDict(stem))
        width = first
        for number, count in enumerate(blocks, 1):
            layers = [Layer(width + growth * i, growth, naming) for i in range(count)]
            named = OrderedDict((f"denselayer{i}", layer) for i, layer in enumerate(layers, 1))
            self.features.add_module(f"denseblock{number}", nn.Sequential(named))
            width += growth * count
            if number < len(blocks):
                steps = {
                    "norm": nn.BatchNorm2d(width),
                    "relu": nn.ReLU(),
                    "conv": nn.Conv2d(width, width // 2, 1, bias=False),
                    "pool": nn.AvgPool2d(2, 2),
                }
                self.features.add_module(f"transition{number}", nn.Sequential(OrderedDict(steps)))
                width //= 2
        self.features.add_module("norm5", nn.BatchNorm2d(width))
        last = head if head is not None else nn.Linear(width, classes)
        if naming == "monai":
            self.class_layers = nn.Sequential(OrderedDict({"out": last}))
        else:
            self.classifier = last

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = torch.relu(self.features(x)).mean((2, 3))
        return (self.class_layers if hasattr(self, "class_layers") else self.classifier)(x)


def trained(network: nn.Module, seed: int = 0) -> nn.Module:
    """`network` with random weights, and with norms as after a training, for inference."""
    random = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for module in network.modules():
            if isinstance(module, nn.Conv2d | nn.Linear):
                fan = module.weight[0].numel()
                module.weight.copy_(torch.randn(module.weight.shape, generator=random) * (2 / fan) ** 0.5)
                if module.bias is not None:
                    module.bias.copy_(torch.randn(module.bias.shape, generator=random) * 0.1)
            elif isinstance(module, nn.BatchNorm1d | nn.BatchNorm2d):
                size = module.num_features
                sign = torch.where(torch.rand(size, generator=random) < 0.2, -1.0, 1.0)
                module.weight.copy_((0.5 + torch.rand(size, generator=random)) * sign)
                module.bias.copy_(torch.randn(size, generator=random) * 0.2)
                module.running_mean.copy_(torch.randn(size, generator=random) * 0.3)
                module.running_var.copy_(0.5 + torch.rand(size, generator=random))
    return network.eval()
