"""Says which libraries the sources are compared with."""

from __future__ import annotations


def pytest_report_header() -> list[str]:
    from tests.sources.libraries import HERE

    return [f"{name}: {'here' if here else 'cannot be imported beside this PyTorch'}" for name, here in HERE.items()]
