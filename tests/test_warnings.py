"""The rule that a warning fails a test is in force."""

from __future__ import annotations

import subprocess
import sys
import warnings

import pytest

WARN = "import warnings; warnings.warn('beware', {})"


def test_a_warning_is_an_error_here() -> None:
    for kind in (DeprecationWarning, RuntimeWarning, UserWarning):
        with pytest.raises(kind, match="beware"):
            warnings.warn("beware", kind, stacklevel=1)


@pytest.mark.parametrize("kind", ["UserWarning", "RuntimeWarning", "FutureWarning"])
def test_a_warning_is_an_error_in_a_process_that_a_test_starts(kind: str) -> None:
    done = subprocess.run([sys.executable, "-c", WARN.format(kind)], capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert "beware" in done.stderr


def test_a_deprecation_there_may_be_of_somebody_elses_code() -> None:
    subprocess.run([sys.executable, "-c", WARN.format("DeprecationWarning")], check=True)
