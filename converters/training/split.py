"""Training and validation pictures that share no group."""

from __future__ import annotations

import csv
import re
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt

from edgedense.converters.training.goal import Labels
from edgedense.errors import EdgedenseError
from edgedense.measures.metrics import Integers

Mask = npt.NDArray[np.bool_]


def named_groups(names: Sequence[str], group_by: str) -> list[str]:
    """The group of each picture, by its name below the data folder.

    `group_by` is a regular expression, whose first bracket (or all of the match) names the group, or a CSV file with
    a column `file` and a column `group`. Raises EdgedenseError when a picture has no group: it would stand alone
    without anyone noticing.
    """
    path = Path(group_by)
    groups = _from_table(names, path) if path.suffix == ".csv" else _from_pattern(names, group_by)
    without = [name for name, group in zip(names, groups, strict=True) if group is None]
    if without:
        raise EdgedenseError(
            f"a group for every picture by --group-by {group_by}",
            f"none for {len(without)} of {len(names)}, such as {without[0]}",
            "an expression that matches every file name, or a CSV file with columns file and group",
        )
    return [str(group) for group in groups]


def _from_pattern(names: Sequence[str], pattern: str) -> list[str | None]:
    try:
        compiled = re.compile(pattern)
    except re.error as error:
        raise EdgedenseError(
            "a regular expression for --group-by", f"{pattern!r}: {error}", r"--group-by '(patient\d+)'"
        ) from error
    matches = [compiled.search(name.rsplit("/", 1)[-1]) for name in names]
    return [None if match is None else match[1 if compiled.groups else 0] for match in matches]


def _from_table(names: Sequence[str], path: Path) -> list[str | None]:
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            rows = list(csv.DictReader(file))
    except (OSError, UnicodeDecodeError) as error:
        raise EdgedenseError("a CSV file for --group-by", f"{path}: {error}") from error
    if not rows or not {"file", "group"} <= set(rows[0]):
        raise EdgedenseError("columns file and group", f"{', '.join(rows[0]) if rows else 'no row'} in {path}")
    table = {row["file"]: row["group"] for row in rows}
    return [table.get(name, table.get(name.rsplit("/", 1)[-1])) or None for name in names]


def held_out(labels: Labels, groups: npt.ArrayLike, share: float, seed: int, names: Sequence[str]) -> Mask:
    """Which pictures validate, [N]: `share` of each class, and of each group all or none.

    labels are class indices [N], or of several findings [N, K] 1, 0 and NaN where nobody knows: then it is the share of
    the pictures with each finding and of those without it. groups [N] are any integers, `names` the classes'. Groups
    are taken in random order, whatever their size, as long as that brings the classes nearer to their share. That is
    simpler than the iterative stratification of Sechidis et al. (2011), which knows no groups. The same input gives the
    same split. Raises EdgedenseError when a class cannot be on both sides.
    """
    group = np.unique(groups, return_inverse=True)[1]
    members, kinds = _counts(labels, group, names)
    total = members.sum(axis=0)
    goal = np.minimum(np.maximum(np.round(share * total), total > 0), np.maximum(total - 1, 0))
    weight = 1 / np.maximum(total, 1) ** 2  # a class's deviation counts as a share of the class
    held, chosen = np.zeros(len(total), np.int64), np.zeros(len(members), bool)
    for candidate in np.random.default_rng(seed).permutation(len(members)):
        added = held + members[candidate]
        if np.sum(weight * (added - goal) ** 2) < np.sum(weight * (held - goal) ** 2):
            held, chosen[candidate] = added, True
    for index in np.flatnonzero(total):
        if held[index] == 0 or held[index] == total[index]:
            raise EdgedenseError(
                "pictures of every class for training and for validation",
                f"{total[index]} pictures {kinds[index]}, in {np.count_nonzero(members[:, index])} groups that are not "
                "taken apart",
                "more pictures, another --seed, or sides of your own: folders train and val, or a column split",
            )
    return chosen[group]


def _counts(labels: Labels, group: Integers, names: Sequence[str]) -> tuple[Integers, list[str]]:
    """Pictures of each kind in each group, [groups, kinds], and the kinds in words: of each class; or of several
    findings those with each of them, and those without it."""
    if labels.ndim == 2:
        members = np.zeros((group.max(initial=-1) + 1, 2 * len(names)), np.int64)
        np.add.at(members, group, np.concatenate([labels == 1, labels == 0], axis=1))
        return members, [f"{word} {name}" for word in ("with", "without") for name in names]
    members = np.zeros((group.max(initial=-1) + 1, len(names)), np.int64)
    np.add.at(members, (group, labels.astype(np.int64)), 1)
    return members, [f"of {name}" for name in names]
