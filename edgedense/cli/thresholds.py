"""`edgedense validate --operating-point`: thresholds for a file that was made before."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from edgedense.converters.options import THRESHOLDS, OperatingPoint, Positive
from edgedense.errors import EdgedenseError
from edgedense.flags import Flag

if TYPE_CHECKING:
    from edgedense.images.tables import Table


@dataclass(frozen=True)
class Choice:
    """By which rule thresholds are chosen, and where the file with them goes."""

    operating_point: OperatingPoint = None
    positive: Positive = None
    out: Annotated[
        Path | None,
        Flag(
            "Write MODEL with the thresholds of --operating-point to this file. Network, labels and golden samples "
            "stay as they are. It may be MODEL itself.",
            panel=THRESHOLDS,
            metavar="FILE.tflite",
            writes="file",
            needs=("--operating-point",),
        ),
    ] = None

    def make(
        self, model: Path, data: Path | Table | None, others: Mapping[str, object], threads: int | None, as_json: bool
    ) -> None:
        """Write the file, and tell what the thresholds do. `others` are parameters of what measures something else, and
        must be None."""
        from rich.console import Console

        import edgedense
        from edgedense.deployed.bundle import require_name
        from edgedense.files import check_writable
        from edgedense.measures.stored_points import ENTRY
        from edgedense.report.terminal import print_section
        from edgedense.report.wording import points_section

        if given := [f"--{name.replace('_', '-')}" for name, value in others.items() if value is not None]:
            raise EdgedenseError("--operating-point alone, which measures nothing else", " and ".join(given))
        if data is None or self.out is None:
            missing = "--data" if data is None else "--out"
            raise EdgedenseError(f"{missing} with --operating-point", "none", "--data FOLDER --out NEW.tflite")
        assert self.operating_point is not None
        require_name(self.out)
        check_writable(self.out)
        made = edgedense.choose_thresholds(model, data, self.operating_point, positive=self.positive, threads=threads)
        made.save(self.out)
        points = made.points
        if as_json:
            print(json.dumps(points.entries(len(points.points))[ENTRY], ensure_ascii=False))
        else:
            print_section(points_section(points), Console())
            print(f"{self.out}: {model.name} with these thresholds")
