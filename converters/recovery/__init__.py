"""What pruning cost is won back by training against the unpruned network, without labels."""

from edgedense.converters.network.kept import Kept, identity
from edgedense.converters.recovery.checkpoint import Epoch
from edgedense.converters.recovery.loop import Course, RecoverySpec
from edgedense.converters.recovery.pictures import Pictures, find_pictures, read_pictures
from edgedense.converters.recovery.recover import Recovered, recover

__all__ = [
    "Course",
    "Epoch",
    "Kept",
    "Pictures",
    "Recovered",
    "RecoverySpec",
    "find_pictures",
    "identity",
    "read_pictures",
    "recover",
]
