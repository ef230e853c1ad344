"""How a trained model is opened: what a person decides because the file does not say it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Annotated, Any, Literal, get_args

from edgedense.errors import EdgedenseError
from edgedense.flags import Flag
from edgedense.images.preprocessing import Channels

Ending = Literal["softmax", "sigmoid", "none"]
Between = Literal["relu", "elu", "tanh", "swish", "sigmoid", "none"]
OPENING = "What the model's file does not say"


def parse_channels(count: int) -> Channels:
    """1 or 3. Raises EdgedenseError for anything else."""
    if count not in get_args(Channels):
        raise EdgedenseError("--input-channels 1 or 3", str(count))
    return 1 if count == 1 else 3


def square(side: int) -> tuple[int, int]:
    """(height, width) of a square."""
    return side, side


InputSize = Annotated[
    tuple[int, int] | None,
    Flag(
        "Height and width of the network's input, in place of the model's own, or where it has none. A smaller input "
        "is faster, and loses accuracy.",
        name="--input-size",
        panel=OPENING,
        metavar="PIXELS",
        minimum=32,
        takes=int,
        read=square,
    ),
]
TrustModel = Annotated[
    bool,
    Flag(
        "Run the Python code that the model's file holds (Lambda layers), as loading it in Keras would. Say so only "
        "for a file whose origin you know: its code can do all that you can do on this machine.",
        name="--trust-model",
        panel=OPENING,
    ),
]
Output = Annotated[str | None, Flag("The output to use, of a model that has several.", panel=OPENING, metavar="NAME")]
Activation = Annotated[
    Ending | None,
    Flag(
        "What makes scores of the model's last numbers, where neither the model nor its loss says it. softmax: classes "
        "of which one is right. sigmoid: classes that are independent, or a single yes or no. none: values such as an "
        "age, which are no probabilities.",
        panel=OPENING,
    ),
]
HeadActivation = Annotated[
    Between | None,
    Flag(
        "What stands between the Dense layers of a head of several, where the file holds their weights alone. none: "
        "nothing does.",
        name="--head-activation",
        panel=OPENING,
    ),
]
Architecture = Annotated[
    str | None,
    Flag(
        "The network of a Keras file that holds weights without layers (.weights.h5, or what save_weights wrote): "
        "densenet121, densenet169 or densenet201, or how many layers each dense block has, such as 6,12,24,16.",
        panel=OPENING,
        metavar="NAME|N,N,...",
    ),
]
InputChannels = Annotated[
    Channels,
    Flag(
        "The channels of the pictures that the deployed file takes. 3: RGB pictures; where the model takes one "
        "channel, the file makes them grey as Keras' color_mode='grayscale' does. 1: grey pictures, such as X-rays "
        "that are stored so; edgedense makes RGB pictures grey before. A model that takes RGB pictures then gets the "
        "grey channel three times.",
        name="--input-channels",
        panel=OPENING,
        metavar="1|3",
        takes=int,
        read=parse_channels,
    ),
]


@dataclass(frozen=True)
class Opening:
    """What `door.read` is told beside the file.

    `size` (height, width in pixels) is needed where the model takes any size, and replaces the size that it was
    built for. `trust` runs Python code that the file holds (Lambda layers). `output` names the one output that
    counts, where the model has several. `activation` says what turns the model's last numbers into scores where
    neither its layers nor its loss say it: "softmax" for classes of which one is right, "sigmoid" for classes that
    are independent, "none" for numbers that are no probabilities, such as those of a regression. `head_activation` is
    what stands between the Dense layers of a head whose file holds weights alone, and `architecture` the network that a
    Keras file with weights alone is of: "densenet121", "densenet169", "densenet201" or the layers of its dense blocks,
    "6,12,24,16". `channels` are those of the pictures that the deployed file is to take.
    """

    size: InputSize = None
    trust: TrustModel = False
    output: Output = None
    activation: Activation = None
    head_activation: HeadActivation = None
    architecture: Architecture = None
    channels: InputChannels = 3

    @property
    def recipe(self) -> dict[str, Any]:
        """What a deployed file's recipe records of it under "source", so that `recorded` can open the model again."""
        given = {"output": self.output, "head_activation": self.head_activation, "architecture": self.architecture}
        return {name: value for name, value in given.items() if value} | ({"trusted": True} if self.trust else {})

    def at(self, size: tuple[int, int] | None) -> Opening:
        """The same at another picture size; None is the model's own."""
        return replace(self, size=size)


def recorded(recipe: Mapping[str, Any], size: tuple[int, int] | None = None, trust: bool = False) -> Opening:
    """How the model of a deployed file was opened, by its `recipe`, to open it in the same way.

    Not `trust`: a file must not say of another that its code may be run.
    """
    source = recipe.get("source", {})
    return Opening(
        size,
        trust,
        source.get("output"),
        _one_of(Ending, recipe.get("activation")),
        _one_of(Between, source.get("head_activation")),
        source.get("architecture"),
        _one_of(Channels, recipe.get("preprocessing", {}).get("channels")) or 3,
    )


def _one_of(choices: Any, value: Any) -> Any:
    return value if value in get_args(choices) else None
