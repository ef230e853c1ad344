"""How many instructions each piece of work takes on a board's processor, fitted to counts.

`coefficients.json` holds them. `python tests/arm64/fit.py` makes it: it counts the instructions of several hundred
small files in an emulator, and fits these numbers to them, none negative, by least squares of the relative error.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib import resources


@dataclass(frozen=True)
class Coefficients:
    """Of one processor. `operators` has for each kind of kernel its pieces, as `work` calls them; `call` is one
    inference, `part` one part of the file that XNNPACK gets. `error` is the largest relative error of the instructions
    of whole files, none of which was fitted to."""

    call: float
    part: float
    operators: Mapping[str, Mapping[str, float]]
    error: float


@cache
def coefficients(counted: str) -> Coefficients:
    """Those that were counted on `counted`, a key of coefficients.json."""
    content = json.loads(resources.files("edgedense.boards").joinpath("coefficients.json").read_text("utf-8"))
    return Coefficients(**content[counted])
