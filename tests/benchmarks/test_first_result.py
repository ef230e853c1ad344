"""What is said of a process that was started and ended."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from benchmarks import first_result

ROOT = Path(__file__).resolve().parents[2]
PROGRAM = """
import sys
from benchmarks.first_result import measure
held = "held = bytearray(64 << 20)"  # bytes that a process without them does not hold
commands = {name: [sys.executable, "-c", program] for name, program in (("little", "pass"), ("much", held))}
found = measure(commands, rounds=1)
print(found["much"].memory - found["little"].memory > 48 << 20, found["little"].busy > 0, found["little"].seconds > 0)
"""


def test_processes_are_measured() -> None:
    """In a process of its own: of one that a larger process starts the system says what that one held."""
    done = subprocess.run([sys.executable, "-c", PROGRAM], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout == "True True True\n"


def test_one_that_fails_says_why() -> None:
    with pytest.raises(RuntimeError, match="exit 2: no such model"):
        first_result.started([sys.executable, "-c", "import sys; print('no such model', file=sys.stderr); sys.exit(2)"])
