"""What is assembled of weights alone computes what PyTorch computes with them. Run by `make test-sources`."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

from edgedense.converters.network.graph import Affine, Array, Dense, Pool
from edgedense.converters.readers.assembly import LayerParts, Parts, TransitionParts, batch_norm, densenet
from edgedense.converters.readers.programs import FloatProgram
from tests.sources.networks import DenseNet, trained

# Sums of some thousand products in float32, in another order on each side.
EQUAL = 1e-5


def kernel(conv: nn.Conv2d) -> Array:
    return conv.weight.detach().double().numpy().transpose(2, 3, 1, 0)


def affine(norm: nn.BatchNorm2d) -> Affine:
    weight, bias, mean, variance = (
        tensor.detach().double().numpy() for tensor in (norm.weight, norm.bias, norm.running_mean, norm.running_var)
    )
    return batch_norm(weight, bias, mean, variance, norm.eps)


def parts(network: DenseNet) -> Parts:
    features, head = network.features, network.classifier
    return Parts(
        kernel(features.conv0),
        affine(features.norm0),
        tuple(
            tuple(
                LayerParts(affine(layer.norm1), kernel(layer.conv1), affine(layer.norm2), kernel(layer.conv2))
                for layer in block
            )
            for block in (features.denseblock1, features.denseblock2)
        ),
        (TransitionParts(affine(features.transition1.norm), kernel(features.transition1.conv)),),
        affine(features.norm5),
        (Pool("avg"), Dense(head.weight.detach().double().numpy().T, head.bias.detach().double().numpy())),
    )


# 45 and 47: each stride meets an odd height or width somewhere.
@pytest.mark.parametrize("size", [(64, 64), (45, 62), (47, 53)])
def test_padding_and_pooling_are_pytorchs(size: tuple[int, int]) -> None:
    network = trained(DenseNet())
    pixels = torch.randn(3, 3, *size, generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        expected = network(pixels).numpy()
    found = FloatProgram(densenet(parts(network), size)).logits(pixels.numpy().transpose(0, 2, 3, 1))
    assert np.abs(found - expected).max() <= EQUAL * np.abs(expected).max()
