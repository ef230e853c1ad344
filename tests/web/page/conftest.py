"""Sites of tiny models, served, and what the tests of the page do with it."""

from __future__ import annotations

import base64
import io
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import edgedense
from edgedense.deployed import bundle, golden
from edgedense.errors import EdgedenseError
from edgedense.website import runtime
from tests.browser.chromium import Browser, chromium
from tests.device.conftest import (
    CARDS,
    COLOURS,
    HEIGHT,
    RECIPE,
    WIDTH,
    colours,
    explained_colours,
    findings,
    make_colour_model,
)
from tests.web.page.filming import camera, film
from tests.web.serving import Served

__all__ = ["colours", "explained_colours", "findings"]

SiteOf = Callable[[Path], Path]
NAMES = "[...document.querySelectorAll('#bars .name')].map(name => name.textContent).join()"
BEST = "document.querySelector('#bars .name')?.textContent"
READY = "document.getElementById('opened')?.textContent.startsWith('the ')"
KEPT = "document.getElementById('flight')?.textContent.startsWith('Kept on this device')"
# The colour in the middle of the picture that the page shows.
MIDDLE = """(() => {
  const canvas = document.getElementById("picture");
  if (canvas.hidden) return [0, 0, 0];
  return Array.from(canvas.getContext("2d").getImageData(canvas.width / 2, canvas.height / 2, 1, 1).data.slice(0, 3));
})()"""


@pytest.fixture(scope="session")
def site_of(tmp_path_factory: pytest.TempPathFactory) -> SiteOf:
    """A deployed file -> the folder of its site. Skips the test where the runtime cannot be had."""
    made: dict[Path, Path] = {}
    try:
        runtime.read()
    except EdgedenseError as error:
        pytest.skip(f"needs {error.expected}")

    def site_of(model: Path) -> Path:
        if model not in made:
            made[model] = tmp_path_factory.mktemp("sites") / model.stem
            edgedense.web(model).save(made[model])
        return made[model]

    return site_of


@pytest.fixture(scope="session")
def proven_colours(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The deployed file that tells colours apart, with golden samples: softmax of 0.05 times each channel's mean."""

    def scores(pixels: golden.Pixels) -> np.ndarray:
        raised = np.exp(0.05 * pixels.mean((1, 2)))
        return (raised / raised.sum(1, keepdims=True)).astype(np.float32)

    size = {"height": HEIGHT, "width": WIDTH}
    samples = golden.record(scores, scores, step=golden.FLOAT_STEP, runtime="NumPy", machine="any", **size)  # type: ignore[arg-type]
    path = tmp_path_factory.mktemp("proven") / "colours.tflite"
    path.write_bytes(bundle.pack(make_colour_model(), COLOURS, RECIPE, {golden.ENTRY: samples.to_bytes()}))
    return path


@pytest.fixture
def serve(tmp_path: Path) -> Iterator[Callable[[Path], Served]]:
    """Serves a copy of a folder, which the test may change."""
    served: list[Served] = []

    def serve(folder: Path) -> Served:
        served.append(Served(shutil.copytree(folder, tmp_path / f"served{len(served)}")))
        return served[-1]

    yield serve
    for server in served:
        server.stop()


@pytest.fixture(scope="module")
def opened(
    tmp_path_factory: pytest.TempPathFactory, red_film: Path, site_of: SiteOf, explained_colours: Path
) -> Iterator[Browser]:
    """A phone before a red card, with the page open and all done that happens by itself. A module's tests share it."""
    served = Served(site_of(explained_colours))
    with phone(tmp_path_factory.mktemp("opened"), film=red_film) as browser:
        browser.open(served.url)
        browser.wait_for(KEPT)
        yield browser
    served.stop()


@pytest.fixture(scope="session")
def red_film(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A red card, 320x240."""
    return film(tmp_path_factory.mktemp("film") / "red.y4m", [np.full((240, 320, 3), CARDS["red"], np.uint8)])


@contextmanager
def phone(folder: Path, *options: str, film: Path | None = None, count: int = 1) -> Iterator[Browser]:
    """A browser with the window of a phone and with cameras."""
    with chromium(folder / "profile", *camera(film, count), *options) as browser:
        browser.emulate()
        browser.resize(400, 860)
        yield browser


def press(browser: Browser, name: str) -> None:
    """Press the button with this id, which must be there."""
    assert browser.value(f"!document.getElementById('{name}').hidden"), name
    browser.value(f"document.getElementById('{name}').click()")


def card(colour: str, size: tuple[int, int] = (64, 48)) -> bytes:
    """A PNG file of one colour."""
    file = io.BytesIO()
    Image.new("RGB", size, CARDS[colour]).save(file, "PNG")
    return file.getvalue()


def bring(browser: Browser, way: str, *files: tuple[str, bytes]) -> None:
    """Give the page files, (name, content), as a person does: `choose`, `drop` or `paste`."""
    listed = ", ".join(f"file('{name}', '{base64.b64encode(content).decode()}')" for name, content in files)
    acts = {
        "choose": "const input = document.getElementById('files'); input.files = data.files;"
        "input.dispatchEvent(new Event('change'))",
        "drop": "document.body.dispatchEvent(new DragEvent('drop', {dataTransfer: data, bubbles: true}))",
        "paste": "document.body.dispatchEvent(new ClipboardEvent('paste', {clipboardData: data, bubbles: true}))",
    }
    browser.value(
        "(() => { const file = (name, text) => new File([Uint8Array.from(atob(text), c => c.charCodeAt(0))], name);"
        f"const data = new DataTransfer(); [{listed}].forEach(one => data.items.add(one)); {acts[way]} }})()"
    )


def problem(browser: Browser) -> dict[str, str]:
    """What the page says is wrong, once it does: its title, what it expected and found, and what to try."""
    browser.wait_for("document.getElementById('problem') && !document.getElementById('problem').hidden")
    names = ("title", "expected", "found", "hint")
    return {name: browser.value(f"document.getElementById('problem-{name}').textContent") for name in names}


def shows(colour: str) -> str:
    """JavaScript: the picture in the middle has the card's colour, but for what a camera's levels lose."""
    return f"({MIDDLE}).every((level, i) => Math.abs(level - {list(CARDS[colour])}[i]) < 12)"
