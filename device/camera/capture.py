"""The capture process: reads, turns, crops and resizes frames, off the inference thread.

It runs in a process of its own because a camera driver that hangs cannot be stopped in any other way than by
killing its process. `stream.py` starts it, and kills it with everything that it has started.
"""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import select
import sys
import threading
import time
from collections.abc import Iterator
from typing import Any, NamedTuple

from edgedense.device.camera.frames import SLOTS, CaptureJob, Layout, Slot
from edgedense.device.camera.motion import MotionDetector
from edgedense.device.camera.readers import RawFrame, die_with_parent, end_programs, network_fault, read_frames
from edgedense.errors import DeviceError, EdgedenseError
from edgedense.images import memory
from edgedense.images.decoding import decode
from edgedense.images.preprocessing import Pixels, prepare

_ALIVE_INTERVAL = 0.5  # seconds between signs of life while no frame is handed over
_JITTER = 0.005  # seconds
_MOST_DAMAGED = 30  # pictures in a row


class _Numbered(NamedTuple):
    number: int
    frame: RawFrame


class _ParentGoneError(Exception):
    """Nobody takes frames any more."""


class _Newest:
    """Reads frames in a thread and keeps the newest, so that no pipe or driver queues old ones."""

    def __init__(self, frames: Iterator[RawFrame]) -> None:
        self._condition = threading.Condition()
        self._newest: _Numbered | None = None
        self._error: BaseException | None = None
        self._ended = False
        threading.Thread(target=self._read, args=(frames,), daemon=True).start()

    def _read(self, frames: Iterator[RawFrame]) -> None:
        error: BaseException | None = None
        try:
            for number, frame in enumerate(frames):
                with self._condition:
                    self._newest = _Numbered(number, frame)
                    self._condition.notify()
        except BaseException as raised:
            error = raised
        with self._condition:
            self._error, self._ended = error, True
            self._condition.notify()

    def take(self, timeout: float) -> _Numbered | None:
        """The newest frame, or None when there is none in time. Raises what ended the reading."""
        with self._condition:
            self._condition.wait_for(lambda: self._newest or self._ended, timeout)
            newest, self._newest = self._newest, None
            if newest is None and self._ended:
                raise self._error or EOFError
            return newest


class _Parent:
    """The parent's end: the messages to it, and the free slots from it."""

    def __init__(self, slots_in: int, messages_out: int) -> None:
        self._slots_in, self._messages_out = slots_in, messages_out
        self._free = list(range(SLOTS))
        self._last_sign = 0.0

    def send(self, **message: Any) -> None:
        """One line of JSON."""
        try:
            os.write(self._messages_out, json.dumps(message).encode() + b"\n")
        except OSError as error:
            raise _ParentGoneError from error
        self._last_sign = time.monotonic()

    def sign_of_life(self) -> None:
        """Tell that frames come although none is handed over."""
        if time.monotonic() - self._last_sign > _ALIVE_INTERVAL:
            self.send(alive=True)

    def free_slot(self, wait: bool) -> int | None:
        """A slot to fill; None when there is none and `wait` is False. Raises _ParentGoneError at the end."""
        self._receive(0.0)
        while not self._free and wait:
            self._receive(None)
        return self._free.pop() if self._free else None

    def take_back(self, slot: int) -> None:
        """A slot that was not filled after all."""
        self._free.append(slot)

    def check(self) -> None:
        """Raises _ParentGoneError when the parent has closed its end."""
        self._receive(0.0)

    def _receive(self, timeout: float | None) -> None:
        while select.select([self._slots_in], [], [], timeout)[0]:
            returned = os.read(self._slots_in, 64)
            if not returned:
                raise _ParentGoneError
            self._free += returned
            timeout = 0.0


class _Cap:
    """Lets through at most `fps` frames a second of the source's own clock."""

    def __init__(self, fps: float | None) -> None:
        self._period = 1 / fps if fps else 0.0
        self._due = float("-inf")

    def admits(self, at: float) -> bool:
        """Whether the frame captured at `at` seconds is due. Cameras jitter: a few milliseconds are forgiven."""
        if at < self._due - min(_JITTER, 0.1 * self._period):
            return False
        is_late = at - self._due > self._period  # by a whole frame: the schedule begins anew
        self._due = (at if is_late else self._due) + self._period
        return True


class _Writer:
    """Puts frames into the shared memory, and tells the parent."""

    def __init__(self, job: CaptureJob, parent: _Parent, slots: list[Slot]) -> None:
        self._job, self._parent, self._slots = job, parent, slots
        self._motion = MotionDetector() if job.watch_motion else None
        self._layout: Layout | None = None
        self._damaged = self._handed = 0

    def write(self, item: _Numbered, slot: int) -> None:
        """Fill `slot` with the frame and hand it over; give the slot back when the frame is damaged."""
        picture = self._decoded(item.frame)
        if picture is None:
            self._parent.take_back(slot)
            return
        picture = self._job.view.apply(picture)
        height, width = picture.shape[:2]
        layout = Layout(height, width, *self._job.preprocessing.shape)
        self._make_room(slot, layout)
        shared_picture, shared_input = self._slots[slot].views(layout)
        shared_picture[:] = picture
        shared_input[:] = prepare(shared_picture, self._job.preprocessing)
        moving = self._motion is None or self._motion.is_moving(shared_input, item.frame.captured)
        now = time.monotonic()
        captured = item.frame.captured if self._job.drop else now  # a file is read ahead
        self._handed += 1
        # With a cap it is not known which of the frames that came in between would have been due.
        lost = 0 if self._job.fps else item.number + 1 - self._handed
        self._parent.send(
            slot=slot,
            size=[height, width],
            number=item.number,
            captured=captured,
            wall=time.time() - (now - captured),
            moving=moving,
            lost=lost,
        )

    def _decoded(self, frame: RawFrame) -> Pixels | None:
        if not isinstance(frame.picture, bytes):
            return frame.picture
        try:
            picture = decode(frame.picture)
        except EdgedenseError as error:
            self._damaged += 1
            if self._damaged > _MOST_DAMAGED:
                raise DeviceError(
                    "pictures that can be read",
                    f"that {self._damaged} pictures in a row cannot be read; the last one is {error.found}",
                ) from error
            self._parent.send(damaged=error.found)
            return None
        self._damaged = 0
        return picture

    def _make_room(self, slot: int, layout: Layout) -> None:
        """The first frame of its size tells what all slots will take."""
        if layout != self._layout:
            what = f"room for {SLOTS} frames of {layout.width}x{layout.height} pixels"
            memory.require(SLOTS * layout.slot_bytes, what)
            self._layout = layout
        self._slots[slot].grow(layout)


def _numbered(job: CaptureJob, parent: _Parent) -> Iterator[_Numbered]:
    """Every frame of a file, or the newest of a live source; ends when the parent has gone."""
    frames = read_frames(job.source, job.camera)
    parent.sign_of_life()  # what it needs is loaded: from now on it is the camera that is waited for
    if job.paced:
        frames = _paced(frames)
    if not job.drop:
        yield from (_Numbered(number, frame) for number, frame in enumerate(frames))
        return
    newest = _Newest(frames)
    while True:
        try:
            item = newest.take(timeout=0.2)
        except EOFError:
            return
        parent.check()
        if item:
            yield item


def _paced(frames: Iterator[RawFrame]) -> Iterator[RawFrame]:
    """A video's frames at the times that it gives them, stamped with the monotonic clock."""
    started: float | None = None
    for frame in frames:
        if started is None:
            started = time.monotonic() - frame.captured
        time.sleep(max(0.0, started + frame.captured - time.monotonic()))
        yield RawFrame(time.monotonic(), frame.picture)


def _capture(job: CaptureJob, parent: _Parent, slots: list[Slot]) -> None:
    cap, writer = _Cap(job.fps), _Writer(job, parent, slots)
    for item in _numbered(job, parent):
        if not cap.admits(item.frame.captured):
            parent.sign_of_life()
        elif (slot := parent.free_slot(wait=not job.drop)) is not None:
            writer.write(item, slot)
    parent.send(end=True)


def main() -> None:
    """Standard input: the job as a line of JSON, then bytes, each a free slot. Arguments: the slots' files."""
    die_with_parent()
    # Libraries that print would spoil the messages: from here on standard output is standard error.
    messages_out = os.dup(1)
    os.dup2(2, 1)
    job = CaptureJob.from_dict(json.loads(_first_line(0)))
    parent = _Parent(0, messages_out)
    try:
        with contextlib.suppress(_ParentGoneError):
            _capture(job, parent, [Slot(int(file)) for file in sys.argv[1:]])
    except EdgedenseError as error:
        _send_error(parent, error)
    except (OSError, http.client.HTTPException) as error:
        _send_error(parent, DeviceError(f"{job.source} to go on", network_fault(error)))
    end_programs()
    sys.stderr.flush()
    os._exit(0)  # without waiting for the reading thread: OpenCV aborts when Python cuts it short


def _first_line(descriptor: int) -> bytes:
    """Byte by byte: what follows the line must stay in the pipe."""
    line = b""
    while not line.endswith(b"\n"):
        line += os.read(descriptor, 1) or b"\n"
    return line


def _send_error(parent: _Parent, error: EdgedenseError) -> None:
    with contextlib.suppress(_ParentGoneError):
        parent.send(error=[error.expected, error.found, error.hint])


if __name__ == "__main__":
    main()
