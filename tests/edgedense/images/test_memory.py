"""How much memory is free, read from files as Linux writes them."""

from __future__ import annotations

from pathlib import Path

import pytest

from edgedense.errors import EdgedenseError
from edgedense.images import memory

MB = 1 << 20


def system(root: Path, files: dict[str, object]) -> Path:
    for name, content in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(f"{content}\n")
    return root


def machine(free_mb: int) -> dict[str, object]:
    return {"proc/meminfo": f"MemTotal: 4000000 kB\nMemFree: 1 kB\nMemAvailable: {free_mb * 1024} kB"}


def test_what_the_machine_has(tmp_path: Path) -> None:
    assert memory.available(system(tmp_path, machine(300))) == 300 * MB


def test_the_tightest_group_around_the_process(tmp_path: Path) -> None:
    root = system(
        tmp_path,
        {
            **machine(3000),
            "proc/self/cgroup": "0::/system.slice/edgedense.service",
            "sys/fs/cgroup/system.slice/edgedense.service/memory.max": "max",
            "sys/fs/cgroup/system.slice/edgedense.service/memory.current": 50 * MB,
            "sys/fs/cgroup/system.slice/memory.max": 500 * MB,
            "sys/fs/cgroup/system.slice/memory.current": 450 * MB,
            "sys/fs/cgroup/system.slice/memory.stat": f"anon 1\ninactive_file {100 * MB}",
        },
    )
    assert memory.available(root) == 150 * MB


def test_a_container_that_does_not_see_its_own_path(tmp_path: Path) -> None:
    root = system(
        tmp_path,
        {
            **machine(3000),
            "proc/self/cgroup": "0::/docker/1234",
            "sys/fs/cgroup/memory.max": 256 * MB,
            "sys/fs/cgroup/memory.current": 56 * MB,
        },
    )
    assert memory.available(root) == 200 * MB


def test_groups_of_the_first_version(tmp_path: Path) -> None:
    root = system(
        tmp_path,
        {
            **machine(3000),
            "proc/self/cgroup": "5:cpu,cpuacct:/x\n4:memory:/jobs/one\n0::/",
            "sys/fs/cgroup/memory/jobs/one/memory.limit_in_bytes": 100 * MB,
            "sys/fs/cgroup/memory/jobs/one/memory.usage_in_bytes": 120 * MB,
            "sys/fs/cgroup/memory/jobs/one/memory.stat": f"total_inactive_file {10 * MB}",
        },
    )
    assert memory.available(root) == 0  # over its limit: less than nothing is left


def test_a_group_without_a_limit_changes_nothing(tmp_path: Path) -> None:
    root = system(tmp_path, {**machine(300), "proc/self/cgroup": "0::/", "sys/fs/cgroup/memory.max": "max"})
    assert memory.available(root) == 300 * MB


def test_a_system_that_does_not_say(tmp_path: Path) -> None:
    assert memory.available(tmp_path) is None


def test_what_does_not_fit_is_refused_with_both_numbers(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(memory, "available", lambda: 200_000_000)
    memory.require(200_000_000, "a picture")
    with pytest.raises(EdgedenseError, match="a picture, which needs 201 MB where 200 MB are free"):
        memory.require(201_000_000, "a picture")


def test_nothing_is_refused_where_nothing_is_known(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(memory, "available", lambda: None)
    memory.require(1 << 60, "a picture")
