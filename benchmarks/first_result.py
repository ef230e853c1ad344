"""How long it takes from the start of `edgedense run` to its first result, with nothing loaded before.

    python benchmarks/first_result.py MODEL.tflite PICTURE [--rounds 10]

Each round starts a process of `edgedense run MODEL PICTURE` and one of its peer: the same inference by LiteRT's own
interpreter, with Pillow, and without edgedense. Printed of each are the shortest time, the least processor time of all
threads, and the most memory, and in brackets their ratio to the peer's. The first round is not counted: it compiles
modules, and brings the files into the system's cache.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # as a script, only its own folder is on the path

from benchmarks import processor

PEER = """
import sys
import numpy as np
from PIL import Image
from ai_edge_litert.interpreter import Interpreter
model = Interpreter(model_content=open(sys.argv[1], "rb").read(), num_threads=int(sys.argv[3]))
model.allocate_tensors()
(given,) = model.get_input_details()
height, width, channels = given["shape"][1:]
image = Image.open(sys.argv[2]).convert("RGB" if channels == 3 else "L").resize((width, height))
model.set_tensor(given["index"], np.asarray(image).reshape(given["shape"]))
model.invoke()
print(model.get_tensor(model.get_output_details()[0]["index"]))
"""


@dataclass(frozen=True)
class Start:
    """A process: seconds from its start to its end, seconds of processors, and the most bytes that it held."""

    seconds: float
    busy: float
    memory: int


def started(command: list[str]) -> Start:
    """Run it to its end. Raises RuntimeError with what it said when it fails.

    Its memory is at least what this process holds (getrusage(2) counts that too), so nothing large is imported here.
    """
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    began = time.perf_counter()
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, env=environment)
    assert process.stderr is not None
    with process.stderr:
        said = process.stderr.read()
    _, status, used = os.wait4(process.pid, 0)
    seconds = time.perf_counter() - began
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise RuntimeError(f"exit {process.returncode}: {said.decode(errors='replace').strip()}")
    unit = 1 if sys.platform == "darwin" else 1024  # getrusage(2): kilobytes on Linux
    return Start(seconds, used.ru_utime + used.ru_stime, used.ru_maxrss * unit)


def measure(commands: dict[str, list[str]], rounds: int) -> dict[str, Start]:
    """The best of each command, in turns, after a round that is not counted."""
    every: dict[str, list[Start]] = {name: [] for name in commands}
    for number in range(rounds + 1):
        for name, command in commands.items():
            found = started(command)
            if number:
                every[name].append(found)
    return {
        name: Start(min(s.seconds for s in found), min(s.busy for s in found), max(s.memory for s in found))
        for name, found in every.items()
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", type=Path)
    parser.add_argument("picture", type=Path)
    parser.add_argument("--rounds", type=int, default=10)
    parser.add_argument("--threads", type=int, default=1)
    arguments = parser.parse_args()
    if min(arguments.rounds, arguments.threads) < 1:
        parser.error("--rounds and --threads need 1 or more")
    files, threads = [str(arguments.model), str(arguments.picture)], str(arguments.threads)
    commands = {
        "edgedense run": [sys.executable, "-m", "edgedense.cli", "run", *files, "--threads", threads],
        "LiteRT alone": [sys.executable, "-c", PEER, *files, threads],
    }
    print(f"measured on {processor.here()}, {threads} thread(s), at a load of {os.getloadavg()[0]:.1f}")
    try:
        found = measure(commands, arguments.rounds)
    except RuntimeError as error:
        sys.exit(f"error: {error}")
    peer = found["LiteRT alone"]
    for name, one in found.items():
        print(
            f"{name:14} {1e3 * one.seconds:6.0f} ms ({one.seconds / peer.seconds:.2f}), of processors "
            f"{1e3 * one.busy:6.0f} ms ({one.busy / peer.busy:.2f}), memory {one.memory / 2**20:5.1f} MiB "
            f"({one.memory / peer.memory:.2f})"
        )


if __name__ == "__main__":
    main()
