"""MediaPipe's ImageClassifier in a browser against edgedense, on the same pictures: labels, scores, time.

    python -m benchmarks.mediapipe_web MODEL.tflite PICTURES --packages FOLDER [--images 50]

FOLDER is where `npm install @mediapipe/tasks-vision` was run. Needs the extra device and Chromium. Each picture is
given to MediaPipe twice: as edgedense resized it, so that the network alone is compared, and as it lies in its file,
which the browser decodes and MediaPipe resizes. Exits with 1 when the best class of a resized picture is another one.
"""

from __future__ import annotations

import argparse
import base64
import io
import json
import sys
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from edgedense.device import Classifier
from edgedense.images.preprocessing import find_images, load_image
from tests.browser.chromium import Browser, chromium

PACKAGE = Path("node_modules/@mediapipe/tasks-vision")
PAGE = """<!doctype html><title>MediaPipe</title><script type="module">
import { FilesetResolver, ImageClassifier } from "/package/vision_bundle.mjs";
const files = await FilesetResolver.forVisionTasks("/package/wasm");
const model = new Uint8Array(await (await fetch("/model.tflite")).arrayBuffer());
const options = { baseOptions: { modelAssetBuffer: model, delegate: "CPU" }, maxResults: -1, runningMode: "IMAGE" };
const classifier = await ImageClassifier.createFromOptions(files, options);
window.classify = async (data) => {
  const picture = new Image();
  picture.src = data;
  await picture.decode();
  const started = performance.now();
  const heads = classifier.classify(picture).classifications;
  const scores = heads[0].categories.map((one) => [one.categoryName || String(one.index), one.score]);
  return { heads: heads.length, scores, milliseconds: performance.now() - started };
};
window.ready = true;
</script>"""


class Served(SimpleHTTPRequestHandler):
    """The page, the model, and MediaPipe's package."""

    def __init__(self, *arguments: Any, model: bytes, packages: Path) -> None:
        self.model, self.packages = model, packages
        super().__init__(*arguments, directory=str(packages / PACKAGE))

    def do_GET(self) -> None:
        """One file."""
        contents = {"/": (PAGE.encode(), "text/html"), "/model.tflite": (self.model, "application/octet-stream")}
        if self.path in contents:
            content, kind = contents[self.path]
            self.send_response(200)
            self.send_header("Content-Type", kind)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)
        else:
            self.path = self.path.removeprefix("/package")
            super().do_GET()

    def log_message(self, *arguments: Any) -> None:
        """Nothing."""


@contextmanager
def page(model: bytes, packages: Path) -> Iterator[Browser]:
    """A browser that has MediaPipe and the model loaded."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(Served, model=model, packages=packages))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as profile, chromium(Path(profile)) as browser:
            browser.open(f"http://127.0.0.1:{server.server_port}/")
            browser.wait_for("window.ready")
            yield browser
    finally:
        server.shutdown()
        server.server_close()


def asked(browser: Browser, content: bytes, kind: str) -> dict[str, Any]:
    """What MediaPipe says of an image file's content."""
    url = f"data:image/{kind};base64,{base64.b64encode(content).decode()}"
    found: dict[str, Any] = browser.value(f"classify({json.dumps(url)})")
    return found


def main() -> None:
    """Compare, print, exit."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", type=Path)
    parser.add_argument("pictures", type=Path)
    parser.add_argument("--packages", type=Path, required=True)
    parser.add_argument("--images", type=int, default=50)
    arguments = parser.parse_args()
    if not (arguments.packages / PACKAGE).is_dir():
        sys.exit(f"mediapipe_web.py: no {PACKAGE} in {arguments.packages}: npm install @mediapipe/tasks-vision there")
    every = find_images(arguments.pictures)
    paths = [every[i * len(every) // arguments.images] for i in range(arguments.images)]
    same, worst, times = {"resized": 0, "file": 0}, {"resized": 0.0, "file": 0.0}, []
    with Classifier(arguments.model) as classifier, page(arguments.model.read_bytes(), arguments.packages) as browser:
        for path in paths:
            pixels = load_image(path, classifier.preprocessing)
            scores = classifier.classify(pixels)
            png = io.BytesIO()
            Image.fromarray(pixels).save(png, "PNG")
            given = {"resized": (png.getvalue(), "png"), "file": (path.read_bytes(), path.suffix[1:].lower())}
            for name, (content, kind) in given.items():
                found = asked(browser, content, "jpeg" if kind == "jpg" else kind)
                theirs = dict(found["scores"])
                same[name] += found["scores"][0][0] == classifier.labels[int(scores.argmax())]
                apart = np.abs([theirs[label] - score for label, score in zip(classifier.labels, scores, strict=True)])
                worst[name] = max(worst[name], float(apart.max()))
                times.append(found["milliseconds"])
        heads = found["heads"]
    version = json.loads((arguments.packages / PACKAGE / "package.json").read_text())["version"]
    print(f"@mediapipe/tasks-vision {version}, {len(paths)} pictures, {heads} output(s), one thread of WebAssembly:")
    for name, what in (
        ("resized", "resized by edgedense"),
        ("file", "decoded and resized by the browser and MediaPipe"),
    ):
        print(f"  {what}: same best class on {same[name]}, scores at most {worst[name]:.1e} apart")
    print(f"  {np.median(times):.0f} ms a picture (median of {len(times)})")
    sys.exit(same["resized"] < len(paths))


if __name__ == "__main__":
    main()
