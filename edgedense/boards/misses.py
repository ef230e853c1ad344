"""Which lines of data an inference has to fetch from memory, because they no longer are in the second-level cache."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence

from edgedense.boards.operators import Operator, Tensor

LINE = 64  # bytes


def misses(operators: Sequence[Operator], cache: int) -> float:
    """Lines of 64 bytes that are fetched in one inference of several, with a second-level cache of so many bytes.

    An operator reads its inputs and writes its output from one end to the other. So a tensor is still there when it,
    with all that was used since, fits into the cache, and else it is fetched whole: what is left of it goes before it
    is reached. That the runtime gives the room of a dead tensor to a new one is not modelled.
    """
    used: OrderedDict[int, int] = OrderedDict()  # tensor -> bytes, the one that was used last at the end
    fetched = 0
    for is_counted in (False, True):  # the first inference fills the cache
        for operator in operators:
            for tensor in _tensors(operator):
                distance = _distance(used, tensor, cache)
                used[tensor.number] = tensor.bytes
                used.move_to_end(tensor.number)
                fetched += tensor.bytes * (is_counted and distance > cache)
    return fetched / LINE


def _tensors(operator: Operator) -> list[Tensor]:
    given = [tensor for tensor in operator.inputs if tensor is not None]
    return list({tensor.number: tensor for tensor in (*given, *operator.outputs)}.values())


def _distance(used: OrderedDict[int, int], tensor: Tensor, cache: int) -> int:
    """Bytes of the tensor and of all that was used since, at least `cache` + 1 for one that was not used."""
    total = tensor.bytes
    for number, size in reversed(used.items()):
        if number == tensor.number or total > cache:
            return total
        total += size
    return cache + 1
