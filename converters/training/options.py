"""What a user may choose for a training. Nothing heavy is imported here: the command line's help reads it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Annotated, Literal

from edgedense.converters.opening import Opening, Output, TrustModel
from edgedense.converters.training.augmentation import Augmentation
from edgedense.converters.training.schedule import Schedule
from edgedense.flags import Flag
from edgedense.images.preprocessing import Normalization

NETWORK = "The network"
TRAINING = "The training"
SPLIT = "Which pictures validate"


def _is_balanced(word: str) -> bool:
    return word == "balanced"


@dataclass(frozen=True)
class Options:
    """What a user may choose for a training. `fine_tuning_rate` None: a tenth of `learning_rate`."""

    weights: Annotated[
        str,
        Flag(
            "What the network begins with. imagenet: weights that Keras downloads. none: random weights. Or the file "
            "of a trained DenseNet121 of any kind that edgedense convert takes, or of its Keras weights alone. "
            "Everything but the head is taken.",
            metavar="imagenet|none|FILE",
        ),
    ] = "imagenet"
    output: Output = None
    trust: TrustModel = False
    size: Annotated[int, Flag("Height and width of the network's input.", metavar="PIXELS", minimum=32)] = 224
    head: Annotated[
        int | None,
        Flag(
            "Add a hidden layer of this many units, such as 1024, before the last layer.",
            panel=NETWORK,
            metavar="UNITS",
            minimum=1,
        ),
    ] = None
    dropout: Annotated[
        float,
        Flag(
            "The share of the last layer's inputs that each training step sets to zero at random, so that the network "
            "learns the pictures less by heart.",
            panel=NETWORK,
            metavar="SHARE",
            minimum=0,
            below=1,
        ),
    ] = 0.2
    sigmoid: Annotated[
        bool, Flag("With two classes: end in one output with a sigmoid, in place of two with a softmax.", panel=NETWORK)
    ] = False
    multi_label: Annotated[
        bool,
        Flag(
            "A picture may show several classes, one, or none, as the table says: the network ends in a sigmoid for "
            "each. What the table leaves open counts neither in training nor in the figures.",
            panel=NETWORK,
        ),
    ] = False
    normalize: Annotated[
        Normalization,
        Flag(
            "How pixels are normalized inside of the network. densenet: by "
            "keras.applications.densenet.preprocess_input. rescale: to 0 to 1. symmetric: to -1 to 1. xrayvision: to "
            "-1024 to 1024. none: not at all. A file of --weights that normalizes its own input keeps its own way.",
            name="--preprocess",
            panel=NETWORK,
        ),
    ] = "densenet"
    epochs: Annotated[
        int,
        Flag(
            "Train the whole network for at most this many epochs. An epoch is one pass over the training pictures.",
            minimum=1,
        ),
    ] = 30
    head_epochs: Annotated[
        int,
        Flag(
            "Before the whole network, train the head alone for at most this many epochs. A network that begins with "
            "--weights none has no such phase.",
            panel=TRAINING,
            minimum=0,
        ),
    ] = 5
    batch: Annotated[int, Flag("The number of pictures in a training step.", panel=TRAINING, minimum=1)] = 32
    learning_rate: Annotated[
        float,
        Flag(
            "The learning rate of the optimizer, Adam, for the head. With --weights none it is that of the whole "
            "network.",
            panel=TRAINING,
            metavar="RATE",
            above=0,
        ),
    ] = 1e-3
    fine_tuning_rate: Annotated[
        float | None,
        Flag(
            "The learning rate for the whole network, after the head was trained. By default it is a tenth of "
            "--learning-rate.",
            panel=TRAINING,
            metavar="RATE",
            above=0,
        ),
    ] = None
    schedule: Annotated[
        Schedule,
        Flag(
            "How the learning rate falls. plateau: whenever the validation loss has stopped falling, and the training "
            "ends early. cosine: along half a cosine wave over all epochs.",
            panel=TRAINING,
        ),
    ] = "plateau"
    patience: Annotated[
        int,
        Flag(
            "With --schedule plateau: end the training after this many epochs without a better validation loss. The "
            "learning rate falls after a third of them.",
            panel=TRAINING,
            metavar="EPOCHS",
            minimum=1,
        ),
    ] = 9
    validation: Annotated[
        float,
        Flag(
            "The share of the training pictures that validates in their place where there is no folder val, and no "
            "row of the split val.",
            panel=SPLIT,
            metavar="SHARE",
            above=0,
            below=1,
        ),
    ] = 0.15
    group_by: Annotated[
        str | None,
        Flag(
            "Pictures of one patient must not be on both sides of the split. Give a regular expression whose brackets "
            r"enclose what names the patient in the file name, such as '(person\d+)', or a CSV file with the columns "
            "file and group. A table with a column patient needs neither.",
            panel=SPLIT,
            metavar="REGEX|FILE.csv",
        ),
    ] = None
    balanced: Annotated[
        bool,
        Flag(
            "How much a picture counts. balanced: more in a rare class than in a frequent one, so that all classes "
            "count the same; with --multi-label, more where it shows a class than where it does not, so that both "
            "count the same. none: all pictures count the same.",
            name="--class-weights",
            panel=TRAINING,
            usual="balanced",
            takes=Literal["balanced", "none"],
            read=_is_balanced,
        ),
    ] = True
    augmentation: Augmentation = field(default_factory=Augmentation)
    seed: Annotated[
        int,
        Flag(
            "The number that all random choices follow from: the split, the first weights, the order of the pictures "
            "and how they are varied.",
            panel=TRAINING,
            minimum=0,
        ),
    ] = 0

    @property
    def opening(self) -> Opening:
        """How the file of `weights` is opened."""
        return Opening(trust=self.trust, output=self.output)
