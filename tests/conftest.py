"""A warning fails a test, in the processes that a test starts as well."""

from __future__ import annotations

import pytest

# What pyproject.toml says to pytest reaches its own process alone. Deprecations are left out here: the environment
# knows no patterns of modules, so that those in other packages (tensorflow-model-optimization and setuptools have many)
# could not be told from ours. Ours show all the same, since tests import our modules in this process too.
FILTERS = "error,ignore::DeprecationWarning,ignore::PendingDeprecationWarning"
OTHERS = {"arm64", "legacy"}  # these tests install old and foreign packages, whose warnings are not ours


@pytest.fixture(autouse=True)
def warnings_end_processes(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """For as long as a test runs. Not while its fixtures of a wider scope are made: some call pip."""
    if not OTHERS & set(request.path.parts):
        monkeypatch.setenv("PYTHONWARNINGS", FILTERS)
