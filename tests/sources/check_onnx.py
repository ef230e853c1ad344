"""ONNX files that PyTorch's exporters, tf2onnx and Keras write compute what ONNX Runtime computes. Run by
`make test-sources`.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import keras
import numpy as np
import onnxruntime
import pytest
import tensorflow as tf
import tf2onnx
import torch
from torch import nn

from edgedense.converters.network.graph import Conv, DenseNet, FloatHead
from edgedense.converters.opening import Opening
from edgedense.converters.readers import door
from edgedense.converters.readers.keras import reader as keras_reader
from edgedense.converters.readers.source import Source
from tests import models
from tests.sources import networks
from tests.sources.networks import trained

# Sums of some thousand products in float32, in another order on each side.
EQUAL = 1e-5
# 45 and 47: each stride meets an odd height or width somewhere.
SIZES = [(64, 64), (45, 62), (47, 53)]


def agree(path: Path, opening: Opening | None = None) -> Source:
    """What is read of the file gives the logits or scores that ONNX Runtime gives, picture by picture."""
    source = door.read(path, opening)
    levels = np.random.default_rng(1).integers(0, 256, (3, *source.size, 3)).astype(np.float32)
    images = levels if source.normalized else levels / 64 - 2
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    entry = session.get_inputs()[0]
    given = images.transpose(0, 3, 1, 2) if entry.shape[1] == 3 else images
    wanted = np.concatenate([session.run(None, {entry.name: one[None]})[0] for one in given])
    found = source.predict(images)
    assert np.abs(found - wanted).max() <= EQUAL * np.abs(wanted).max()
    return source


class Block(nn.Module):
    """A dense block as torchvision computes it: before each layer all maps so far are joined anew."""

    def __init__(self, layers: nn.Module) -> None:
        super().__init__()
        self.layers = layers

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        maps = [x]
        for layer in self.layers:
            maps.append(layer._run[0](torch.cat(maps, 1)))
        return torch.cat(maps, 1)


def torchvision_net(head: Callable[[int], nn.Module] | None = None) -> nn.Module:
    """As torchvision builds and computes it, with a small growth rate."""
    network = networks.DenseNet((2, 3, 2))
    for number in (1, 2, 3):
        setattr(network.features, f"denseblock{number}", Block(getattr(network.features, f"denseblock{number}")))
    if head is not None:
        network.classifier = head(network.classifier.in_features)
    return trained(network)


def by_script(network: nn.Module, path: Path, size: tuple[int, int], **options: Any) -> None:
    _exported(network, path, size, dynamo=False, **options)


def by_script_unfolded(network: nn.Module, path: Path, size: tuple[int, int]) -> None:
    options = {"training": torch.onnx.TrainingMode.PRESERVE, "do_constant_folding": False}
    _exported(network, path, size, dynamo=False, **options)


def by_script_with_open_batch(network: nn.Module, path: Path, size: tuple[int, int]) -> None:
    axes = {"image": {0: "batch"}}
    _exported(network, path, size, dynamo=False, input_names=["image"], dynamic_axes=axes, opset_version=14)


def by_dynamo(network: nn.Module, path: Path, size: tuple[int, int]) -> None:
    """With its weights in a file beside it."""
    _exported(network, path, size, dynamo=True, external_data=True)


def _exported(network: nn.Module, path: Path, size: tuple[int, int], **options: Any) -> None:
    with warnings.catch_warnings(), torch.no_grad():
        warnings.simplefilter("ignore")  # the exporters warn of themselves
        torch.onnx.export(network, (torch.zeros(1, 3, *size),), path, verbose=False, **options)


EXPORTERS = [by_script, by_script_unfolded, by_script_with_open_batch, by_dynamo]


@pytest.mark.parametrize("export", EXPORTERS)
@pytest.mark.parametrize("size", SIZES)
def test_pytorch(tmp_path: Path, export: Callable[..., None], size: tuple[int, int]) -> None:
    export(torchvision_net(), tmp_path / "model.onnx", size)
    network = agree(tmp_path / "model.onnx").network
    assert [len(block.layers) for block in network.blocks] == [2, 3, 2]
    assert (network.stem.norm is None) == (export is not by_script_unfolded)


def test_the_same_weights_by_both_doors(tmp_path: Path) -> None:
    """Kernels of the ONNX file and of the state dict are equal to the bit, norms too where they were not folded."""
    network = trained(networks.DenseNet())
    torch.save(network.state_dict(), tmp_path / "weights.pth")
    by_script_unfolded(network, tmp_path / "model.onnx", (64, 64))
    one = door.read(tmp_path / "model.onnx").network
    two = door.read(tmp_path / "weights.pth", Opening((64, 64))).network
    assert _parts(one) == _parts(two)


def _parts(network: DenseNet) -> list[bytes]:
    """Every array of the blocks, in order."""
    found: list[bytes] = []
    for block in network.blocks:
        for layer in block.layers:
            for part in (layer.norm1, layer.conv1, layer.norm2, layer.conv2):
                assert part is not None
                found.append(part.kernel.tobytes() if isinstance(part, Conv) else part.scale.tobytes())
                found.append(part.bias.tobytes() if isinstance(part, Conv) else part.shift.tobytes())
    return found


class Normalizing(nn.Module):
    """Takes RGB pixels of 0 to 255 and does what training did to them."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network
        self.register_buffer("mean", torch.tensor([0.485, 0.456, 0.406])[:, None, None])
        self.register_buffer("std", torch.tensor([0.229, 0.224, 0.225])[:, None, None])

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return torch.sigmoid(self.network((x / 255 - self.mean) / self.std))


class Attending(nn.Module):
    """A head of self-attention over the positions of the map, and of two poolings."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.features, width = network.features, network.classifier.in_features
        self.attention = nn.MultiheadAttention(width, 2)
        self.norm = nn.LayerNorm(width)
        self.last = nn.Linear(2 * width, 4)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = torch.relu(self.features(x)).flatten(2).permute(2, 0, 1)
        x = self.norm(x + self.attention(x, x, x, need_weights=False)[0])
        return self.last(torch.cat([x.mean(0), x.amax(0)], 1))


def gelu_head(width: int) -> nn.Module:
    return nn.Sequential(nn.Linear(width, 8), nn.GELU(), nn.LayerNorm(8), nn.Dropout(0.2), nn.Linear(8, 4))


@pytest.mark.parametrize("export", EXPORTERS)
def test_heads_that_stay_float(tmp_path: Path, export: Callable[..., None]) -> None:
    for make in (lambda: torchvision_net(gelu_head), lambda: trained(Attending(torchvision_net()))):
        export(make(), tmp_path / "model.onnx", (64, 64))
        assert isinstance(agree(tmp_path / "model.onnx").network.head.steps[0], FloatHead)


@pytest.mark.parametrize("export", EXPORTERS)
def test_normalized_inside(tmp_path: Path, export: Callable[..., None]) -> None:
    export(Normalizing(torchvision_net()).eval(), tmp_path / "model.onnx", (64, 64))
    assert agree(tmp_path / "model.onnx").normalized


def by_keras(model: Any, path: Path) -> None:
    model(np.zeros((1, *[size or 64 for size in model.input_shape[1:]]), np.float32))  # a model must have been called
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)  # Keras looks for what NumPy 2 no longer has
        model.export(path, format="onnx", verbose=False)


def by_tf2onnx(model: Any, path: Path) -> None:
    image = tf.TensorSpec((None, *model.input_shape[1:]), tf.float32, name="image")
    tf2onnx.convert.from_keras(model, (image,), opset=15, output_path=str(path))


def by_tf2onnx_channels_first(model: Any, path: Path) -> None:
    image = tf.TensorSpec((None, *model.input_shape[1:]), tf.float32, name="image")
    tf2onnx.convert.from_keras(model, (image,), opset=13, inputs_as_nchw=["image"], output_path=str(path))


KERAS = [by_keras, by_tf2onnx, by_tf2onnx_channels_first]


@pytest.mark.parametrize("export", KERAS)
def test_keras(tmp_path: Path, export: Callable[..., None]) -> None:
    def rescaled(k: Any, x: Any) -> Any:
        return k.layers.Rescaling(1 / 127.5, offset=-1)(x)

    def flat(k: Any, x: Any) -> Any:
        return k.layers.Dense(4, activation="softmax")(k.layers.Flatten()(x))

    for model in (models.densenet(before=rescaled), models.densenet(size=(45, 62), head=flat)):
        export(model, tmp_path / "model.onnx")
        source = agree(tmp_path / "model.onnx")
        assert [len(b.layers) for b in source.network.blocks] == [
            len(b.layers) for b in keras_reader.read(model).network.blocks
        ]


# tf2onnx writes GELU as an operator that nobody defines, and GRU as a loop.
@pytest.mark.parametrize(
    "name", [n for n in models.FLOAT_HEADS if n not in ("GELU and LayerNormalization", "sequence")]
)
def test_heads_of_keras(tmp_path: Path, name: str) -> None:
    by_keras(models.densenet(size=(64, 64), head=models.classified(models.FLOAT_HEADS[name])), tmp_path / "model.onnx")
    assert isinstance(agree(tmp_path / "model.onnx").network.head.steps[0], FloatHead)


def test_a_sequential_keras_model_with_odd_sizes(tmp_path: Path) -> None:
    """Which tf2onnx takes from Keras itself alone."""
    by_keras(models.hostile(), tmp_path / "model.onnx")
    assert agree(tmp_path / "model.onnx").normalized


def test_a_keras_model_of_any_size(tmp_path: Path) -> None:
    by_keras(models.densenet(keras, size=(None, None)), tmp_path / "model.onnx")
    assert agree(tmp_path / "model.onnx", Opening((45, 62))).trained_size is None
