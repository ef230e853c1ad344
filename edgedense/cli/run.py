"""`edgedense run`."""

from __future__ import annotations

import sys
from typing import Annotated

from edgedense.cli.options import DeployedFile
from edgedense.device.live.options import RunOptions
from edgedense.errors import EdgedenseError
from edgedense.flags import Flag

Sources = Annotated[
    list[str] | None,
    Flag(
        "Image files, folders of images or patterns such as 'photos/*.jpg'. Or one camera, stream or video: 0 or "
        "/dev/video0 (a USB camera), rpicam or rpicam:1 (a Raspberry Pi camera), picamera2, a video file, "
        "rtsp://... or http://...",
        argument=True,
        metavar="SOURCE",
    ),
]
FirstCamera = Annotated[bool, Flag("Use the first camera that is found, in place of a SOURCE.")]


def run(model: DeployedFile, sources: Sources = None, *, camera: FirstCamera = False, options: RunOptions) -> None:
    """Classify images, a video or a camera.

    Results are printed as a table, or as JSON with --json. Every image is classified, several at the same time, and
    reported in order. From a camera or a stream the newest frame is taken, and frames that come in the meantime are
    dropped. Ctrl-C ends the run.
    """
    from edgedense.device.run import run as classify

    if camera == bool(sources):
        raise EdgedenseError(
            "either a SOURCE or --camera", "both" if camera else "neither", "edgedense run MODEL --camera"
        )
    summary = classify(model, None if camera else sources, options)
    if summary is not None:
        print(summary, file=sys.stderr)
