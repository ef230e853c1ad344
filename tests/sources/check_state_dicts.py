"""Files that PyTorch wrote, read without running anything of theirs. Run by `make test-sources`.

Their networks compute what PyTorch computes: those of this folder, and those of the libraries themselves.
"""

from __future__ import annotations

import importlib
import io
import os
import pickle
import warnings
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from torch import nn

from edgedense.converters.opening import Between, Opening
from edgedense.converters.readers import door
from edgedense.converters.readers.source import Source
from edgedense.errors import EdgedenseError
from tests.sources.libraries import HERE
from tests.sources.networks import DenseNet, trained

SIZE = (45, 62)
# Sums of some thousand products in float32, in another order on each side.
EQUAL = 1e-5


def agree(source: Source, network: nn.Module, channels: int = 3, size: tuple[int, int] = SIZE) -> None:
    """The same logits for pictures with pixels of about -2 to 2. A single channel goes through the door three times."""
    pixels = torch.randn(2, channels, *size, generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        expected = network(pixels).numpy()
    found = source.logits(images(pixels))
    assert np.abs(found - expected).max() <= EQUAL * np.abs(expected).max()


def images(pixels: torch.Tensor) -> np.ndarray:
    """[B, channels, height, width] -> [B, height, width, 3]"""
    return pixels.expand(-1, 3, -1, -1).numpy().transpose(0, 2, 3, 1)


def read(path: Path, between: Between | None = None, size: tuple[int, int] = SIZE) -> Source:
    return door.read(path, Opening(size, head_activation=between))


def saved(path: Path, network: nn.Module, **options: Any) -> Path:
    torch.save(network.state_dict(), path, **options)
    return path


@pytest.mark.parametrize("naming", ["torchvision", "monai", "old"])
@pytest.mark.parametrize("channels", [1, 3])
def test_logits_are_pytorchs(naming: str, channels: int, tmp_path: Path) -> None:
    network = trained(DenseNet(naming=naming, channels=channels))
    source = read(saved(tmp_path / "x.pth", network))
    agree(source, network, channels)
    expected = "densenet" if naming != "monai" and channels == 3 else None
    assert source.outside == expected


def test_a_checkpoint_of_a_training_on_several_gpus(tmp_path: Path) -> None:
    """As CheXNet's: old names in a wrapper within DataParallel, a sigmoid that has no name."""
    network = trained(DenseNet(naming="old", head=nn.Sequential(nn.Linear(28, 14), nn.Sigmoid())))
    state = {f"module.densenet121.{name}": value for name, value in network.state_dict().items()}
    torch.save(
        {"epoch": 3, "arch": "DenseNet121", "state_dict": state, "optimizer": {"state": {}}}, tmp_path / "m.pth.tar"
    )
    network.classifier = network.classifier[0]
    agree(read(tmp_path / "m.pth.tar"), network)


@pytest.mark.parametrize("key", ["state_dict", "model_state_dict", "model", "weights"])
def test_weights_within_a_checkpoint(key: str, tmp_path: Path) -> None:
    network = trained(DenseNet())
    torch.save({"loss": 0.5, key: network.state_dict(), "hyper_parameters": {"lr": 0.1}}, tmp_path / "x.ckpt")
    agree(read(tmp_path / "x.ckpt"), network)


@pytest.mark.parametrize(
    ("head", "between"),
    [
        (nn.Sequential(nn.Dropout(0.5), nn.Linear(28, 3)), None),
        (nn.Sequential(nn.Linear(28, 9), nn.ReLU(), nn.Dropout(0.5), nn.Linear(9, 3)), "relu"),
        (nn.Sequential(nn.Linear(28, 9), nn.SiLU(), nn.Linear(9, 5), nn.SiLU(), nn.Linear(5, 3)), "swish"),
        (nn.Sequential(nn.Linear(28, 9), nn.BatchNorm1d(9), nn.ELU(), nn.Linear(9, 3)), "elu"),
        (nn.Sequential(nn.Linear(28, 9), nn.Tanh(), nn.BatchNorm1d(9), nn.Linear(9, 3)), "tanh"),
        (nn.Sequential(nn.Linear(28, 9), nn.Dropout(0.5), nn.Linear(9, 3)), "none"),
    ],
)
def test_heads_of_several_layers(head: nn.Module, between: Between | None, tmp_path: Path) -> None:
    network = trained(DenseNet(head=head))
    agree(read(saved(tmp_path / "x.pth", network), between), network)


@pytest.mark.parametrize("kind", [torch.float16, torch.bfloat16, torch.float64])
@pytest.mark.parametrize("suffix", [".pth", ".safetensors"])
def test_weights_in_another_precision(kind: torch.dtype, suffix: str, tmp_path: Path) -> None:
    """They are read as they are: the network that computes in float32 with them is the reference."""
    network, path = trained(DenseNet()).to(kind), tmp_path / f"x{suffix}"
    if suffix == ".pth":
        torch.save(network.state_dict(), path)
    else:
        save_file(network.state_dict(), path)
    agree(read(path), network.float())


def test_pytorchs_format_before_zip(tmp_path: Path) -> None:
    network = trained(DenseNet())
    path = saved(tmp_path / "x.pth", network, _use_new_zipfile_serialization=False)
    agree(read(path), network)


# What the libraries themselves build, those that are here, and networks of the same sizes from this folder.
def torchvisions(name: str) -> nn.Module:
    return importlib.import_module("torchvision.models").get_model(name, num_classes=7)


def timms(name: str, **options: Any) -> nn.Module:
    return importlib.import_module("timm").create_model(name, num_classes=7, **options)


def monais(channels: int = 1, dimensions: int = 2, **options: Any) -> nn.Module:
    return importlib.import_module("monai.networks.nets").DenseNet121(dimensions, channels, 7, **options)


def xrayvisions(**options: Any) -> nn.Module:
    return importlib.import_module("torchxrayvision.models").DenseNet(**options)


class Case(NamedTuple):
    """A network, the library that it needs, its channels, and what its library says of pixels."""

    build: Callable[[], nn.Module]
    library: str | None
    channels: int = 3
    outside: str | None = "densenet"


CASES = {
    "121": Case(lambda: DenseNet((6, 12, 24, 16), 32, 64), None),
    "264, narrow": Case(lambda: DenseNet((6, 12, 64, 48), 4, 8), None),
    "torchvision 121": Case(lambda: torchvisions("densenet121"), "torchvision"),
    "torchvision 161": Case(lambda: torchvisions("densenet161"), "torchvision"),
    "timm 121": Case(lambda: timms("densenet121"), "timm"),
    "MONAI 121": Case(lambda: monais(3), "monai.networks.nets", 3, None),
    "MONAI 121, grey": Case(monais, "monai.networks.nets", 1, None),
    "TorchXRayVision": Case(xrayvisions, "torchxrayvision", 1, None),
}


@pytest.mark.parametrize("name", [name for name, case in CASES.items() if HERE.get(str(case.library), True)])
def test_networks_of_full_depth(name: str, tmp_path: Path) -> None:
    case = CASES[name]
    network = trained(case.build())
    source = read(saved(tmp_path / "x.pth", network))
    agree(source, network, case.channels)
    assert source.outside == case.outside
    counted = {part: count for part, count in source.parameters.items() if count}
    assert sum(counted.values()) == sum(value.numel() for value in network.state_dict().values() if value.ndim)


THRESHOLDS = torch.tensor([0.3, float("nan"), 0.6])


def test_thresholds_beside_the_weights(tmp_path: Path) -> None:
    network = trained(DenseNet(channels=1, classes=3))
    network.register_buffer("op_threshs", THRESHOLDS)
    source = read(saved(tmp_path / "x.pth", network))
    assert source.thresholds == (pytest.approx(0.3), None, pytest.approx(0.6))
    assert source.outside == "xrayvision"
    agree(source, network, 1)


if HERE["torchxrayvision"]:

    def test_torchxrayvisions_thresholds_and_scores(tmp_path: Path) -> None:
        """The scores are its sigmoid's. It rescales them so that each threshold is at one half: the same decision."""
        network = trained(xrayvisions(num_classes=3, op_threshs=THRESHOLDS))
        source = read(saved(tmp_path / "x.pth", network))
        assert source.thresholds == (pytest.approx(0.3), None, pytest.approx(0.6))
        pixels = torch.randn(40, 1, *SIZE, generator=torch.Generator().manual_seed(2))
        with torch.no_grad():
            rescaled, logits = network(pixels).numpy(), network.classifier(network.features2(pixels))
        scores = source.predict(images(pixels))
        assert scores == pytest.approx(torch.sigmoid(logits).numpy(), rel=1e-4)
        for number in (0, 2):
            assert ((scores[:, number] >= source.thresholds[number]) == (rescaled[:, number] >= 0.5)).all()


def without_average(network: DenseNet) -> nn.Module:
    network.features.norm0 = nn.InstanceNorm2d(8, affine=True)
    return network


RELATIVES = {
    "instance norm": (
        lambda: without_average(DenseNet()),
        None,
        "norm0 without them .* as instance and group norms are",
    ),
    "deep stem": (lambda: timms("densenetblur121d"), "timm", "deep stem of three convolutions"),
    "two poolings": (lambda: timms("densenet121", global_pool="catavgmax"), "timm", "1024 inputs of classifier"),
    "MONAI, instance norms": (
        lambda: monais(norm=("instance", {"affine": True})),
        "monai.networks.nets",
        "as instance and group norms are",
    ),
    "MONAI, norms without parameters": (
        lambda: monais(norm="instance"),
        "monai.networks.nets",
        "the parameter norm0.weight; found none",
    ),
    "MONAI, volumes": (lambda: monais(dimensions=3), "monai.networks.nets", "one for volumes"),
}


@pytest.mark.parametrize("name", [name for name, (_, library, _) in RELATIVES.items() if HERE.get(str(library), True)])
def test_relatives_are_named(name: str, tmp_path: Path) -> None:
    build, _, said = RELATIVES[name]
    with pytest.raises(EdgedenseError, match=said):
        read(saved(tmp_path / "x.pth", build()))


def test_a_whole_module_is_refused_with_the_lines_that_save_its_weights(tmp_path: Path) -> None:
    network, path = trained(DenseNet()), tmp_path / "whole.pt"
    torch.save(network, path)
    with pytest.raises(EdgedenseError, match=r"the code of tests\.sources\.networks\.DenseNet to be opened") as caught:
        read(path)
    follow(caught.value, tmp_path)
    agree(read(tmp_path / "whole-weights.pth"), network)


def test_a_checkpoint_with_an_object_of_a_training(tmp_path: Path) -> None:
    network, path = trained(DenseNet()), tmp_path / "last.ckpt"
    torch.save({"state_dict": network.state_dict(), "best": np.float64(0.5), "where": Path("a")}, path)
    with pytest.raises(EdgedenseError, match=r"needs the code of .* to be opened, and that is not run") as caught:
        read(path)
    follow(caught.value, tmp_path)
    agree(read(tmp_path / "last-weights.pth"), network)


def test_torchscript_is_refused_with_the_lines_that_save_its_weights(tmp_path: Path) -> None:
    network, path = trained(DenseNet()), tmp_path / "script.pt"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # of torch.jit.trace, which wrote many files that there are
        torch.jit.trace(network, torch.zeros(1, 3, *SIZE)).save(str(path))
    with pytest.raises(EdgedenseError, match="a TorchScript archive, which is a program") as caught:
        read(path)
    follow(caught.value, tmp_path)
    agree(read(tmp_path / "script-weights.pth"), network)


def follow(error: EdgedenseError, folder: Path) -> None:
    """What the hint says, done."""
    before, lines = os.getcwd(), [line.strip() for line in error.hint.split("\n")[1:]]
    assert len(lines) == 2
    os.chdir(folder)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)  # of torch.jit.load
            exec("\n".join(lines), {})
    finally:
        os.chdir(before)


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ([1, 2], "which holds a list"),
        ({"a": torch.ones(1)}, "which holds 1 entries: a"),
        ({"conv1.weight": torch.ones(1), "layer1.0.conv1.weight": torch.ones(1)}, "a parameter named conv0.weight"),
        ({"features.conv0.weight": torch.ones(1, 1, 7, 7, dtype=torch.int8)}, "found torch.int8"),
        ({"features.conv0.weight": torch.ones(3).to_sparse()}, "found torch.float32, torch.sparse_coo"),
    ],
)
def test_other_contents_are_named(content: Any, said: str, tmp_path: Path) -> None:
    torch.save(content, tmp_path / "x.pth")
    with pytest.raises(EdgedenseError, match=said):
        read(tmp_path / "x.pth")


def test_two_sets_of_weights_are_not_chosen_from(tmp_path: Path) -> None:
    state = DenseNet().state_dict()
    torch.save({"state_dict": state, "state_dict_ema": state}, tmp_path / "x.pth")
    with pytest.raises(EdgedenseError, match=r"several in '.*': \['state_dict'\] and \['state_dict_ema'\]") as caught:
        read(tmp_path / "x.pth")
    follow(caught.value, tmp_path)
    read(tmp_path / "x-weights.pth")


def test_a_tensor_that_claims_to_be_larger_than_the_file(tmp_path: Path) -> None:
    torch.save({"features.conv0.weight": torch.ones(1).expand(1 << 20, 1 << 20)}, tmp_path / "x.pth")
    with pytest.raises(EdgedenseError, match="larger than the file"):
        read(tmp_path / "x.pth")


class Evil:
    """Unpickled by pickle itself, it writes a file."""

    def __init__(self, witness: Path) -> None:
        self.witness = witness

    def __reduce__(self) -> tuple[Any, ...]:
        return (os.system, (f"touch {self.witness}",))


def archive(path: Path, pickled: bytes, method: int = zipfile.ZIP_STORED) -> None:
    """A zip as torch.save writes it, around any pickle."""
    with zipfile.ZipFile(path, "w", method) as file:
        for name, data in (("data.pkl", pickled), ("byteorder", b"little"), ("version", b"3\n"), ("data/0", bytes(64))):
            file.writestr(f"x/{name}", data)


def test_evil_pickles_are_not_executed(tmp_path: Path) -> None:
    witness = tmp_path / "witness"
    evil = pickle.dumps({"features.conv0.weight": Evil(witness)}, 2)
    (tmp_path / "plain.pth").write_bytes(evil)
    archive(tmp_path / "zip.pth", evil)
    archive(tmp_path / "compressed.pth", evil, zipfile.ZIP_DEFLATED)
    torch.save({"features.conv0.weight": Evil(witness)}, tmp_path / "new.pth")
    torch.save({"features.conv0.weight": Evil(witness)}, tmp_path / "old.pth", _use_new_zipfile_serialization=False)
    for name in ("plain", "zip", "compressed", "new", "old"):
        with pytest.raises(EdgedenseError):
            read(tmp_path / f"{name}.pth")
    assert not witness.exists()
    pickle.loads(evil)  # the checker is right: it would have been executed
    assert witness.exists()


@pytest.mark.parametrize("zipped", [True, False], ids=["zip", "before zip"])
def test_damaged_files_are_refused_or_read_and_nothing_is_written(
    zipped: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Cut off, and with bytes changed: near the beginning, where the old format has its pickles, near the end, where a
    zip has its directory, and anywhere. In a zip every change of a weight is found out."""
    buffer = io.BytesIO()
    torch.save(trained(DenseNet()).state_dict(), buffer, _use_new_zipfile_serialization=zipped)
    whole, random, refused = buffer.getvalue(), np.random.default_rng(0), 0
    monkeypatch.chdir(tmp_path)
    for trial in range(TRIALS):
        data = bytearray(whole)
        if trial % 4 == 0:
            del data[random.integers(0, len(data)) :]
        else:
            low, high = [(0, len(data)), (0, 4000), (len(data) - 8000, len(data))][trial % 4 - 1]
            for place in random.integers(max(low, 0), min(high, len(data)), 1 + trial % 5):
                data[place] = random.integers(0, 256)
        Path("x.pth").write_bytes(data)
        try:
            read(Path("x.pth"))
        except EdgedenseError:
            refused += 1
    assert refused > TRIALS * (0.8 if zipped else 0.3)
    assert os.listdir() == ["x.pth"]


TRIALS = 100
