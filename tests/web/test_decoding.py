"""web/src/decoding in a real browser: pictures become the pixels that edgedense gets out of them.

What is compared here, docs/web.md says of the browser with which it was measured.
"""

from __future__ import annotations

import io
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image, ImageCms

from edgedense.images.decoding import Exif, decode
from edgedense.images.preprocessing import Pixels
from tests.browser.chromium import Browser
from tests.pictures import picture
from tests.web import given
from tests.web.conftest import bundled
from tests.web.serving import call, shown

pytestmark = pytest.mark.slow
ORIENTATION = 0x0112


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    folder = tmp_path_factory.mktemp("page")
    page = bundled(Path(__file__).parent / "engine_page.ts", folder).name
    (folder / "index.html").write_text(f"<!doctype html><title>test</title><script src='{page}'></script>")
    with shown(folder) as browser:
        yield browser


def saved(image: Image.Image, kind: str, **options: Any) -> bytes:
    target = io.BytesIO()
    image.save(target, kind, **options)
    return target.getvalue()


def colourful() -> Image.Image:
    """Smooth, with noise in one half, and of an odd size, so that blocks and halved colours end within it."""
    pixels = np.array(picture(np.random.default_rng(0), 101, 135))
    pixels[:, 70:] = np.random.default_rng(1).integers(0, 256, (101, 65, 3))
    return Image.fromarray(pixels)


def profile() -> bytes:
    """A profile of colours by which red and green are exchanged: whoever applies it gives other colours."""
    usual = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    return usual.replace(b"rXYZ", b"xXYZ").replace(b"gXYZ", b"rXYZ").replace(b"xXYZ", b"gXYZ")


def turned(kind: str) -> bytes:
    exif = Image.Exif()
    exif[ORIENTATION] = 6
    return saved(colourful(), kind, exif=exif)


def with_black(image: Image.Image) -> Image.Image:
    """In CMYK, with less of the colours and some black."""
    plates = [plate.point(lambda level: level * 3 // 4) for plate in image.convert("CMYK").split()[:3]]
    return Image.merge("CMYK", [*plates, image.convert("L").point(lambda level: (255 - level) // 2)])


def files() -> dict[str, bytes]:
    image = colourful()
    return {
        **{f"JPEG {s}": saved(image, "JPEG", subsampling=s) for s in ("4:4:4", "4:2:2", "4:2:0")},
        "JPEG of high quality": saved(image, "JPEG", quality=98),
        "JPEG, progressive": saved(image, "JPEG", progressive=True),
        "JPEG in grey": saved(image.convert("L"), "JPEG"),
        "JPEG in CMYK": saved(image.convert("CMYK"), "JPEG"),
        "JPEG with a profile": saved(image, "JPEG", icc_profile=profile()),
        "WebP": saved(image, "WEBP"),
        "WebP without loss": saved(image, "WEBP", lossless=True),
        "WebP with a profile": saved(image, "WEBP", lossless=True, icc_profile=profile()),
        "GIF": saved(image, "GIF"),
        "BMP": saved(image, "BMP"),
        "BMP with a palette": saved(image.convert("P"), "BMP"),
        "PNG with a profile": saved(image, "PNG", icc_profile=profile()),
    }


def decoded(browser: Browser, content: bytes, exif: Exif = "ignore") -> Pixels:
    """RGB, whatever channels the page has."""
    found = given.pixels(call(browser, "decode", given.encoded(content), exif))
    return np.repeat(found, 3 // found.shape[2], axis=2)


def apart(found: Pixels, content: bytes, exif: Exif = "ignore") -> NDArray[np.int64]:
    return np.abs(found.astype(int) - decode(content, exif))


def test_the_same_pixels(browser: Browser) -> None:
    for name, content in files().items():
        assert apart(decoded(browser, content), content).max() == 0, name


def test_black_in_cmyk_is_off_by_a_level_at_most(browser: Browser) -> None:
    """The browser's product of colour and black is rounded in another way."""
    content = saved(with_black(colourful()), "JPEG", quality=95)
    assert apart(decoded(browser, content), content).max() == 1


@pytest.mark.parametrize("exif", ["ignore", "apply"])
@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP"])
def test_a_picture_that_is_stored_turned(kind: str, exif: Exif, browser: Browser) -> None:
    content = turned(kind)
    assert apart(decoded(browser, content, exif), content, exif).max() == 0


def test_what_a_page_gets_that_asks_for_nothing_is_something_else(browser: Browser) -> None:
    """A profile is applied and a picture turned, or the tests above would show nothing."""
    content = saved(colourful(), "JPEG", icc_profile=profile())
    assert apart(given.pixels(call(browser, "usual", given.encoded(content))), content).max() > 100
    found = given.pixels(call(browser, "usual", given.encoded(turned("JPEG"))))
    assert found.shape[:2] == (135, 101)


def test_transparency_is_kept_in_a_png_and_refused_in_others(browser: Browser) -> None:
    image = colourful().convert("RGBA")
    image.putalpha(Image.fromarray(np.arange(101 * 135).reshape(101, 135).astype(np.uint8)))
    png = saved(image, "PNG")
    assert apart(decoded(browser, png), png).max() == 0
    clear = colourful().convert("P")
    for content in (saved(image, "WEBP"), saved(clear, "GIF", transparency=clear.getpixel((3, 3)))):
        problem = call(browser, "decode", given.encoded(content), "ignore")["problem"]
        assert problem["expected"] == "a picture without transparency, or a PNG"


@pytest.mark.parametrize("kind", ["JPEG", "WEBP", "PNG"])
def test_a_file_that_is_cut_off(kind: str, browser: Browser) -> None:
    content = saved(colourful(), kind)
    problem = call(browser, "decode", given.encoded(content[: len(content) // 2]), "ignore")["problem"]
    assert problem["found"].startswith("damaged data")


def test_a_picture_larger_than_a_canvas_is_read_in_parts(browser: Browser) -> None:
    """1,200 rows of 1,000 pixels are more than the 1,048,576 that are read at a time."""
    content = saved(colourful().resize((1000, 1200)), "JPEG")
    assert apart(decoded(browser, content), content).max() == 0
