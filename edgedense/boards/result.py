"""How long one inference takes on a board."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any


@dataclass(frozen=True)
class BoardTime:
    """One inference of a file on one thread of a board.

    `board` is a name of BOARDS where the time is an estimate, and else what the machine says that it is.
    `instructions` are those of an inference, None where they are not known. `error` is how far the estimated
    instructions of other files were from the counted ones at most, as a share: 0.03 is 3 %. It is None for a
    measurement, and says nothing of the step from instructions to milliseconds.
    """

    board: str
    milliseconds: float
    instructions: float | None
    is_estimate: bool
    error: float | None

    def __str__(self) -> str:
        """ "about 61 ms on pi5, estimated", or "61.3 ms on Raspberry Pi 5 Model B Rev 1.0, measured"."""
        if self.is_estimate:
            return f"about {self.milliseconds:.{0 if self.milliseconds >= 9.95 else 1}f} ms on {self.board}, estimated"
        return f"{self.milliseconds:.2f} ms on {self.board}, measured"

    @property
    def sentence(self) -> str:
        """The same with its instructions, and how far these may be off."""
        if self.instructions is None or self.error is None:
            return str(self)
        return (
            f"{self}: {self.instructions / 1e6:.1f} M instructions, at most {100 * self.error:.1f} % off for other "
            "files; docs/boards.md says what the milliseconds assume"
        )

    def to_dict(self) -> dict[str, Any]:
        """For JSON."""
        return asdict(self)
