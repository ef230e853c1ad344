"""Capture and inference side by side: a stream of frames in which the newest wins.

A thread of the parent starts the capture process, takes its messages, and kills and restarts it when
frames stay away. The inference thread takes the newest frame whenever it is ready for one.
"""

from __future__ import annotations

import contextlib
import json
import mmap
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
from edgedense.device.camera.frames import SLOTS, CaptureJob, Layout
from edgedense.errors import DeviceError
from edgedense.images.preprocessing import Pixels

_FIRST_FRAME = 20.0  # seconds; a network camera may need ten to begin
_STALL = 3.0  # seconds without a frame; a slow source gets three of its periods
_BACKOFF = (0.5, 1.0, 2.0, 4.0, 8.0)  # seconds before each attempt to reopen; the last one stays
_LONG_ENOUGH = 30.0  # seconds of a run after which the attempts are counted anew
_GENTLE = 0.5  # seconds that the capture process is given to end by itself


@dataclass(frozen=True)
class Frame:
    """`picture` uint8 [H, W, 3] and `pixels` uint8 [h, w, 3], the network's input; valid until the next take.

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
    """A message about a filled slot."""

    process: _CaptureProcess
    slot: int
    number: int
    captured: float
    wall: float
    moving: bool
    resumed: bool


class _CaptureProcess:
    """One run of the capture process."""

    def __init__(self, job: CaptureJob) -> None:
        self._job = job
        self._memory_file = _unnamed_file()
        self.layout: Layout | None = None
        self.memory: mmap.mmap | None = None
        # The package is where it was found here, which need not be an installation; it must not hide other modules.
        root = str(Path(edgedense.__file__).resolve().parents[1])
        program = f"import sys; sys.path.append({root!r}); from edgedense.device.camera.capture import main; main()"
        self._process = subprocess.Popen(
            [sys.executable, "-c", program, str(self._memory_file)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            pass_fds=[self._memory_file],
            bufsize=0,
            start_new_session=True,  # a group of its own: it is killed whole, and Ctrl-C does not reach it
            env={**os.environ, "PYTHONSAFEPATH": "1"},
        )
        self._slots = self._process.stdin
        with contextlib.suppress(OSError):
            self._slots.write(json.dumps(job.to_dict()).encode() + b"\n")  # type: ignore[union-attr]
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

    def map_memory(self, height: int, width: int) -> None:
        """The pictures' size is known now, and with it that of the shared memory."""
        self.layout = Layout(height, width, self._job.height, self._job.width)
        self.memory = mmap.mmap(self._memory_file, SLOTS * self.layout.slot_bytes)

    def give_back(self, slot: int) -> None:
        """The slot can be filled again."""
        with contextlib.suppress(OSError, ValueError):  # it has ended
            self._slots.write(bytes([slot]))  # type: ignore[union-attr]

    def end(self) -> int:
        """Ask it to end, kill it and all that it started, and return its exit status. May be called again."""
        if self._process.returncode is not None:
            return self._process.returncode
        self._slots.close()  # type: ignore[union-attr]
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(_GENTLE)
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self._process.pid, signal.SIGKILL)
        status = self._process.wait()
        self._process.stdout.close()  # type: ignore[union-attr]
        os.close(self._memory_file)
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
        self._last_sign, self._run_had_frame = 0.0, False
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
        assert handed.process.layout is not None
        assert handed.process.memory is not None
        picture, pixels = handed.process.layout.views(handed.process.memory, handed.slot)
        return Frame(handed.number, handed.captured, handed.wall, picture, pixels, handed.moving, handed.resumed)

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
            started = time.monotonic()
            try:
                self._run_once()
            except DeviceError as error:
                self._lose(error)
            if self._ended or self._error:
                return
            attempt = 0 if time.monotonic() - started > _LONG_ENOUGH else attempt
            self._stop.wait(_BACKOFF[min(attempt, len(_BACKOFF) - 1)])
            attempt += 1

    def _run_once(self) -> None:
        """One run of the capture process. Raises DeviceError when it fails, ends or stalls."""
        process = _CaptureProcess(self._job)
        self._run_had_frame, self._last_sign = False, time.monotonic()
        try:
            while not (self._stop.is_set() or self._ended):
                for message in process.messages(timeout=0.1):
                    self._last_sign = time.monotonic()
                    self._handle(process, message)
                self._check_for_stall()
        except EOFError:
            raise DeviceError("the capture process to go on", f"that it ended with {process.end()}") from None
        finally:
            process.end()
            self._before, self._lost_before = self._captured, self._lost_in_capture

    def _check_for_stall(self) -> None:
        if self._run_had_frame and not self._job.drop:
            return  # it may wait for a slot
        limit = self._stall if self._run_had_frame else _FIRST_FRAME
        if time.monotonic() - self._last_sign > limit:
            raise DeviceError(
                "a picture at least every now and then",
                f"none for {limit:.0f} seconds",
                "check the cable and the power supply",
            )

    def _handle(self, process: _CaptureProcess, message: dict[str, Any]) -> None:
        if "error" in message:
            raise DeviceError(*message["error"])
        if "open" in message:
            process.map_memory(*message["open"])
        elif "slot" in message:
            self._hand_over(process, message)
        elif "end" in message:
            with self._condition:
                self._ended = True
                self._condition.notify()

    def _hand_over(self, process: _CaptureProcess, message: dict[str, Any]) -> None:
        resumed = self._end_gap(message["captured"])
        self._run_had_frame = True
        number, moving = self._before + message["number"], message["moving"]
        with self._condition:
            self._captured = number + 1
            self._lost_in_capture = self._lost_before + message["lost"]
            while self._job.drop and self._waiting:  # the newest wins, and takes over what the older one knew
                older = self._waiting.popleft()
                older.process.give_back(older.slot)
                moving, resumed = moving or older.moving, resumed or older.resumed
                self._superseded += 1
            self._waiting.append(
                _Handed(process, message["slot"], number, message["captured"], message["wall"], moving, resumed)
            )
            self._condition.notify()

    def _lose(self, error: DeviceError) -> None:
        with self._condition:
            if not self._captured or not self._job.source.is_live:
                self._error = error
                self._condition.notify()
                return
            if self._lost_at is None:
                self._lost_at, self._gaps = self._last_sign, self._gaps + 1
        self._report(f"{self._job.source} is lost, {error.found}; it will be reopened")

    def _end_gap(self, now: float) -> bool:
        """Whether a gap ends with the frame captured at `now`."""
        if self._lost_at is None:
            return False
        gap = now - self._lost_at
        with self._condition:
            self._gap_seconds, self._lost_at = self._gap_seconds + gap, None
        self._report(f"{self._job.source} is back after {gap:.1f} seconds")
        return True
