"""What a user may choose for a conversion. Nothing heavy is imported here: the command line's help reads it."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from functools import reduce
from pathlib import Path
from typing import Annotated, Any, Literal

from edgedense.boards.options import BOARD, ON_HOST
from edgedense.converters.opening import (
    Activation,
    Architecture,
    HeadActivation,
    InputSize,
    Opening,
    Output,
    TrustModel,
)
from edgedense.flags import Flag, options_of
from edgedense.images.decoding import Exif
from edgedense.images.depth import ChosenDepth
from edgedense.images.fitting import Fit
from edgedense.images.preprocessing import Normalization
from edgedense.images.resizing import Resize
from edgedense.images.tables import Table

Estimator = Literal["minmax", "percentile", "mse"]
Criterion = Literal["taylor", "l1", "norm", "random"]
NormForm = Literal["maximum", "depthwise"]
DEFAULT_IMAGES = 300  # more make ranges no better: their extremes are met within a few hundred pictures

PICTURES = "Pictures and preprocessing"
TARGET = "What the file is for"
QUANTIZATION = "Quantization"
ACCURACY = "How much accuracy may be lost"
THRESHOLDS = "From which score on a class counts as seen, and how sure a score is"
SMALLER = "A smaller, faster network"
RECOVERY = "Training that wins accuracy back"


def parse_names(text: str) -> tuple[str, ...]:
    """Names with commas between them."""
    return tuple(name.strip() for name in text.split(",") if name.strip())


OperatingPoint = Annotated[
    str | None,
    Flag(
        "Choose for each class the score from which on it counts as seen, on labelled pictures and with the scores of "
        "the file itself, and store it in the file, where run and all else use it. sensitivity=0.95: at least 95 % of "
        "the pictures that show the class are found, and as few others as possible are taken for it. specificity=0.9: "
        "at least 90 % of the others are left alone, and as many as possible are found. youden: the largest sum of the "
        "two. f1: the largest F1. A number such as 0.5: that score itself.",
        panel=THRESHOLDS,
        metavar="RULE",
    ),
]
Positive = Annotated[
    str | None,
    Flag(
        "Of two classes that a single score tells apart, the one that is to be found: its sensitivity is meant by "
        "--operating-point. By default it is the second label.",
        panel=THRESHOLDS,
        metavar="LABEL",
        needs=("--operating-point",),
    ),
]


# What convert and explain both take.
CalibrationImages = Annotated[int, Flag("Use at most this many pictures of --calibration.", panel=PICTURES, minimum=2)]
Preprocess = Annotated[
    Normalization | None,
    Flag(
        "How pixels were normalized in training, outside of the model. densenet: by "
        "keras.applications.densenet.preprocess_input, which is ImageNet's mean and standard deviation. rescale: to "
        "0 to 1. symmetric: to -1 to 1. xrayvision: to -1024 to 1024, as TorchXRayVision does. none: not at all. By "
        "default it is none for a model that normalizes its own input, and for others what the kind of model says: "
        "densenet for Keras, torchvision and timm. Of other kinds, and of models that take one grey channel, it is "
        "asked for."
    ),
]


@dataclass(frozen=True)
class Resizing:
    """How pictures got the size of the model's input in training, as far as a person says it.

    `shorter_side` and `crop_fraction` say the same in two ways, and are relative to the size that the model was trained
    with.
    """

    resize: Annotated[
        Resize,
        Flag(
            "How pictures were resized in training. bilinear: as by image_dataset_from_directory. nearest: as by "
            "load_img and ImageDataGenerator. pil-bilinear, pil-bicubic, pil-lanczos: as by Pillow, which smooths what "
            "gets smaller (antialiasing), and with it by torchvision's Resize, by timm, and by load_img with another "
            "interpolation. bicubic, area, lanczos3, lanczos5, gaussian, mitchellcubic: as by "
            "image_dataset_from_directory with that interpolation.",
            panel=PICTURES,
            metavar="METHOD",  # the choices side by side are wider than a terminal
        ),
    ] = "bilinear"
    fit: Annotated[
        Fit | None,
        Flag(
            "How a picture of another shape got into the input. stretch: distorted, as by Keras' loaders and by "
            "Resize((224, 224)). crop: its middle was cut out and resized, as with crop_to_aspect_ratio=True, or "
            "keep_aspect_ratio=True of load_img. pad: all of it was put on black, as with pad_to_aspect_ratio=True.",
            panel=PICTURES,
            usual="stretch, or crop with --shorter-side",
        ),
    ] = None
    shorter_side: Annotated[
        int | None,
        Flag(
            "Pictures were resized until their shorter side had so many pixels, and their middle was cut out then: 256 "
            "for Resize(256) and CenterCrop(224) of torchvision, which goes with --resize pil-bilinear.",
            panel=PICTURES,
            metavar="PIXELS",
            minimum=1,
        ),
    ] = None
    crop_fraction: Annotated[
        float | None,
        Flag(
            "The same, as the share of the shorter side that was left: timm's crop_pct, which goes with --resize "
            "pil-bicubic. With an input of 224 pixels, 0.875 is --shorter-side 256.",
            panel=PICTURES,
            metavar="FRACTION",
            above=0,
            maximum=1,
        ),
    ] = None
    exif: Annotated[
        Exif,
        Flag(
            "A camera that was held upright notes in the EXIF data that its picture must be turned. apply: turn it. "
            "ignore: leave it, as Keras' loaders and torchvision's datasets do.",
            panel=PICTURES,
        ),
    ] = "ignore"
    depth: Annotated[
        ChosenDepth,
        Flag(
            "Which value is white in grey pictures of 16 bits, such as X-rays saved as PNG. 12: 4095, because the "
            "detector measured with 12 bits. 16: 65535. 8: 65535 too, of which the high byte is taken, as TensorFlow's "
            "decoders do. auto: 12 where no such picture has a value above 4095, else 8. What is found is recorded in "
            "the file.",
            panel=PICTURES,
        ),
    ] = "auto"


@dataclass(frozen=True)
class Slimming:
    """What makes the network smaller, and mends what that cost; at most one of the first three.

    `prune_channels`: the fraction of multiply-accumulates to remove, or with a `board` of its estimated time.
    `fit_latency`: milliseconds of one inference on one thread of this machine, or of the `board` for which they are
    estimated, or of the host that they are measured `on`. `work` keeps the checkpoints of `recover`.
    """

    prune_channels: Annotated[
        float | None,
        Flag(
            "Remove channels until this fraction of the multiply-accumulates is gone, or with --board of the time that "
            "is estimated for that board. The network becomes smaller and faster, and loses accuracy, of which "
            "--recover wins a part back.",
            panel=SMALLER,
            metavar="FRACTION",
            above=0,
            below=1,
        ),
    ] = None
    fit_edgetpu: Annotated[
        bool,
        Flag(
            "Remove channels until the int8 weights fit into the Edge TPU's own memory. It need not load them again "
            "for every picture then.",
            panel=SMALLER,
        ),
    ] = False
    fit_latency: Annotated[
        float | None,
        Flag(
            "Remove channels until one inference takes at most this many milliseconds on one thread of this machine, "
            "or of the board that --board or --on names.",
            panel=SMALLER,
            metavar="MS",
            minimum=0.01,
        ),
    ] = None
    board: Annotated[str | None, replace(BOARD, panel=SMALLER, needs=("--prune-channels", "--fit-latency"))] = None
    on: Annotated[str | None, replace(ON_HOST, panel=SMALLER, needs=("--fit-latency",))] = None
    importance: Annotated[
        Criterion,
        Flag(
            "Which channels are removed first. taylor: those whose loss changes the scores least. l1: those with the "
            "smallest weights. norm: those that their batch normalization scales down most. random: any.",
            panel=SMALLER,
            needs=("--prune-channels", "--fit-edgetpu", "--fit-latency"),
        ),
    ] = "taylor"
    sparsity: Annotated[
        float | None,
        Flag(
            "Set this fraction of the weights to zero. The file gets smaller when it is compressed, for instance to be "
            "sent to many devices. It gets no faster.",
            panel=SMALLER,
            metavar="FRACTION",
            above=0,
            below=1,
        ),
    ] = None
    recover: Annotated[
        Path | Table | None,
        Flag(
            "Train the changed network to give the same scores as the original model for the pictures in this folder, "
            "or in this table (.csv or .tsv). They need no labels, but sub-folders named like the classes help, or "
            "one label for each picture.",
            panel=RECOVERY,
            metavar="FOLDER|TABLE",
            takes=Path,
            reads="folder",
        ),
    ] = None
    epochs: Annotated[
        int | None,
        Flag(
            "Train for at most this many epochs. An epoch is one pass over the pictures. The training ends earlier "
            "when --max-drop is kept.",
            panel=RECOVERY,
            minimum=1,
            usual="8",
        ),
    ] = None
    work: Annotated[
        Path | None,
        Flag(
            "The folder in which --recover keeps a checkpoint of each epoch, so that the same command goes on "
            "after an interruption. By default it is NAME.work beside NAME.tflite, and is removed at the end.",
            panel=RECOVERY,
            metavar="FOLDER",
            writes="folder",
            needs=("--recover",),
        ),
    ] = None

    @property
    def changes(self) -> bool:
        """Whether any of it changes the network before it is quantized."""
        return self.prunes or self.sparsity is not None or self.recover is not None

    @property
    def trains(self) -> bool:
        """Whether there is any training."""
        return self.sparsity is not None or self.recover is not None

    @property
    def prunes(self) -> bool:
        """Whether channels are cut."""
        return self.prune_channels is not None or self.fit_edgetpu or self.fit_latency is not None


@dataclass(frozen=True)
class Options:
    """What a user may choose for a conversion. None: found out from the model or the pictures. `opening` is how the
    model is opened. `operating_point` is a rule such as "sensitivity=0.95", by which a threshold is chosen for each
    class; `positive` is the class whose sensitivity that is, of two that a single score tells apart."""

    preprocess: Preprocess = None
    resizing: Resizing = field(default_factory=Resizing)
    calibration_images: CalibrationImages = DEFAULT_IMAGES
    force: Annotated[
        bool,
        Flag("Convert although another preprocessing suits the labelled calibration pictures better.", panel=PICTURES),
    ] = False
    opening: Opening = field(default_factory=Opening)
    target: Annotated[
        Literal["cpu", "coral"],
        Flag(
            "What runs the file: a processor such as the Raspberry Pi's, or a Coral Edge TPU. With coral, "
            "edgetpu_compiler is called where it is installed, and writes NAME_edgetpu.tflite beside NAME.tflite.",
            panel=TARGET,
        ),
    ] = "cpu"
    output_type: Annotated[
        Literal["float32", "uint8"],
        Flag(
            "The type of the file's output: probabilities in float32, or in uint8 for hardware that only computes with "
            "integers. With --target coral it is always uint8.",
            panel=TARGET,
        ),
    ] = "float32"
    explain: Annotated[
        bool,
        Flag(
            "Add the network's last feature map as a second output. A device needs it to draw heatmaps of where a "
            "class is seen.",
            panel=TARGET,
        ),
    ] = False
    unit: Annotated[
        str | None,
        Flag(
            "What the values of a model are measured in, such as months: edgedense run and the reports name it. It is "
            "for models that give values (--activation none), and the same for all of a model's.",
            panel=TARGET,
            metavar="NAME",
        ),
    ] = None
    golden_images: Annotated[
        int,
        Flag(
            "Store this many calibration pictures in the file, with the scores that they got here. Synthetic pictures "
            "are always stored. edgedense validate replays them all, and so proves that a device computes the same.",
            panel=TARGET,
            minimum=0,
        ),
    ] = 0
    ranges: Annotated[
        Estimator | None,
        Flag(
            "int8 has 256 levels, and they are spread over the range of values that a layer produces. This is how the "
            "range is estimated. minmax: from the smallest to the largest value. percentile: one picture in a hundred "
            "may be outside. mse: where the rounding error is smallest. By default each is estimated on one half of "
            "the pictures and tried on the other, and the best is taken.",
            panel=QUANTIZATION,
        ),
    ] = None
    headroom: Annotated[
        float | None,
        Flag(
            "Make the ranges this many times as wide, so that values fit that are larger than in the calibration "
            "pictures. By default this is chosen together with --ranges.",
            panel=QUANTIZATION,
            metavar="FACTOR",
            minimum=1,
            maximum=4,
        ),
    ] = None
    form: Annotated[
        NormForm,
        Flag(
            "How a batch normalization with its ReLU is computed inside of dense layers and transitions. maximum: as a "
            "comparison with one number for each channel, which is fastest. depthwise: as a multiplication and an "
            "addition, which rounds less.",
            panel=QUANTIZATION,
        ),
    ] = "maximum"
    float_layers: Annotated[
        tuple[str, ...],
        Flag(
            "Compute these layers in float32 in place of int8, with commas between their names, such as "
            "block1/layer2/growth. The layers that int8 harms most are found by edgedense inspect --layers.",
            panel=QUANTIZATION,
            metavar="NAME,...",
            takes=str,
            read=parse_names,
        ),
    ] = ()
    max_drop: Annotated[
        float | None,
        Flag(
            "Accept at most this many percentage points less accuracy on the pictures of --validation. Of a model "
            "whose classes are scored alone, as by several sigmoids, it is the mean AUROC, in points of 100. When more "
            "is lost, other ranges are tried, then operators that round less, then layers in float. When nothing "
            "helps, no file is written and the exit code is 1.",
            panel=ACCURACY,
            metavar="POINTS",
            minimum=0,
        ),
    ] = None
    operating_point: OperatingPoint = None
    positive: Positive = None
    calibrate_confidence: Annotated[
        bool,
        Flag(
            "Make the scores say how often the file is right: its last layer is scaled by one number, the temperature, "
            "which is fitted on the pictures of --validation (temperature scaling). The order of classes that exclude "
            "each other, and so the best one, stays as it is. Thresholds are chosen afterwards.",
            panel=THRESHOLDS,
        ),
    ] = False
    slimming: Slimming = field(default_factory=Slimming)


@dataclass(frozen=True)
class Reading:
    """How pictures become the input of a trained model, as in `Options`, for those who only look at it."""

    preprocess: Preprocess = None
    resizing: Resizing = field(default_factory=Resizing)
    size: InputSize = None
    trust: TrustModel = False
    output: Output = None
    activation: Activation = None
    head_activation: HeadActivation = None
    architecture: Architecture = None

    @property
    def given(self) -> dict[str, Any]:
        """What is not at its default, by name."""
        values = (
            (option.path[-1], reduce(getattr, option.path, self), option.default) for option in options_of(Reading)
        )
        return {name: value for name, value, default in values if value != default}
