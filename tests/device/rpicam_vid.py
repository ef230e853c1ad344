"""A stand-in for rpicam-vid that behaves like the real one where it matters to us.

It ends after 5 seconds unless it is given `-t 0`, collects its output in a large buffer unless it is given `--flush`,
encodes H.264 unless it is told otherwise, and refuses options that it does not know. It shows a card of the
colour named in the file RPICAM_CARD, and notes its process id in the folder RPICAM_PIDS.
"""

import argparse
import io
import os
import sys
import time
from pathlib import Path

from PIL import Image

parser = argparse.ArgumentParser(prog="rpicam-vid", exit_on_error=False)
parser.add_argument("-t", "--timeout", type=int, default=5000)
parser.add_argument("--flush", action="store_true")
parser.add_argument("-n", "--nopreview", action="store_true")
parser.add_argument("--codec", default="h264")
parser.add_argument("-o", "--output")
parser.add_argument("--camera", type=int, default=0)
parser.add_argument("--width", type=int, default=1920)
parser.add_argument("--height", type=int, default=1080)
parser.add_argument("--framerate", type=float, default=30)
parser.add_argument("--exposure", choices=["normal", "sport"])
parser.add_argument("--hdr", action="store_true")
parser.add_argument("--list-cameras", action="store_true")
try:
    options = parser.parse_args()
except (argparse.ArgumentError, SystemExit):
    print("ERROR: *** unrecognised option ***", file=sys.stderr)
    sys.exit(255)

if options.list_cameras:
    listing = "Available cameras\n-----------------\n0 : imx708 [4608x2592 10-bit RGGB] (/base/axi/pcie@120000/rp1)\n"
    print(listing if os.environ.get("RPICAM_CAMERAS", "1") == "1" else "No cameras available!")
    sys.exit(0)
print("[0:00:01.000] [1] INFO Camera camera_manager.cpp:313 libcamera v0.3.2", file=sys.stderr)
if os.environ.get("RPICAM_CAMERAS", "1") != "1" or options.camera > 0:
    print("ERROR: *** no cameras available ***", file=sys.stderr)
    sys.exit(255)
if options.codec != "mjpeg" or options.output != "-":
    sys.exit("the stand-in writes MJPEG to standard output only")

if "RPICAM_PIDS" in os.environ:
    Path(os.environ["RPICAM_PIDS"], str(os.getpid())).touch()
unwritten, started = b"", time.monotonic()
while options.timeout == 0 or time.monotonic() - started < options.timeout / 1000:
    colour = Path(os.environ["RPICAM_CARD"]).read_text().strip()
    data = io.BytesIO()
    Image.new("RGB", (options.width, options.height), colour).save(data, "JPEG", quality=93)
    unwritten += data.getvalue()
    if options.flush or len(unwritten) > 1 << 20:
        sys.stdout.buffer.write(unwritten)
        sys.stdout.buffer.flush()
        unwritten = b""
    time.sleep(1 / options.framerate)
