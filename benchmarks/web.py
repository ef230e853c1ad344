"""A site that `edgedense web` makes, in a real browser: are its scores those of edgedense, and how long does one take?

    python -m benchmarks.web out/digits/digits.tflite out/digits/images/test [--images 50]

Needs the extras device and web, npm once, and Chromium; docs/web.md says with which it was run. Each picture is given
twice: as a PNG of the pixels that edgedense has decoded, so that resizing and network are compared; and as it lies in
its file, which the browser decodes. The page is served once so that it may not start threads, and once so that it may.
Times are the best of several rounds, in which LiteRT in Python with as many threads takes turns with the browser. Exits
with 1 when a best class is another one, or when the golden samples are not what they were where the file was made.
"""

from __future__ import annotations

import argparse
import base64
import gzip
import io
import json
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

import edgedense
from benchmarks import processor
from edgedense.device import Classifier
from edgedense.images.preprocessing import find_images, load_image, open_picture
from tests.browser.chromium import Browser
from tests.web.serving import call, shown

# The site's own worker, asked as its page asks it (web/src/engine/messages.ts).
PAGE = """<!doctype html><title>edgedense</title><script>
const worker = new Worker("worker.js");
let number = 0;
function ask(message) {
  return new Promise((resolve, reject) => {
    const asked = ++number;
    worker.addEventListener("message", ({ data }) => {
      if (data.number !== asked) return;
      if (data.problem) reject(new Error(JSON.stringify(data.problem)));
      if (data.result) resolve(data.result);
    });
    worker.postMessage({ ...message, number: asked });
  });
}
async function start() {
  const begun = performance.now();
  const site = await (await fetch("site.json")).json();
  const opened = await ask({ kind: "open", site, places: { worker: "worker.js", base: location.href } });
  return { ...opened, seconds: (performance.now() - begun) / 1000 };
}
async function classify(file) {
  const bytes = Uint8Array.from(atob(file), (character) => character.charCodeAt(0));
  const { scores, preparing, running } = await ask({ kind: "classify", picture: new Blob([bytes]), explain: "none" });
  return { scores: Array.from(scores), preparing, running };
}
const replay = () => ask({ kind: "replay" });
const benchmark = (runs) => ask({ kind: "benchmark", runs });
const version = () => navigator.userAgent.match(/Chrome\\/[\\d.]+/)[0];
window.ready = true;
</script>"""


RUNS = 5  # inferences in a round


@dataclass(frozen=True)
class Compared:
    """Scores [N, classes] here and in the browser of the same pictures, and the browser's milliseconds for each."""

    here: np.ndarray
    there: np.ndarray
    preparing: np.ndarray
    running: np.ndarray

    @property
    def same(self) -> int:
        """Of how many pictures the best class is the same."""
        return int((self.here.argmax(axis=1) == self.there.argmax(axis=1)).sum())

    def __str__(self) -> str:
        apart = float(np.abs(self.here - self.there).max())
        return (
            f"same best class on {self.same} of {len(self.here)}, scores at most {apart:.1e} apart; "
            f"{np.median(self.preparing):.0f} ms to prepare, {np.median(self.running):.0f} ms to run"
        )


def as_png(path: Path) -> bytes:
    """The picture as edgedense has decoded it."""
    with open_picture(path, whole=True) as decoded:
        pixels = decoded.whole()
    target = io.BytesIO()
    Image.fromarray(pixels).save(target, "PNG")
    return target.getvalue()


def compare(browser: Browser, scores: np.ndarray, contents: list[bytes]) -> Compared:
    """Give the browser each of `contents`, image files whose scores here are `scores` [N, classes]."""
    answers = [call(browser, "classify", base64.b64encode(content).decode()) for content in contents]
    columns = {name: np.array([answer[name] for answer in answers]) for name in ("scores", "preparing", "running")}
    return Compared(scores, columns["scores"], columns["preparing"], columns["running"])


@contextmanager
def site(model: Path, runtime: Path | None) -> Iterator[Path]:
    """A folder with the site, whose page is replaced by PAGE."""
    with tempfile.TemporaryDirectory() as folder:
        made = Path(folder) / "site"
        edgedense.web(model, runtime=runtime).save(made)
        (made / "index.html").write_text(PAGE)
        yield made


def timed(browser: Browser, model: Path, threads: int, rounds: int) -> tuple[float, float]:
    """Milliseconds of one inference here and in the browser: the best median of the rounds, so that what else the
    machine does counts least."""
    here, there = [], []
    with Classifier(model, threads=threads) as classifier:
        pixels = np.random.default_rng(0).integers(0, 256, classifier.preprocessing.shape).astype(np.uint8)
        for _ in range(rounds):
            there.append(call(browser, "benchmark", RUNS)["median"])
            times = []
            for _ in range(RUNS):
                classifier.classify(pixels)
                times.append(1000 * classifier.invoke_seconds)
            here.append(float(np.median(times)))
    return min(here), min(there)


def loaded(folder: Path, opened: dict[str, Any]) -> str:
    """What a browser loads before its first answer."""
    told = json.loads((folder / "site.json").read_bytes())
    paths = ["index.html", "site.json", "worker.js", told["model"]["path"], *opened["runtime"]]
    contents = [(folder / path).read_bytes() for path in paths]
    packed = sum(len(gzip.compress(content, mtime=0)) for content in contents)
    return f"{sum(map(len, contents)) / 1e6:.1f} MB, {packed / 1e6:.1f} MB with gzip"


def main() -> None:
    """Compare, print, exit."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", type=Path)
    parser.add_argument("pictures", type=Path)
    parser.add_argument("--images", type=int, default=50)
    parser.add_argument("--rounds", type=int, default=10, help=f"of {RUNS} inferences here and there")
    parser.add_argument("--runtime", type=Path, help="@litertjs/core as npm pack writes it")
    arguments = parser.parse_args()
    print(f"measured on {processor.here()}")
    every = find_images(arguments.pictures)
    count = min(arguments.images, len(every))
    paths = [every[i * len(every) // count] for i in range(count)]
    with Classifier(arguments.model) as classifier:
        scores = np.array([classifier.classify(load_image(path, classifier.preprocessing)) for path in paths])
    given = {"as PNG": [as_png(path) for path in paths], "as they are": [path.read_bytes() for path in paths]}
    failed = False
    with site(arguments.model, arguments.runtime) as folder:
        for isolated in (False, True):
            with shown(folder, isolated=isolated) as browser:
                opened = call(browser, "start")
                print(
                    f"{arguments.model.name} in {call(browser, 'version')}, {opened['threads']} thread(s) of "
                    f"{opened['accelerator']}: opened in {opened['seconds']:.1f} s, {loaded(folder, opened)}"
                )
                replayed = call(browser, "replay")
                print(f"  golden samples: {replayed['sentence']}")
                here, there = timed(browser, arguments.model, opened["threads"], arguments.rounds)
                print(f"  one inference: {there:.1f} ms, {there / here:.2f} times LiteRT in Python ({here:.1f} ms)")
                for name, contents in given.items():
                    found = compare(browser, scores, contents)
                    print(f"  pictures {name}: {found}")
                    failed |= found.same < len(paths)
                failed |= not replayed["passed"]
    sys.exit(failed)


if __name__ == "__main__":
    main()
