"""web/src/decoding/orientation.ts: pictures that are stored turned are turned as Python turns them, and what a browser
is given does not say so any more."""

from __future__ import annotations

import base64
import io

import numpy as np
import pytest
from PIL import Image

from edgedense.images.decoding import decode
from tests.pictures import picture
from tests.web import given
from tests.web.conftest import Asked

ORIENTATION = 0x0112
XMP = '<x:xmpmeta><rdf:Description tiff:Orientation="{}"/></x:xmpmeta>'


def file(kind: str, orientation: int | None, little: bool = True, xmp: int | None = None) -> bytes:
    exif = Image.Exif()
    exif.endian = "<" if little else ">"
    exif[0x010F] = "a maker, before the orientation"
    if orientation is not None:
        exif[ORIENTATION] = orientation
    target = io.BytesIO()
    options = {} if xmp is None else {"xmp": XMP.format(xmp).encode()}
    lossless = {"lossless": True} if kind == "WEBP" else {}
    picture(np.random.default_rng(0), 20, 30).save(target, kind, exif=exif, **lossless, **options)
    return target.getvalue()


def files() -> dict[str, bytes]:
    found = {f"{kind} {i}": file(kind, i) for kind in ("JPEG", "PNG", "WEBP") for i in range(1, 9)}
    found["big-endian"] = file("JPEG", 6, little=False)
    found["XMP in JPEG"] = file("JPEG", None, xmp=8)
    found["XMP in WebP"] = file("WEBP", None, xmp=3)
    found["EXIF before XMP"] = file("JPEG", 6, xmp=3)
    found["none"] = file("JPEG", None)
    return found


def test_turned_as_python_turns_them(ask: Asked) -> None:
    contents = files()
    asked = [
        {"file": given.encoded(content), "picture": given.picture(decode(content))} for content in contents.values()
    ]
    for name, content, answer in zip(contents, contents.values(), ask("orientation", asked), strict=True):
        np.testing.assert_array_equal(given.pixels(answer), decode(content, "apply"), name)


def test_a_browser_is_not_told(ask: Asked) -> None:
    content = file("JPEG", 6)
    (answer,) = ask("orientation", [{"file": given.encoded(content), "picture": given.picture(decode(content))}])
    assert answer["orientation"] == 6
    with Image.open(io.BytesIO(base64.b64decode(answer["upright"]))) as image:
        assert image.getexif()[ORIENTATION] == 1


@pytest.mark.parametrize("cut", [3, 20, 32, 40])
def test_a_file_that_is_cut_off_before_it_says_nothing(cut: int, ask: Asked) -> None:
    """The tag is the second of the directory, whose first begins at byte 40."""
    content = file("JPEG", 6)
    assert content.index(b"\x12\x01\x03") > 40
    blank = given.picture(np.zeros((2, 3, 3), np.uint8))
    (answer,) = ask("orientation", [{"file": given.encoded(content[:cut]), "picture": blank}])
    assert answer["orientation"] == 1
