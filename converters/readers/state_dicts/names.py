"""What the libraries call the parameters of a DenseNet, brought to one set of names: torchvision's.

    conv0, norm0                                   the stem
    denseblock1.denselayer1.norm1, conv1, norm2, conv2
    transition1.norm, conv
    norm5                                          behind the last block

timm and TorchXRayVision have the same. MONAI has `denselayer1.layers.norm1`; torchvision before 2018, and with it many
CheXNet files, `denselayer1.norm.1`. In front of them stands whatever the network was wrapped in, such as
`module.densenet121.features`, and beside them the head.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from edgedense.converters.network.graph import Array
from edgedense.converters.readers.state_dicts.files import STEM, Opened
from edgedense.errors import EdgedenseError

_BODY = re.compile(r"(conv|norm|pool|relu|denseblock|transition)\d+\.")
_LAYER = re.compile(r"(denselayer\d+)\.layers\.")
_OLD = re.compile(r"(denselayer\d+\.(?:norm|conv))\.([12])\.")
_LOSS = re.compile(r"(.*\.)?(criterion|loss|loss_fn|loss_func|loss_function)\.(pos_)?weight")  # which training needs
_THRESHOLDS = "op_threshs"  # TorchXRayVision's operating points


@dataclass(frozen=True)
class Named:
    """The parameters before the head by torchvision's names, without what stands in front of them; those of the `head`
    by their own. `of_monai`: MONAI named them. `thresholds` are TorchXRayVision's, None where there are none.
    """

    body: dict[str, Array]
    head: dict[str, Array]
    of_monai: bool
    thresholds: Array | None


def named(opened: Opened) -> Named:
    """Tells body and head apart. EdgedenseError where there is no DenseNet, or more than one."""
    front = _stem(opened).removesuffix(STEM)
    body, head, of_monai, thresholds = {}, {}, False, None
    for name, array in opened.arrays.items():
        if _LOSS.fullmatch(name):
            continue
        own = name.removeprefix(front)
        if name.startswith(front) and _BODY.match(own):
            of_monai |= _LAYER.search(own) is not None
            body[_OLD.sub(r"\1\2.", _LAYER.sub(r"\1.", own))] = array
        elif name.split(".")[-1] == _THRESHOLDS:
            thresholds = array
        else:
            head[name] = array
    return Named(body, head, of_monai, thresholds)


def _stem(opened: Opened) -> str:
    stems = [name for name in opened.arrays if name == STEM or name.endswith(f".{STEM}")]
    if not stems:
        raise EdgedenseError(
            f"a DenseNet as torchvision, timm, MONAI or TorchXRayVision name its parameters, with one {STEM}",
            f"none among {len(opened.arrays)} parameters in '{opened.name}'",
            "a network that names its parameters in another way is read as ONNX (torch.onnx.export)",
        )
    if len(stems) > 1:
        found = f"{len(stems)} in '{opened.name}': {', '.join(stems)}"
        raise EdgedenseError("the weights of one network", found, "save the state_dict() of one of them")
    return stems[0]
