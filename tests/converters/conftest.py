"""Pictures to calibrate with, shared by the tests of the converter."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.pictures import fill


@pytest.fixture(scope="session")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of 24 different pictures."""
    return fill(tmp_path_factory.mktemp("pictures"), 24)
