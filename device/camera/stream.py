"""Capture and inference side by side: a stream of frames in which the newest wins.

A thread of the parent starts the capture process, takes its messages, and kills and restarts it when
frames stay away. The inference thread takes the newest frame whenever it is ready for one.
"""

from __future__ import annotations

import contextlib
import json
import os
import select
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any

import edgedense
from edgedense.device.camera.frames import SLOTS, CaptureJob, Layout, Slot
from edgedense.errors import DeviceError
from edgedense.images.preprocessing import Pixels

_FIRST_FRAME = 20.0  # seconds; a network camera may need ten to begin
_LOADING = 60.0  # seconds until the capture process gives its first sign; a slow board reads OpenCV from a slow card
_STALL = 3.0  # seconds without a frame; a slow source gets three of its periods
_BACKOFF = (0.5, 1.0, 2.0, 4.0, 8.0)  # seconds before each attempt to reopen; the last one stays
_GOOD = 2.0  # seconds of frames after which the attempts are counted anew
_GENTLE = 0.5  # seconds that the capture process is given to end by itself


@dataclass(frozen=True)
class Frame:
    """`picture` uint8 [H, W, 3] and `pixels` uint8 [h, w, C], the network's input; valid until the next take.

    `number` counts the source's frames, `captured` is on the monotonic clock and `wall` in Unix time, in
    seconds. `moving` is always True unless the job watches for motion. `resumed` says that there was a
    gap before it.
    """

    number: int
    captured: float
    wall: float
    picture: Pixels
    pixels: Pixels
    moving: bool
    resumed: bool


@dataclass(frozen=True)
class Counts:
    """Frames that the source delivered, that were taken, and that were dropped because they came too fast
    (frames beyond the job's `fps` are not counted as dropped); gaps in the stream and their seconds."""

    captured: int
    taken: int
    dropped: int
    gaps: int
    gap_seconds: float


@dataclass(frozen=True)
class _Handed:
    """A frame, and the slot that it takes until it is given back."""

    process: _CaptureProcess
    slot: int
    frame: Frame


class _CaptureProcess:
    """One run of the capture process."""

    def __init__(self, job: CaptureJob) -> None:
        self._files = [_unnamed_file() for _ in range(SLOTS)]
        self.slots = [Slot(file) for file in self._files]
        # The package is where it was found here, which need not be an installation; it must not hide other modules.
        root = str(Path(edgedense.__file__).resolve().parents[1])
        program = f"import sys; sys.path.append({root!r}); from edgedense.device.camera.capture import main; main()"
        self._process = subprocess.Popen(
            [sys.executable, "-c", program, *map(str, self._files)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            pass_fds=self._files,
            bufsize=0,
            start_new_session=True,  # a group of its own: it is killed whole, and Ctrl-C does not reach it
            env={**os.environ, "PYTHONSAFEPATH": "1"},
        )
        self._free = self._process.stdin
        with contextlib.suppress(OSError):
            self._free.write(json.dumps(job.to_dict()).encode() + b"\n")  # type: ignore[union-attr]
        self._rest = b""

    def messages(self, timeout: float) -> Iterator[dict[str, Any]]:
        """What it says within `timeout` seconds: nothing, or one message and more. EOFError when it has
        ended.
        """
        output = self._process.stdout
        assert output is not None
        if not select.select([output], [], [], timeout)[0]:
            return
        data = output.read(1 << 16)
        if not data:
            raise EOFError
        *lines, self._rest = (self._rest + data).split(b"\n")
        yield from (json.loads(line) for line in lines)

    def give_back(self, slot: int) -> None:
        """The slot can be filled again."""
        with contextlib.suppress(OSError, ValueError):  # it has ended
            self._free.write(bytes([slot]))  # type: ignore[union-attr]

    def end(self) -> int:
        """Ask it to end, kill it and all that it started, and return its exit status. May be called again."""
        if self._process.returncode is not None:
            return self._process.returncode
        self._free.close()  # type: ignore[union-attr]
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(_GENTLE)
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self._process.pid, signal.SIGKILL)
        status = self._process.wait()
        self._process.stdout.close()  # type: ignore[union-attr]
        for file in self._files:  # frames that are still in use keep their memory
            os.close(file)
        return status


def _unnamed_file() -> int:
    """The descriptor of a file in memory, or where the system has none, of a deleted one."""
    if hasattr(os, "memfd_create"):
        return os.memfd_create("edgedense")
    with tempfile.TemporaryFile() as file:
        return os.dup(file.fileno())


class Stream:
    """The frames of a `CaptureJob`. Use it as a context manager; `take` from one thread.

    `report` is called with a sentence when the source is lost and when it is back. A source that cannot
    be opened at first raises DeviceError from `take`; one that is lost later is reopened for as long as
    it takes, unless it is a file.
    """

    def __init__(self, job: CaptureJob, report: Callable[[str], None]) -> None:
        self._job, self._report = job, report
        self._stall = max(_STALL, 3 / job.fps if job.fps else 0.0)
        self._condition = threading.Condition()
        self._waiting: deque[_Handed] = deque()
        self._held: _Handed | None = None
        self._error: Exception | None = None
        self._ended = False
        self._stop = threading.Event()
        self._captured = self._before = self._taken = self._superseded = 0
        self._lost_in_capture = self._lost_before = 0
        self._gaps, self._gap_seconds = 0, 0.0
        self._lost_at: float | None = None  # when the last frame before a gap came
        self._lost_why = ""  # what was said about this gap
        self._has_loaded = False  # in this run of the capture process
        self._first_frame: float | None = None  # of this run too
        self._last_sign, self._damage = 0.0, ""
        self._thread = threading.Thread(target=self._supervise, name="capture", daemon=True)

    def __enter__(self) -> Stream:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stop.set()
        self._thread.join()

    @property
    def ended(self) -> bool:
        """Whether a file has come to its end and its last frame was taken."""
        with self._condition:
            return self._ended and not self._waiting

    @property
    def counts(self) -> Counts:
        """What happened so far. A gap that is still open counts up to now."""
        with self._condition:
            open_gap = time.monotonic() - self._lost_at if self._lost_at is not None else 0.0
            return Counts(
                self._captured,
                self._taken,
                self._lost_in_capture + self._superseded,
                self._gaps,
                self._gap_seconds + open_gap,
            )

    @property
    def is_lost(self) -> bool:
        """Whether the source is being reopened."""
        return self._lost_at is not None

    def take(self, timeout: float) -> Frame | None:
        """The newest frame, for a file the next one; None when there is none within `timeout` seconds.

        The frame taken before becomes invalid. Raises DeviceError when the source cannot be opened.
        """
        self._release()
        with self._condition:
            self._condition.wait_for(lambda: self._waiting or self._error or self._ended, timeout)
            if self._error and not self._waiting:
                raise self._error
            if not self._waiting:
                return None
            handed = self._held = self._waiting.popleft()
            self._taken += 1
        return handed.frame

    def _release(self) -> None:
        if self._held:
            self._held.process.give_back(self._held.slot)
            self._held = None

    def _supervise(self) -> None:
        """The capture thread: whatever ends it is known to `take`, which would wait for ever otherwise."""
        try:
            self._keep_running()
        except Exception as error:
            with self._condition:
                self._error = error
                self._condition.notify()

    def _keep_running(self) -> None:
        """Run the capture process again and again, until there is a reason to stop."""
        attempt = 0
        while not self._stop.is_set():
            try:
                self._run_once()
            except DeviceError as error:
                self._lose(error)
            if self._ended or self._error:
                return
            attempt = 0 if self._good_seconds >= _GOOD else attempt
            self._stop.wait(_BACKOFF[min(attempt, len(_BACKOFF) - 1)])
            attempt += 1

    def _run_once(self) -> None:
        """One run of the capture process. Raises DeviceError when it fails, ends or stalls."""
        process = _CaptureProcess(self._job)
        self._has_loaded, self._first_frame, self._last_sign, self._damage = False, None, time.monotonic(), ""
        try:
            while not (self._stop.is_set() or self._ended):
                for message in process.messages(timeout=0.1):
                    self._handle(process, message)
                self._check_for_stall()
        except EOFError:
            raise DeviceError(
                "the capture process to go on", f"that the process which reads it ended with {process.end()}"
            ) from None
        finally:
            process.end()
            self._before, self._lost_before = self._captured, self._lost_in_capture

    @property
    def _good_seconds(self) -> float:
        """For how long frames came in this run of the capture process."""
        return self._last_sign - self._first_frame if self._first_frame is not None else 0.0

    def _check_for_stall(self) -> None:
        had_frame = self._first_frame is not None
        if had_frame and not self._job.drop:
            return  # it may wait for a slot
        limit = self._stall if had_frame else _FIRST_FRAME if self._has_loaded else _LOADING
        if time.monotonic() - self._last_sign > limit:
            damage = f"; the last one that came could not be read: {self._damage}" if self._damage else ""
            raise DeviceError(
                "a picture at least every now and then",
                f"that no {'whole ' if damage else ''}picture came for {limit:.0f} seconds{damage}",
                "check the cable and the power supply",
            )

    def _handle(self, process: _CaptureProcess, message: dict[str, Any]) -> None:
        if "error" in message:
            raise DeviceError(*message["error"])
        if "damaged" in message:
            self._damage = message["damaged"]
            return
        self._last_sign, self._has_loaded = time.monotonic(), True
        if "slot" in message:
            self._hand_over(process, message)
        elif "end" in message:
            with self._condition:
                self._ended = True
                self._condition.notify()

    def _hand_over(self, process: _CaptureProcess, message: dict[str, Any]) -> None:
        self._first_frame, self._damage = self._first_frame or self._last_sign, ""
        resumed, moving = self._end_gap(message["captured"]), message["moving"]
        number = self._before + message["number"]
        height, width = message["size"]
        layout = Layout(height, width, *self._job.preprocessing.shape)
        picture, pixels = process.slots[message["slot"]].views(layout)
        with self._condition:
            self._captured = number + 1
            self._lost_in_capture = self._lost_before + message["lost"]
            while self._job.drop and self._waiting:  # the newest wins, and takes over what the older one knew
                older = self._waiting.popleft()
                older.process.give_back(older.slot)
                moving, resumed = moving or older.frame.moving, resumed or older.frame.resumed
                self._superseded += 1
            frame = Frame(number, message["captured"], message["wall"], picture, pixels, moving, resumed)
            self._waiting.append(_Handed(process, message["slot"], frame))
            self._condition.notify()

    def _lose(self, error: DeviceError) -> None:
        with self._condition:
            if not self._captured or not self._job.source.is_live:
                self._error = error
                self._condition.notify()
                return
            if self._lost_at is None:
                self._lost_at, self._gaps = self._last_sign, self._gaps + 1
        why = error.found.removeprefix("that ")
        if why != self._lost_why:  # a camera that stays away is told of once
            self._report(f"{self._job.source} is lost: {why}. It will be opened again.")
        self._lost_why = why

    def _end_gap(self, now: float) -> bool:
        """Whether a gap ends with the frame captured at `now`."""
        if self._lost_at is None:
            return False
        gap = now - self._lost_at
        with self._condition:
            self._gap_seconds, self._lost_at, self._lost_why = self._gap_seconds + gap, None, ""
        self._report(f"{self._job.source} is back after {gap:.1f} seconds")
        return True
