"""`Source`: a trained model that was read, wherever it came from. Nothing behind it knows where that was."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, Protocol, get_args

import numpy as np
import numpy.typing as npt

from edgedense.converters.network.graph import DenseNet
from edgedense.converters.opening import Ending
from edgedense.errors import EdgedenseError
from edgedense.images.preprocessing import ONE_CHANNEL, Normalization
from edgedense.images.steps import Size, Step

Batch = npt.NDArray[np.float32]


@dataclass(frozen=True)
class Loss:
    """The loss of one output: its name, and the activation that it applied itself, None where it applied none."""

    name: str
    activation: Literal["softmax", "sigmoid"] | None = None


class Reference(Protocol):
    """What computes the trained model's own scores and logits [B, classes], for images [B, height, width, 3]; with one
    channel where the model takes one and `readers.grey` has not seen to it yet."""

    def predict(self, batch: npt.ArrayLike) -> Batch:
        """The scores, behind the model's last activation."""

    def logits(self, batch: npt.ArrayLike) -> Batch:
        """The numbers before it; the same where there is none."""


@dataclass(frozen=True)
class Source:
    """A trained model that was read.

    The model takes pictures of height and width `size`, does `steps` to them first, with borders in the units of its
    input, and what is behind them is `network`. `network.normalization` is what the model itself does to its
    pixels. `normalized` says that this changes values: the pixels are then not normalized outside. `outside` is how
    they were, as far as the kind of model tells, and None where that is to be asked. `one_channel` says that the model
    takes one channel, whatever the network takes.

    `trained_size` is the height and width that the model was built for, None where it takes any. `backbone` are
    the numbers of a Keras model's layers before the head, as `layers.flatten` lists them. `parameters` is the count by
    part (`structure.matching.Structure`), as Keras' `model.count_params()` counts. `sha256` is that of the file, of a
    folder's sorted paths and contents, or of the weights that Keras offers; of a model in memory that of its weights,
    which `hashed` says. `loss` is what the model was trained with, as far as its file says it. `activation` says what
    the scores are, once `scores.settled` has settled it: "none" are numbers that are no probabilities. `thresholds` are
    what the score of each class must reach to count as seen, where the file says it; None for a class that it gives
    none. `notes` are remarks for the user, which `scores.settled` passes on.
    """

    network: DenseNet
    normalized: bool
    sha256: str
    name: str
    parameters: dict[str, int]
    reference: Reference
    size: Size
    steps: tuple[Step, ...] = ()
    trained_size: tuple[int, int] | None = None
    loss: Loss | None = None
    activation: Ending | None = None
    hashed: Literal["file", "weights"] = "file"
    backbone: tuple[int, ...] = ()
    outside: Normalization | None = "densenet"
    thresholds: tuple[float | None, ...] = ()
    notes: tuple[str, ...] = ()
    one_channel: bool = False

    def predict(self, batch: npt.ArrayLike) -> Batch:
        """The model's own scores [B, classes] for images [B, height, width, 3], normalized as the training did
        outside.
        """
        return self.reference.predict(batch)

    def normalization(self, wanted: Normalization | None = None) -> Normalization:
        """How pixels are normalized outside of the model: as a person `wanted` it, or not where the model does it
        itself, or as its kind says. EdgedenseError where nobody knows, or a model of one channel was normalized by
        colours.
        """
        known = wanted or ("none" if self.normalized else self.outside)
        hint = f"--preprocess {', '.join(self.normalizations[:-1])} or {self.normalizations[-1]}"
        if known is None:
            raise EdgedenseError(
                "to be told how pixels were normalized in training", f"nothing about it in {self.name}", hint
            )
        if known not in self.normalizations:
            raise EdgedenseError(
                "a normalization by one number for a model that takes one channel",
                f"--preprocess {known}, which has a number for each colour",
                hint,
            )
        return known

    @property
    def normalizations(self) -> tuple[Normalization, ...]:
        """Those that pixels can have had outside of the model."""
        return ONE_CHANNEL if self.one_channel else get_args(Normalization)

    @property
    def gives_values(self) -> bool:
        """Whether its numbers are no probabilities."""
        return self.activation == "none"

    def logits(self, batch: npt.ArrayLike) -> Batch:
        """As `predict`, before the last softmax or sigmoid; the same where the model ends in plain logits."""
        return self.reference.logits(batch)
