"""The words of --device: which engine a device belongs to."""

from __future__ import annotations

from typing import Literal

from edgedense.device.engines import edgetpu, openvino
from edgedense.errors import EdgedenseError

Engine = Literal["litert", "edgetpu", "openvino"]


def engine_of(device: str) -> Engine:
    """What runs a model on a device such as "cpu", "coral:usb" or "openvino:gpu". Raises EdgedenseError for what is no
    device, and for "auto", which is none before somebody has chosen (see `edgedense.device.engines.choice`)."""
    if device == "cpu":
        return "litert"
    if edgetpu.parse_device(device) is not None:
        return "edgetpu"
    if openvino.parse_device(device) is not None:
        return "openvino"
    raise EdgedenseError(
        "a device: cpu, auto, coral, coral:usb, coral:pci or coral:usb:1, openvino, openvino:gpu or openvino:npu",
        repr(device),
    )
