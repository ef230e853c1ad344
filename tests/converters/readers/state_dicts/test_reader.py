"""PyTorch weights through the door: the same network whoever wrote them, and what has to be said."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edgedense.converters.network.graph import Activation, Affine, Array, Dense, DenseNet
from edgedense.converters.opening import Opening
from edgedense.converters.readers import door
from edgedense.converters.readers.keras import reader as keras_reader
from edgedense.converters.readers.scores import settled
from edgedense.converters.readers.source import Source
from edgedense.converters.readers.state_dicts import reader
from edgedense.errors import EdgedenseError
from tests import models, networks, reference
from tests.converters.readers.state_dicts.test_names import MONAI, OLD
from tests.state_dicts import Arrays, prefixed, renamed, state_dict, write

SIZE = (37, 48)


def read(folder: Path, arrays: Arrays, **opening: Any) -> Source:
    return door.read(write(folder / "x.safetensors", arrays), Opening(**{"size": SIZE, **opening}))


def test_files_are_told_by_their_names() -> None:
    for name in ("a.pth", "a.pt", "a.bin", "a.ckpt", "a.safetensors", "model.pth.tar"):
        assert reader.reads(name)
        assert reader.reads(Path(name))
    for other in ("a.keras", "a.h5", "densenet121:imagenet", object()):
        assert not reader.reads(other)


def test_scores_are_the_networks_own(tmp_path: Path) -> None:
    source = read(tmp_path, state_dict())
    batch = np.random.default_rng(1).normal(0, 1, (2, *SIZE, 3))
    wanted = reference.logits(source.network, batch)
    assert source.predict(batch) == pytest.approx(wanted, rel=1e-4, abs=1e-5)  # float32 against float64
    assert (source.network.height, source.network.width) == source.size == SIZE
    assert source.normalization() == "densenet"
    assert not source.normalized
    assert source.trained_size is None


def test_the_same_network_whoever_named_it(tmp_path: Path) -> None:
    plain = read(tmp_path, state_dict())
    for arrays in (
        renamed(state_dict(), *OLD),
        renamed(state_dict(), *MONAI),
        prefixed(renamed(state_dict(), *OLD), "module.densenet121."),
    ):
        assert networks.equal(read(tmp_path, arrays).network, plain.network)


def test_parameters_by_part(tmp_path: Path) -> None:
    """In block 1 the layers read 6 and 10 channels: norms of 4 arrays, 1x1 convolutions to 5 and 3x3 ones to 4."""
    found = read(tmp_path, state_dict()).parameters
    assert found["stem"] == 7 * 7 * 3 * 6 + 4 * 6
    assert found["block1"] == 4 * (6 + 10) + 5 * (6 + 10) + 2 * (4 * 5 + 9 * 5 * 4)
    assert found["transition1"] == 4 * 14 + 14 * 7
    assert found["head"] == 4 * 11
    assert found["dense1"] == 11 * 3 + 3
    kept = [array for name, array in state_dict().items() if "num_batches" not in name]
    assert sum(found.values()) == sum(array.size for array in kept)


def test_one_channel_is_left_as_it_is_and_its_normalization_asked_for(tmp_path: Path) -> None:
    source = read(tmp_path, state_dict(channels=1))
    assert source.network.stem.conv.kernel.shape[2] == 1
    with pytest.raises(EdgedenseError, match=r"how pixels were normalized.*--preprocess"):
        source.normalization()
    assert source.normalization("rescale") == "rescale"


def test_monais_normalization_is_asked_for(tmp_path: Path) -> None:
    assert read(tmp_path, renamed(state_dict(), *MONAI)).outside is None


def test_the_size_is_asked_for(tmp_path: Path) -> None:
    with pytest.raises(
        EdgedenseError, match=r"the picture size; .*'x\.safetensors', which fit any.*--input-size PIXELS"
    ):
        read(tmp_path, state_dict(), size=None)


def test_the_activation_is_asked_for(tmp_path: Path) -> None:
    source = read(tmp_path, state_dict())
    with pytest.raises(EdgedenseError, match=r"'x\.safetensors', which ends in 3 numbers.*--activation softmax"):
        settled(source)
    assert settled(source, "sigmoid")[0].network.head.steps[-1] == Activation("sigmoid")


def test_what_stands_between_layers_is_asked_for_and_taken(tmp_path: Path) -> None:
    arrays = state_dict(head=(4, 3))
    with pytest.raises(EdgedenseError, match="--head-activation"):
        read(tmp_path, arrays)
    assert read(tmp_path, arrays, head_activation="relu").network.head.steps[2] == Activation("relu")


@pytest.mark.parametrize(
    "option",
    [{"output": "a"}, {"trust": True}, {"architecture": "densenet121"}],
    ids=["output", "trust", "architecture"],
)
def test_options_that_mean_nothing_here_are_refused(tmp_path: Path, option: dict[str, Any]) -> None:
    with pytest.raises(
        EdgedenseError, match=r"another kind of model for --.*; found PyTorch weights in 'x\.safetensors'"
    ):
        read(tmp_path, state_dict(), **option)


def xrayvision(*thresholds: float) -> Arrays:
    return {**state_dict(channels=1), "op_threshs": np.array(thresholds, np.float32)}


def test_torchxrayvision_says_its_thresholds_normalization_and_sigmoid(tmp_path: Path) -> None:
    """A class that the weights were not trained for has NaN."""
    source, _ = settled(read(tmp_path, xrayvision(0.25, np.nan, 0.5)))
    assert source.thresholds == (0.25, None, 0.5)
    assert source.normalization() == "xrayvision"
    assert source.activation == "sigmoid"
    assert settled(read(tmp_path, xrayvision(np.nan, np.nan, np.nan)))[0].thresholds == ()
    assert read(tmp_path, state_dict(channels=1)).thresholds == ()


@pytest.mark.parametrize("thresholds", [(0.25, 0.5), (0.25, 0.5, 1.5), (0.25, -0.5, 0.5)])
def test_thresholds_that_cannot_be_are_refused(tmp_path: Path, thresholds: tuple[float, ...]) -> None:
    with pytest.raises(EdgedenseError, match="3 thresholds between 0 and 1; found op_threshs of shape"):
        read(tmp_path, xrayvision(*thresholds))


def test_pictures_too_small_for_the_network(tmp_path: Path) -> None:
    with pytest.raises(EdgedenseError, match="large enough"):
        read(tmp_path, state_dict(blocks=(1, 1, 1, 1, 1)), size=(32, 32))


def as_state_dict(network: DenseNet) -> Arrays:
    """The same weights in float64, with norms of the mean 0 and the variance 1."""
    arrays = Arrays()

    def conv(name: str, kernel: Array) -> None:
        arrays[f"{name}.weight"] = np.ascontiguousarray(kernel.transpose(3, 2, 0, 1))

    def norm(name: str, affine: Affine | None) -> None:
        assert affine is not None
        parts = (affine.scale, affine.shift, np.zeros_like(affine.scale), np.full_like(affine.scale, 1 - 1e-5))
        names = (f"{name}.{part}" for part in ("weight", "bias", "running_mean", "running_var"))
        arrays.update(zip(names, parts, strict=True))

    conv("conv0", network.stem.conv.kernel)
    norm("norm0", network.stem.norm)
    for number, block in enumerate(network.blocks, 1):
        for position, layer in enumerate(block.layers, 1):
            name = f"denseblock{number}.denselayer{position}"
            norm(f"{name}.norm1", layer.norm1)
            conv(f"{name}.conv1", layer.conv1.kernel)
            norm(f"{name}.norm2", layer.norm2)
            conv(f"{name}.conv2", layer.conv2.kernel)
        if block.transition is not None:
            norm(f"transition{number}.norm", block.transition.norm)
            conv(f"transition{number}.conv", block.transition.conv.kernel)
    norm("norm5", network.head.norm)
    arrays = prefixed(arrays, "features.")
    dense = next(step for step in network.head.steps if isinstance(step, Dense))
    return {**arrays, "classifier.weight": np.ascontiguousarray(dense.kernel.T), "classifier.bias": dense.bias}


def test_keras_network_with_the_same_weights_is_the_same(tmp_path: Path) -> None:
    """Strides and padding of each layer too, which weights do not say."""
    pytest.importorskip("keras")
    own = keras_reader.read(models.densenet(size=(40, 56)))
    arrays = as_state_dict(own.network)
    found, _ = settled(read(tmp_path, arrays, size=(40, 56)), "softmax")
    assert shape(found.network) == shape(own.network)
    assert {"input": 0, **found.parameters} == own.parameters
    assert found.sha256 != own.sha256
    again = as_state_dict(found.network)
    for name, array in arrays.items():
        assert again[name] == pytest.approx(array, rel=1e-12), name


def shape(value: Any) -> Any:
    """A network without the numbers in its arrays."""
    if isinstance(value, np.ndarray):
        return value.shape
    if isinstance(value, tuple):
        return tuple(map(shape, value))
    if hasattr(value, "__dataclass_fields__"):
        return type(value).__name__, [(name, shape(getattr(value, name))) for name in value.__dataclass_fields__]
    return value
