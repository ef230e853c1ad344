"""What a user may choose for a run. Nothing heavy is imported here: the command line's help reads it."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated

from edgedense.device.camera.view import View
from edgedense.device.metrics.options import MetricsOptions
from edgedense.device.mqtt.options import MqttOptions
from edgedense.errors import EdgedenseError
from edgedense.flags import Flag

CAMERA = "Camera, stream or video"
PAGE = "Web page with picture and results"
SAVING = "Keep pictures that the model is unsure of"
MONITOR = "Tell when the pictures are no longer as usual"

THREADS = Flag(
    "How many processor cores are used. By default it is all of them, and each works on a picture of its own. The "
    "frames of a camera come one at a time: there the cores share each frame, and by default at most 4 do.",
    minimum=1,
)
DEVICE = Flag(
    "What runs the model. cpu: the processor. coral: a Coral Edge TPU, or one of several as in coral:usb or "
    "coral:pci:1. openvino: Intel's OpenVINO on the processor (extra openvino), or as in openvino:gpu or openvino:npu. "
    "auto: an Edge TPU where there is one and the file is compiled for it, or else the processor, with OpenVINO where "
    "it is installed, gives the same answers and is faster here: that is measured once.",
    metavar="DEVICE",
)


def parse_size(text: str) -> tuple[int, int]:
    """ "640x480" -> (width, height) in pixels."""
    width, _, height = text.lower().partition("x")
    if not (width.isdecimal() and height.isdecimal() and int(width) > 0 and int(height) > 0):
        raise EdgedenseError("--size WIDTHxHEIGHT in pixels", repr(text), "--size 640x480")
    return int(width), int(height)


@dataclass(frozen=True)
class LiveOptions:
    """`top` classes of those that are seen with `threshold` (see `edgedense.device.prediction.rule`), over the mean of
    `smooth` frames; with `on_change` only when what is seen is something else than before; with `when_moving` only
    while the picture moves."""

    top: Annotated[
        int,
        Flag(
            "Report this many classes, the best first. Where each class is scored alone (sigmoid), all that are seen "
            "are reported, and the next best ones until there are this many.",
            minimum=1,
        ),
    ] = 1
    threshold: Annotated[
        float | None,
        Flag(
            "Where classes exclude each other (softmax), report none that scores below this. Where each class is "
            "scored alone (sigmoid), report all that score at least this; by default each class has the threshold that "
            "the file carries for it, or else 0.5. Where one sigmoid tells two classes apart, the second one is the "
            "answer from this score on.",
            metavar="SCORE",
            minimum=0,
            maximum=1,
        ),
    ] = None
    smooth: Annotated[
        int,
        Flag(
            "Report the mean of the scores over this many frames, so that a single odd frame changes little.",
            panel=CAMERA,
            metavar="FRAMES",
            minimum=1,
        ),
    ] = 1
    on_change: Annotated[
        bool,
        Flag(
            "Report a frame only when its best class, the set of classes that are seen, or a value as it is printed "
            "changes.",
            panel=CAMERA,
        ),
    ] = False
    when_moving: Annotated[
        bool, Flag("Classify only while something moves in the picture, which saves heat and power.", panel=CAMERA)
    ] = False


@dataclass(frozen=True)
class CaptureOptions:
    """What the source is asked for. `size` is (width, height) of the camera's picture in pixels; `controls` are
    rpicam-vid's, as NAME or NAME=VALUE; `live` plays a video at its own speed."""

    fps: Annotated[
        float | None, Flag("Take at most this many frames a second.", panel=CAMERA, metavar="FRAMES", minimum=0.01)
    ] = None
    live: Annotated[
        bool, Flag("Play a video file at its own speed, and drop frames as with a camera.", panel=CAMERA)
    ] = False
    size: Annotated[
        tuple[int, int] | None,
        Flag(
            "The size of the picture that the camera is asked for, in pixels.",
            panel=CAMERA,
            metavar="WIDTHxHEIGHT",
            usual="640x480",
            takes=str,
            read=parse_size,
        ),
    ] = None
    controls: Annotated[
        tuple[str, ...],
        Flag(
            "An option for the program rpicam-vid, such as exposure=sport or hdr. It may be given more than once.",
            name="--control",
            panel=CAMERA,
            metavar="NAME[=VALUE]",
            takes=list[str],
            read=tuple,
        ),
    ] = ()


@dataclass(frozen=True)
class PreviewOptions:
    """The preview page: served at `address`, HOST:PORT or None for the usual one, to those who know the token in
    `token_file`; `explain` lays heatmaps over its pictures from the start."""

    preview: Annotated[bool, Flag("Serve a web page that shows the picture and the results.", panel=PAGE)] = False
    address: Annotated[
        str | None,
        Flag(
            "Serve the page at this address. At any other than 127.0.0.1 it asks for a token, since others in the "
            "network can open it then.",
            name="--preview-address",
            panel=PAGE,
            metavar="HOST:PORT",
            usual="127.0.0.1:8080",
        ),
    ] = None
    token_file: Annotated[
        Path | None,
        Flag(
            "A file that holds the page's token. By default a new token is made and printed.",
            name="--preview-token-file",
            panel=PAGE,
            reads="file",
            secret=True,
            needs=("--preview", "--preview-address"),
        ),
    ] = None
    explain: Annotated[
        bool,
        Flag(
            "Show on the page, from the start, where in the picture the best class is seen. The file must be made with "
            "edgedense convert --explain. The page then has a button for it too.",
            panel=PAGE,
        ),
    ] = False

    @property
    def is_wanted(self) -> bool:
        """Whether there is a page."""
        return self.preview or self.address is not None


@dataclass(frozen=True)
class Saving:
    """Save to `folder` what the model is less sure of than `below` (see `edgedense.device.prediction.doubt`; None for
    what is usual with its kind of answer), until the folder holds `cap` MB or the disk has only `floor` MB
    left. Nothing is saved without a folder."""

    folder: Annotated[
        Path | None,
        Flag(
            "Keep frames of which the model is unsure in this folder, at most one a second.",
            name="--save",
            panel=SAVING,
            writes="folder",
        ),
    ] = None
    below: Annotated[
        float | None,
        Flag(
            "Keep frames whose best score is below this. Where each class is scored alone, keep frames in which one is "
            "this near to its threshold: 0.5 is at the threshold, and 1 is furthest from it.",
            name="--save-below",
            panel=SAVING,
            metavar="SCORE",
            minimum=0,
            maximum=1,
            usual="0.5; 0.75 with two classes, or with classes that are scored alone",
            needs=("--save",),
        ),
    ] = None
    cap: Annotated[
        float,
        Flag(
            "Keep no more frames once the folder holds this many megabytes.",
            name="--save-cap",
            panel=SAVING,
            metavar="MB",
            above=0,
            needs=("--save",),
        ),
    ] = 500
    floor: Annotated[
        float,
        Flag(
            "Keep no more frames when the disk has less than this many megabytes free.",
            name="--save-floor",
            panel=SAVING,
            metavar="MB",
            minimum=0,
            needs=("--save",),
        ),
    ] = 1000


@dataclass(frozen=True)
class MonitorOptions:
    """A monitor that keeps what it has learned in the file `state`; `baseline` is a folder of images to begin with.
    There is none without a state."""

    state: Annotated[
        Path | None,
        Flag(
            "Watch whether pictures and predictions are as usual, and tell when they are not. What is usual is learned "
            "in the first 24 hours, and kept in this file.",
            name="--monitor",
            panel=MONITOR,
            writes="file",
        ),
    ] = None
    baseline: Annotated[
        Path | None,
        Flag(
            "Learn what is usual from the images in this folder, such as the calibration pictures, where the file of "
            "--monitor does not exist yet.",
            name="--monitor-baseline",
            panel=MONITOR,
            reads="folder",
            needs=("--monitor",),
        ),
    ] = None


@dataclass(frozen=True)
class RunOptions:
    """All that a user may choose for a run. `labels` is a text file with one class name a line."""

    live: LiveOptions = field(default_factory=LiveOptions)
    as_json: Annotated[
        bool, Flag("Print one JSON object per line, for programs that read the results.", name="--json")
    ] = False
    device: Annotated[str, DEVICE] = "cpu"
    threads: Annotated[int | None, THREADS] = None
    labels: Annotated[
        Path | None,
        Flag(
            "A text file with the class names, one per line, to be used in place of those in the model.", reads="file"
        ),
    ] = None
    capture: CaptureOptions = field(default_factory=CaptureOptions)
    view: View = field(default_factory=View)
    preview: PreviewOptions = field(default_factory=PreviewOptions)
    saving: Saving = field(default_factory=Saving)
    monitor: MonitorOptions = field(default_factory=MonitorOptions)
    mqtt: MqttOptions = field(default_factory=MqttOptions)
    metrics: MetricsOptions = field(default_factory=MetricsOptions)
