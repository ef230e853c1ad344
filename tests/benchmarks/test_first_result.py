"""What is said of a process that was started and ended."""

from __future__ import annotations

import sys

import pytest

from benchmarks import first_result


def test_a_process_is_measured() -> None:
    held = "held = bytearray(64 << 20)"  # bytes that a process without them does not hold
    commands = {name: [sys.executable, "-c", program] for name, program in (("little", "pass"), ("much", held))}
    found = first_result.measure(commands, rounds=1)
    assert found["much"].memory - found["little"].memory > 48 << 20
    assert found["little"].busy > 0
    assert found["little"].seconds > 0


def test_one_that_fails_says_why() -> None:
    with pytest.raises(RuntimeError, match="exit 2: no such model"):
        first_result.started([sys.executable, "-c", "import sys; print('no such model', file=sys.stderr); sys.exit(2)"])
