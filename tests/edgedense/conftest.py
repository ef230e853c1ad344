"""What the tests of the command line share."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests import models


@pytest.fixture(scope="session")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small DenseNet with five classes, as a file."""
    path = tmp_path_factory.mktemp("model") / "insects.keras"
    models.densenet().save(path)
    return path
