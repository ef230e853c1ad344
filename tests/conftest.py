"""A warning fails a test, in the processes that a test starts as well."""

from __future__ import annotations

import os

# The same filters as in pyproject.toml, which pytest applies to its own process alone. The environment knows no
# patterns: a message is its beginning, a module its whole name.
os.environ["PYTHONWARNINGS"] = ",".join(["error", "ignore::DeprecationWarning:keras.src.backend.tensorflow.core"])
