"""Remarks for the user, by the logger `edgedense`: the command line prints them, a program decides for itself."""

from __future__ import annotations

import logging
from collections.abc import Iterable
from pathlib import Path

LOG = logging.getLogger("edgedense")


def tell(notes: Iterable[str], model: Path | str | None = None) -> None:
    """Log remarks, on `model` where it is given."""
    for note in notes:
        LOG.warning("%s", note if model is None else f"{model}: {note}")
