"""How much memory is free: what the kernel can give without swapping, and what the container may still take."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from edgedense.errors import EdgedenseError

_MEMORY_INFO, _GROUPS, _MOUNT = Path("proc/meminfo"), Path("proc/self/cgroup"), Path("sys/fs/cgroup")
# (limit, use, the entry of memory.stat with files that are only cached) of both versions of control groups
_V2 = ("memory.max", "memory.current", "inactive_file")
_V1 = ("memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file")


def available(root: Path = Path("/")) -> int | None:
    """Bytes that can still be taken; None where the system does not say, as everywhere but on Linux.

    The least of MemAvailable (proc_meminfo(5)) and of what each control group around this process has left. Memory
    that only caches files counts as free in both, swap in neither. `root` is where proc and sys are found.
    """
    found = [*_of_the_machine(root), *_of_the_groups(root)]
    return min(found) if found else None


def require(needed: int, what: str) -> None:
    """Raise EdgedenseError when `what` needs more bytes than there are free."""
    free = available()
    if free is not None and needed > free:
        raise too_little(needed, what, f"{_megabytes(free)} are free")


def too_little(needed: int, what: str, free: str) -> EdgedenseError:
    """The error that says so."""
    return EdgedenseError(
        "a picture that the free memory holds",
        f"{what}, which needs {_megabytes(needed)} where {free}",
        "save the picture smaller, or end other programs",
    )


def _megabytes(count: int) -> str:
    return f"{count / 1e6:.0f} MB"


def _of_the_machine(root: Path) -> Iterator[int]:
    for line in _text(root / _MEMORY_INFO).splitlines():
        name, _, value = line.partition(":")
        if name == "MemAvailable":
            yield int(value.split()[0]) * 1024


def _of_the_groups(root: Path) -> Iterator[int]:
    """What is left in each group that has a limit, from this process' own up to the topmost."""
    for line in _text(root / _GROUPS).splitlines():
        _, controllers, group = line.split(":", 2)
        if controllers == "":
            mount, names = root / _MOUNT, _V2
        elif "memory" in controllers.split(","):
            mount, names = root / _MOUNT / "memory", _V1
        else:
            continue
        # A container may not see the path that its group has outside: then the mount itself is the group.
        own = mount / group.lstrip("/")
        folders = [own, *own.parents] if own.is_dir() else [mount]
        for folder in folders:
            yield from _left(folder, *names)
            if folder == mount:
                break


def _left(folder: Path, limit: str, use: str, cached: str) -> Iterator[int]:
    most, used = _text(folder / limit).strip(), _text(folder / use).strip()
    if most.isdecimal() and used.isdecimal():  # "max" is no limit
        entries = dict(line.split() for line in _text(folder / "memory.stat").splitlines())
        yield max(0, int(most) - int(used) + int(entries.get(cached, 0)))


def _text(path: Path) -> str:
    try:
        return path.read_text()
    except OSError:
        return ""
