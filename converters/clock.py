"""Who says how long a file takes while channels are cut: this machine, an estimate, or a board over SSH."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from edgedense.boards.estimate import estimate
from edgedense.boards.result import BoardTime
from edgedense.converters.options import Slimming
from edgedense.converters.tflite import execute

ROUNDS = 20  # inferences whose median is the time on this machine


@contextmanager
def clock(options: Slimming) -> Iterator[Callable[[bytes], BoardTime]]:
    """What gives the time of a deployed file, for as long as it is needed. A board is connected for the first file.

    Raises HostError where a board cannot be reached.
    """
    if options.on is not None:
        from edgedense.boards.measure import open_board

        with open_board(options.on) as board:
            yield board.time
    elif options.board is not None:
        board_name = options.board
        yield lambda file: estimate(file, board_name)
    else:
        yield lambda file: BoardTime("this machine", execute.latencies([file], ROUNDS)[0], None, False, None)
