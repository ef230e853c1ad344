"""How long a file takes on a board that is not there, from its operators."""

from __future__ import annotations

from collections.abc import Sequence

from edgedense.boards.coefficients import coefficients
from edgedense.boards.known import Processor, known
from edgedense.boards.misses import misses
from edgedense.boards.operators import Operator, read
from edgedense.boards.result import BoardTime
from edgedense.boards.work import parts, work
from edgedense.errors import EdgedenseError, listed


def estimate(file: bytes, board: str) -> BoardTime:
    """How long one inference of a `.tflite` file takes on one thread of `board`, estimated.

    The instructions are a sum over the operators, with coefficients that were fitted to counts. The milliseconds are
    instructions / (instructions per cycle x clock) + L2 misses x time of a miss. The same file gives the same time.

    Raises EdgedenseError for a board without an estimate, a file that is none, and an operator that was never counted.
    """
    about = known(board)
    operators = read(file)
    total = instructions(operators, about.processor)
    nanoseconds = total / about.processor.per_cycle / about.clock
    nanoseconds += misses(operators, about.processor.l2) * about.processor.miss
    return BoardTime(board, nanoseconds / 1e6, total, True, coefficients(about.processor.counted).error)


def instructions(operators: Sequence[Operator], processor: Processor) -> float:
    """The instructions of one inference on one thread. Raises EdgedenseError for operators that were never counted."""
    counted = coefficients(processor.counted)
    total = counted.call + counted.part * parts(operators)
    unknown = set()
    for operator in operators:
        found = work(operator, processor)
        if found is None or found[0] not in counted.operators:
            unknown.add(f"{operator.code} ({operator.arithmetic})" if found is None else found[0])
            continue
        kind, pieces = found
        each = counted.operators[kind]
        total += sum(each[piece] * times for piece, times in pieces.items())
    if unknown:
        raise EdgedenseError(
            "operators whose instructions were counted", listed(sorted(unknown)), "--on user@host, which measures there"
        )
    return total
