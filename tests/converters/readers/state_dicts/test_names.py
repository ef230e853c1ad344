"""Whatever a DenseNet is wrapped in and whoever named its parameters: the same names come out."""

from __future__ import annotations

import numpy as np
import pytest

from edgedense.converters.readers.state_dicts.files import Opened
from edgedense.converters.readers.state_dicts.names import Named, named
from edgedense.errors import EdgedenseError
from tests.state_dicts import Arrays, prefixed, renamed, state_dict

OLD = [(f"{kind}{number}.", f"{kind}.{number}.") for kind in ("norm", "conv") for number in (1, 2)]
MONAI = [
    (".norm1.", ".layers.norm1."),
    (".conv1.", ".layers.conv1."),
    (".norm2.", ".layers.norm2."),
    (".conv2.", ".layers.conv2."),
    ("classifier.", "class_layers.out."),
]


def of(arrays: Arrays) -> Named:
    kept = {name: array for name, array in arrays.items() if not name.endswith("num_batches_tracked")}
    return named(Opened(kept, "x.pth", ""))


@pytest.mark.parametrize(
    "prefix", ["module.", "model.", "densenet121.", "module.densenet121.", "backbone.", "net.0.", "_orig_mod.model."]
)
def test_what_a_network_is_wrapped_in_is_left_out(prefix: str) -> None:
    plain, found = of(state_dict()), of(prefixed(state_dict(), prefix))
    assert list(found.body) == list(plain.body)
    assert list(found.head) == [f"{prefix}classifier.weight", f"{prefix}classifier.bias"]


def test_names_of_each_library() -> None:
    plain = of(state_dict())
    assert "denseblock1.denselayer2.norm1.running_mean" in plain.body
    assert "transition1.conv.weight" in plain.body
    assert not plain.of_monai
    old, monai = of(renamed(state_dict(), *OLD)), of(renamed(state_dict(), *MONAI))
    assert list(old.body) == list(monai.body) == list(plain.body)
    assert (old.of_monai, monai.of_monai) == (False, True)
    assert list(monai.head) == ["class_layers.out.weight", "class_layers.out.bias"]


def test_features_that_have_no_module_of_that_name() -> None:
    """nn.Sequential(densenet.features, ...) numbers them."""
    found = of(renamed(state_dict(), ("features.", "0."), ("classifier.", "2.")))
    assert list(found.body) == list(of(state_dict()).body)
    assert list(found.head) == ["2.weight", "2.bias"]


def test_thresholds_are_no_part_of_the_head() -> None:
    plain = of(state_dict())
    assert plain.thresholds is None
    found = of(prefixed({**state_dict(), "op_threshs": np.array([0.1, np.nan, 0.3])}, "module."))
    assert found.thresholds is not None
    assert found.thresholds[2] == 0.3
    assert len(found.head) == 2


def test_weights_of_a_loss_are_left_out() -> None:
    """Lightning saves them with the network's."""
    losses = {"criterion.pos_weight": np.ones(3), "loss_fn.weight": np.ones(3), "a.loss.pos_weight": np.ones(3)}
    found = of({**prefixed(state_dict(), "model."), **losses})
    assert list(found.head) == ["model.classifier.weight", "model.classifier.bias"]
    assert list(of({**state_dict(), "lossy.weight": np.ones((3, 3))}).head)[-1] == "lossy.weight"


def test_two_networks_are_refused_by_name() -> None:
    both = {**prefixed(state_dict(), "student."), **prefixed(state_dict(), "teacher.")}
    with pytest.raises(
        EdgedenseError, match=r"one network; found 2 in 'x\.pth': student\.features\.conv0\.weight, teacher\."
    ):
        of(both)


def test_another_kind_of_network_is_refused() -> None:
    with pytest.raises(EdgedenseError, match=r"one conv0\.weight; found none among 1 parameters in 'x\.pth'.*ONNX"):
        of({"layer1.0.conv1.weight": np.zeros((1, 1, 1, 1))})
