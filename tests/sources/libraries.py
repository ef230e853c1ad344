"""The libraries whose DenseNets are read, where they can be imported: each wants a PyTorch that it was built for."""

from __future__ import annotations

import importlib
import warnings


def importable(name: str) -> bool:
    """Whether it can be. Beside another PyTorch than its own, importing torchvision ends in an error of any kind."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            importlib.import_module(name)
        except Exception:
            return False
    return True


HERE = {name: importable(name) for name in ("torchvision", "timm", "monai.networks.nets", "torchxrayvision")}
