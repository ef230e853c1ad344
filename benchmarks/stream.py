"""How well `edgedense run` keeps up with a camera: a video is played in real time, and the figures are checked.

    python benchmarks/stream.py MODEL.tflite                  # one minute
    python benchmarks/stream.py MODEL.tflite --seconds 600    # ten minutes, with memory

Needs the extras device and camera. Exits with 1 when a limit is not kept. Let nothing else run meanwhile.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import sys
import tempfile
import threading
import time
from pathlib import Path
from statistics import fmean

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # as a script, only its own folder is on the path

import numpy as np

from benchmarks import processor
from edgedense.device.camera.sources import Source
from edgedense.device.classifier import Classifier
from edgedense.device.live.loop import Summary
from edgedense.device.live.options import LiveOptions
from edgedense.device.live.run import capture_job, run_live


def write_video(path: Path, seconds: float, fps: float) -> None:
    """A 640x480 video in which a pattern passes by."""
    import cv2

    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"mp4v"), fps, (640, 480))
    coarse = np.random.default_rng(0).integers(0, 256, (24, 32, 3), dtype=np.uint8)
    pattern = cv2.resize(coarse, (640, 480), interpolation=cv2.INTER_CUBIC)
    for number in range(round(seconds * fps)):
        writer.write(np.roll(pattern, 2 * number, axis=1))
    writer.release()


class Memory:
    """The resident memory of this process and of the capture process, once a second, in MiB."""

    def __init__(self) -> None:
        self.samples: list[tuple[float, float]] = []
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._sample, daemon=True)

    def __enter__(self) -> Memory:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()

    def _sample(self) -> None:
        while not self._stop.wait(1.0):
            children = Path(f"/proc/self/task/{os.getpid()}/children").read_text().split()
            children += [
                pid
                for task in Path("/proc/self/task").iterdir()
                for pid in (task / "children").read_text().split()
                if pid not in children
            ]
            self.samples.append((_resident("self"), sum(map(_resident, children))))

    def growth(self, process: int) -> float | None:
        """The last minute's mean against the second minute's; None for less than three minutes."""
        values = [sample[process] for sample in self.samples]
        return fmean(values[-61:-1]) / fmean(values[60:120]) - 1 if len(values) > 180 else None


def _resident(pid: str) -> float:
    try:
        pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    except (OSError, IndexError):
        return 0.0
    return pages * os.sysconf("SC_PAGE_SIZE") / 2**20


def measure(model: Path, video: Path, threads: int | None) -> tuple[Summary, list[dict], Memory]:
    with tempfile.TemporaryFile("w+") as lines, Memory() as memory, contextlib.redirect_stdout(lines):
        with Classifier(model, threads=threads) as classifier:
            job = capture_job(Source("video", str(video)), classifier.preprocessing, live=True)
            summary = run_live(classifier, job, LiveOptions(classifier.rule()), title=model.name, as_json=True)
        lines.seek(0)
        return summary, [json.loads(line) for line in lines], memory


def check(name: str, value: float, limit: float, text: str, at_most: bool = True) -> bool:
    is_kept = value <= limit if at_most else value >= limit
    print(f"{'ok  ' if is_kept else 'FAIL'}  {name}: {text}")
    return is_kept


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", type=Path)
    parser.add_argument("--seconds", type=float, default=60)
    parser.add_argument("--fps", type=float, default=30, help="the video's")
    parser.add_argument("--threads", type=int)
    options = parser.parse_args()
    print(f"measured on {processor.here()}")
    with tempfile.TemporaryDirectory() as folder:
        video = Path(folder) / "video.mp4"
        write_video(video, options.seconds, options.fps)
        started = time.monotonic()
        summary, lines, memory = measure(options.model, video, options.threads)
        print(
            f"{time.monotonic() - started:.1f} s, {len(lines)} frames classified, {summary.counts.dropped} dropped; "
            f"invoke {summary.invoke_median * 1e3:.2f} ms in the median"
        )
    rate = (len(lines) - 1) / (lines[-1]["monotonic"] - lines[0]["monotonic"])
    bound = min(options.fps, 1 / summary.invoke_median)
    share = summary.other_median / summary.invoke_median
    kept = [
        check("frames a second", rate, 0.95 * bound, f"{rate:.2f}, at least 0.95 of {bound:.2f}", at_most=False),
        check(
            "inference thread besides invoke",
            share,
            0.10,
            f"{summary.other_median * 1e3:.2f} ms, {share:.1%} of it, at most 10 %",
        ),
        check(
            "capture to printed result, 95th percentile",
            summary.age_p95,
            2 * summary.invoke_median,
            f"{summary.age_p95 * 1e3:.1f} ms, at most twice the median invoke",
        ),
    ]
    for process, name in enumerate(("inference process", "capture process")):
        growth = memory.growth(process)
        print(f"      memory of the {name}: {memory.samples[-2][process]:.1f} MiB")
        if growth is not None:
            kept.append(
                check(
                    f"memory of the {name}, last minute against the second",
                    abs(growth),
                    0.02,
                    f"{growth:+.2%}, within 2 %",
                )
            )
    sys.exit(0 if all(kept) else 1)


if __name__ == "__main__":
    main()
