"""`edgedense run` on a live source or a video: puts the parts together for one run."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Iterator, Sequence

from edgedense.device.camera.frames import CaptureJob
from edgedense.device.camera.readers import CameraSettings
from edgedense.device.camera.sources import Source
from edgedense.device.camera.view import View
from edgedense.device.classifier import Classifier
from edgedense.device.live.listener import Listener
from edgedense.device.live.loop import LiveRun, Summary, stop_on_signals
from edgedense.device.live.options import LiveOptions, PreviewOptions, Saving
from edgedense.device.live.output import Output
from edgedense.device.live.saving import Saver
from edgedense.device.monitor.watch import Watch
from edgedense.device.prediction import usual_doubt
from edgedense.device.preview.state import Board
from edgedense.device.versions.serving import Serving
from edgedense.errors import DeviceError, EdgedenseError
from edgedense.hosts import is_loopback
from edgedense.images.preprocessing import Preprocessing
from edgedense.notes import LOG


def capture_job(
    source: Source,
    preprocessing: Preprocessing,
    *,
    size: tuple[int, int] | None = None,
    view: View | None = None,
    fps: float | None = None,
    controls: tuple[str, ...] = (),
    live: bool = False,
    watch_motion: bool = False,
) -> CaptureJob:
    """What the capture process is to do. `controls` are rpicam-vid's, as NAME or NAME=VALUE.

    Raises EdgedenseError for what the source cannot do.
    """
    if size and not source.is_camera:
        raise EdgedenseError("a camera for --size", str(source), "leave it out: pictures are resized anyway")
    if controls and source.kind != "rpicam":
        raise EdgedenseError("the source rpicam for --control", str(source))
    if live and source.kind != "video":
        raise EdgedenseError("a video file for --live", str(source), "leave it out: other sources are live")
    pairs = [control.removeprefix("--").partition("=") for control in controls]
    camera = CameraSettings(size or CameraSettings.size, fps, tuple((name, value) for name, _, value in pairs))
    return CaptureJob(
        source,
        camera,
        view or View(),
        preprocessing,
        fps=fps,
        drop=source.is_live or live,
        paced=live,
        watch_motion=watch_motion,
    )


def run_live(
    classifier: Classifier,
    job: CaptureJob,
    options: LiveOptions,
    *,
    title: str,
    as_json: bool,
    saving: Saving | None = None,
    preview: PreviewOptions | None = None,
    watch: Watch | None = None,
    serving: Serving | None = None,
    listeners: Sequence[Listener] = (),
) -> Summary:
    """Classify until the source ends or a signal comes: results to stdout, everything else to the log.

    Raises EdgedenseError when the preview page is to show heatmaps of a file that has none.
    """
    if preview and preview.explain and not classifier.explains:
        raise EdgedenseError(
            "a file with heatmaps for --explain", f"{title}, which has none", "convert the model again with --explain"
        )
    rule = classifier.rule(options.threshold)
    output = Output(
        sys.stdout,
        classifier.labels,
        as_json=as_json,
        in_place=sys.stdout.isatty() and not options.on_change,
        independent=rule.independent,
    )
    saver = Saver(saving, LOG.warning, usual_doubt(rule)) if saving else None
    try:
        with stop_on_signals() as stop, _page(preview, title, job.source, classifier) as board:
            run = LiveRun(
                classifier,
                job,
                options,
                output,
                report=LOG.warning,
                stop=stop,
                saver=saver,
                board=board,
                watch=watch,
                serving=serving,
                listeners=listeners,
            )
            return run.run()
    finally:
        if saver:
            saver.close()


@contextlib.contextmanager
def _page(preview: PreviewOptions | None, title: str, source: Source, classifier: Classifier) -> Iterator[Board | None]:
    """The preview page's board, while the page is served; None without a page."""
    if preview is None:
        yield None
        return
    try:
        from edgedense.device.preview.address import parse_address, read_token
        from edgedense.device.preview.server import PreviewServer
    except ImportError as error:
        raise DeviceError(
            "Starlette and uvicorn for the preview page", str(error), "pip install 'edgedense[preview]'"
        ) from error
    token = read_token(preview.token_file) if preview.token_file else None
    board = Board(classifier.explains, preview.explain, classifier.preprocessing.window)
    board.update({"model": title, "source": source.title})
    server = PreviewServer(board, parse_address(preview.address or "127.0.0.1:8080"), token)
    server.start()
    LOG.info(
        f"preview at {server.url}"
        if not preview.token_file
        else f"preview at {server.url.partition('?')[0]} with the token from {preview.token_file}"
    )
    try:
        yield board
    finally:
        server.stop()


def address_needs_token(address: str | None) -> bool:
    """Whether a preview page at HOST:PORT, None for the usual address, is guarded by a token."""
    from edgedense.device.preview.address import parse_address

    return address is not None and not is_loopback(parse_address(address).host)
