"""A warning fails a test, in the processes that a test starts as well."""

from __future__ import annotations

import os

# What pyproject.toml says to pytest reaches its own process alone. Deprecations are left out here: the environment
# knows no patterns of modules, so that those in other packages (tensorflow-model-optimization and setuptools have many)
# could not be told from ours. Ours show all the same, since tests import our modules in this process too.
os.environ["PYTHONWARNINGS"] = "error,ignore::DeprecationWarning,ignore::PendingDeprecationWarning"
