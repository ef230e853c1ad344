"""Arrays out of files of weights: of Keras 3, and of Keras 1 and 2."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest

from edgedense.converters.readers.keras_weights import contents
from edgedense.converters.readers.keras_weights.contents import Contents
from edgedense.errors import EdgedenseError

KERNEL = np.arange(6.0).reshape(1, 1, 2, 3)
FOUR = [np.full(2, value) for value in (1.0, 2.0, 3.0, 4.0)]


def keras3(file: h5py.File, path: str, arrays: list[np.ndarray], name: str = "") -> None:
    """As `Model.save_weights` of Keras 3 writes a layer."""
    group = file.create_group(f"{path}/vars")
    group.attrs["name"] = name or path.split("/")[-1]
    for number, array in enumerate(arrays):
        group[str(number)] = array


def legacy(file: h5py.File, layers: dict[str, dict[str, np.ndarray]]) -> None:
    """As `save_weights` of Keras 1 and 2 writes a model."""
    file.attrs["layer_names"] = [name.encode() for name in layers]
    for layer, weights in layers.items():
        group = file.create_group(layer)
        group.attrs["weight_names"] = [name.encode() for name in weights]
        for name, array in weights.items():
            group[name] = array


def written(path: Path, write: Callable[[h5py.File], Any]) -> Contents:
    with h5py.File(path, "w") as file:
        write(file)
    return contents.read(path, path.name)


class TestKeras3:
    def test_layers_come_in_the_order_of_their_numbers(self, tmp_path: Path) -> None:
        def write(file: h5py.File) -> None:
            for number in (10, 2, 0):
                keras3(file, "layers/conv2d" + (f"_{number}" if number else ""), [KERNEL + number], f"own{number}")

        found = written(tmp_path / "w.h5", write)
        assert [layer.name for layer in found.of("conv")] == ["own0", "own2", "own10"]
        assert [layer.arrays[0].ravel()[0] for layer in found.of("conv")] == [0, 2, 10]

    def test_kinds_places_and_layers_without_weights(self, tmp_path: Path) -> None:
        def write(file: h5py.File) -> None:
            keras3(file, "layers/functional/layers/conv2d", [KERNEL])
            keras3(file, "layers/functional/layers/batch_normalization", FOUR)
            keras3(file, "layers/functional/layers/activation_3", [])
            keras3(file, "layers/dense", [np.ones((2, 3)), np.zeros(3)])
            keras3(file, "layers/dropout/seed_generator", [np.ones(2, np.uint32)])
            keras3(file, "optimizer", [np.ones(3)])

        found = written(tmp_path / "w.h5", write)
        assert [(layer.kind, layer.place) for layer in found.layers] == [
            ("dense", "layers"),
            ("norm", "layers/functional/layers"),
            ("conv", "layers/functional/layers"),
        ]
        assert found.plain == ("activation",)

    def test_half_precision(self, tmp_path: Path) -> None:
        import ml_dtypes

        def write(file: h5py.File) -> None:
            keras3(file, "layers/conv2d", [KERNEL.astype(np.float16)])
            keras3(file, "layers/conv2d_1", [KERNEL.astype(ml_dtypes.bfloat16).view(np.dtype("V2"))])

        for layer in written(tmp_path / "w.h5", write).of("conv"):
            assert layer.arrays[0].dtype == np.float64
            assert (layer.arrays[0] == KERNEL).all()

    def test_other_layers_are_refused(self, tmp_path: Path) -> None:
        with pytest.raises(EdgedenseError, match=r"'pr' \(p_re_lu\) with arrays of \[3\]"):
            written(tmp_path / "w.h5", lambda file: keras3(file, "layers/p_re_lu", [np.ones(3)], "pr"))
        with pytest.raises(EdgedenseError, match=r"'conv2d' \(conv2d\) with arrays of \[2, 3\]"):
            written(tmp_path / "w.h5", lambda file: keras3(file, "layers/conv2d", [np.ones((2, 3))]))

    def test_numbers_that_are_no_weights_are_refused(self, tmp_path: Path) -> None:
        integers, unknown = KERNEL.astype(np.int8), np.full_like(KERNEL, np.nan)
        for array, message in ((integers, "floating-point numbers; found int8"), (unknown, "NaN")):
            with pytest.raises(EdgedenseError, match=message):
                written(tmp_path / "w.h5", lambda file, array=array: keras3(file, "layers/conv2d", [array]))

    def test_what_lies_in_another_file_is_not_read(self, tmp_path: Path) -> None:
        with h5py.File(tmp_path / "other.h5", "w") as other:
            other["secret"] = KERNEL

        def link(file: h5py.File) -> None:
            keras3(file, "layers/conv2d", [])
            file["layers/conv2d/vars/0"] = h5py.ExternalLink(str(tmp_path / "other.h5"), "secret")

        def external(file: h5py.File) -> None:
            keras3(file, "layers/conv2d", [])
            (tmp_path / "raw").write_bytes(bytes(48))
            place = [(str(tmp_path / "raw"), 0, 48)]
            file.create_dataset("layers/conv2d/vars/0", KERNEL.shape, "f8", external=place)

        def virtual(file: h5py.File) -> None:
            keras3(file, "layers/conv2d", [])
            layout = h5py.VirtualLayout(KERNEL.shape, "f8")
            layout[:] = h5py.VirtualSource(str(tmp_path / "other.h5"), "secret", shape=KERNEL.shape)
            file.create_virtual_dataset("layers/conv2d/vars/0", layout)

        def huge(file: h5py.File) -> None:
            keras3(file, "layers/conv2d", [])
            file.create_dataset("layers/conv2d/vars/0", (1 << 20, 1 << 20, 2, 3), "f8", chunks=True)

        for write in (link, external, virtual, huge):
            with pytest.raises(EdgedenseError, match="weights in the file itself"):
                written(tmp_path / "w.h5", write)


class TestKeras2:
    def test_a_model_in_the_model_has_its_statistics_last(self, tmp_path: Path) -> None:
        gamma, beta, mean, variance = FOUR
        base = {
            "conv1/conv/kernel:0": KERNEL,
            "conv1/bn/gamma:0": gamma,
            "conv1/bn/beta:0": beta,
            "conv1/bn/moving_mean:0": mean,
            "conv1/bn/moving_variance:0": variance,
        }
        layers = {
            "input_1": {},
            "densenet121": base,
            "dropout_2": {},
            "fc": {"fc/kernel:0": np.ones((2, 3)), "fc/bias:0": np.zeros(3)},
        }
        found = written(tmp_path / "w.h5", lambda file: legacy(file, layers))
        assert [(layer.kind, layer.name, layer.place) for layer in found.layers] == [
            ("conv", "conv1/conv", "densenet121"),
            ("norm", "conv1/bn", "densenet121"),
            ("dense", "fc", ""),
        ]
        assert [array[0] for array in found.of("norm")[0].arrays] == [1, 2, 3, 4]
        assert found.plain == ("input", "dropout")

    def test_what_was_not_trained_stands_where_its_name_says(self, tmp_path: Path) -> None:
        """Keras 2 writes a partly frozen model in the model with its frozen layers last."""
        names = ["conv5_block10_1_conv", "conv5_block2_1_conv", "conv1/conv", "pool4_conv", "conv4_block24_2_conv"]
        base = {f"{name}/kernel:0": KERNEL for name in names}
        found = written(tmp_path / "w.h5", lambda file: legacy(file, {"densenet121": base}))
        expected = ["conv1/conv", "conv4_block24_2_conv", "pool4_conv", "conv5_block2_1_conv", "conv5_block10_1_conv"]
        assert [layer.name for layer in found.layers] == expected
        base["other/kernel:0"] = KERNEL
        found = written(tmp_path / "w.h5", lambda file: legacy(file, {"densenet121": base}))
        assert [layer.name for layer in found.layers] == [*names, "other"]

    def test_names_of_keras_1(self, tmp_path: Path) -> None:
        """Its running_std is the variance."""
        roles = ("gamma", "beta", "running_mean", "running_std")
        layers = {
            "convolution2d_1": {"convolution2d_1_W": KERNEL},
            "bn_1": {f"bn_1_{role}": array for role, array in zip(roles, FOUR, strict=True)},
            "dense_1": {"dense_1_W": np.ones((2, 3)), "dense_1_b": np.zeros(3)},
        }
        found = written(tmp_path / "w.h5", lambda file: legacy(file, layers))
        assert [layer.kind for layer in found.layers] == ["conv", "norm", "dense"]
        assert [array[0] for array in found.of("norm")[0].arrays] == [1, 2, 3, 4]

    @pytest.mark.parametrize(
        ("weights", "found"),
        [
            ({"s/gamma:0": FOUR[0], "s/beta:0": FOUR[1]}, "'s' with gamma and beta"),
            ({"d/depthwise_kernel:0": KERNEL}, "'d/depthwise_kernel:0'"),
            ({"d/bias:0": FOUR[0]}, "'d' with bias"),
        ],
    )
    def test_other_layers_are_refused(self, tmp_path: Path, weights: dict[str, np.ndarray], found: str) -> None:
        with pytest.raises(EdgedenseError, match=found):
            written(tmp_path / "w.h5", lambda file: legacy(file, {"layer": weights}))

    def test_long_lists_of_names_are_cut(self, tmp_path: Path) -> None:
        def write(file: h5py.File) -> None:
            legacy(file, {name: {f"{name}/kernel:0": KERNEL} for name in ("a", "b")})
            first, second = file.attrs["layer_names"]
            del file.attrs["layer_names"]
            file.attrs["layer_names0"], file.attrs["layer_names1"] = [first], [second]

        assert [layer.name for layer in written(tmp_path / "w.h5", write).layers] == ["a", "b"]


class TestFile:
    def test_which_files_hold_weights_alone(self, tmp_path: Path) -> None:
        path = tmp_path / "w.h5"
        written(path, lambda file: keras3(file, "layers/conv2d", [KERNEL]))
        assert contents.holds_weights_alone(path)
        with h5py.File(path, "r+") as file:
            file.attrs["model_config"] = "{}"
        assert not contents.holds_weights_alone(path)
        path.write_bytes(b"PK")
        assert not contents.holds_weights_alone(path)
        assert not contents.holds_weights_alone(tmp_path)
        assert not contents.holds_weights_alone(tmp_path / "missing.h5")

    def test_a_damaged_file_is_refused_and_never_a_traceback(self, tmp_path: Path) -> None:
        path = tmp_path / "w.h5"
        with h5py.File(path, "w") as file:
            for number in range(3):
                keras3(file, f"layers/conv2d_{number}", [KERNEL])
            legacy(file, {"a": {"a/kernel:0": KERNEL}})
        whole, random = path.read_bytes(), np.random.default_rng(0)
        refused = []
        for _ in range(200):
            data = bytearray(whole)
            for place in random.integers(8, len(data), 8):
                data[place] = random.integers(256)
            path.write_bytes(data[: random.integers(len(data) // 2, len(data) + 1)])
            try:
                contents.read(path, path.name)
            except EdgedenseError as error:
                refused.append(str(error))
        assert len(refused) > 100
        assert all("w.h5" in message for message in refused)
