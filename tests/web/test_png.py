"""web/src/decoding/png.ts: every kind of PNG gives the pixels that edgedense gets out of it."""

from __future__ import annotations

import io

import numpy as np
import pytest
from PIL import Image

from edgedense.errors import EdgedenseError
from edgedense.images.decoding import opened
from edgedense.images.depth import Depth
from tests.pictures import picture
from tests.web import given
from tests.web.conftest import Asked


def saved(image: Image.Image, **options: object) -> bytes:
    target = io.BytesIO()
    image.save(target, "PNG", **options)
    return target.getvalue()


def files() -> dict[str, bytes]:
    """Of an odd width, so that rows of few bits end within a byte."""
    base = picture(np.random.default_rng(0), 21, 35)
    alpha = Image.fromarray(np.arange(21 * 35).reshape(21, 35).astype(np.uint8))
    found = {}
    for mode in ("RGB", "L", "P", "1", "LA", "RGBA"):
        image = base.convert(mode)
        if mode.endswith("A"):
            image.putalpha(alpha)
        found[mode] = saved(image)
    for bits in (1, 2, 4):
        few = base.convert("P", palette=Image.Palette.ADAPTIVE, colors=1 << bits)
        found[f"{bits} bits of a palette"] = saved(few, bits=bits, transparency=0)
    found["16 bits"] = saved(sixteen(65535))
    found["12 of 16 bits"] = saved(sixteen(4095))
    found["gamma and profile"] = saved(base, icc_profile=b"not used", gamma=0.1)
    found["one pixel"] = saved(base.crop((0, 0, 1, 1)))
    return found


def sixteen(largest: int) -> Image.Image:
    return Image.fromarray(np.random.default_rng(1).integers(0, largest + 1, (21, 35)).astype(np.uint16))


@pytest.mark.parametrize("depth", [8, 12, 16])
def test_the_same_pixels(depth: Depth, ask: Asked) -> None:
    contents = files()
    asked = [{"file": given.encoded(content), "depth": depth} for content in contents.values()]
    for name, content, answer in zip(contents, contents.values(), ask("png", asked), strict=True):
        with opened(content, depth=depth, whole=True) as image:
            rgb, grey = image.whole(), image.grey().whole()
        found = given.pixels(answer)
        expected = grey if found.shape[2] == 1 else rgb
        np.testing.assert_array_equal(found, expected, name)
        assert found.shape[2] == 3 or (rgb == grey).all(), name


def deep(colour: int, channels: int) -> bytes:
    """A PNG of 16 bits of a colour type that Pillow does not write: one pixel, 0x1234 in each channel."""
    import struct
    import zlib

    def chunk(name: bytes, content: bytes) -> bytes:
        checked = name + content
        return struct.pack(">I", len(content)) + checked + struct.pack(">I", zlib.crc32(checked))

    header = struct.pack(">IIBBBBB", 1, 1, 16, colour, 0, 0, 0)
    pixel = zlib.compress(b"\0" + b"\x12\x34" * channels)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", pixel) + chunk(b"IEND", b"")


@pytest.mark.parametrize(("colour", "channels"), [(2, 3), (4, 2), (6, 4)])
def test_colours_of_16_bits_keep_their_high_byte_and_are_refused_where_12_are_used(
    colour: int, channels: int, ask: Asked
) -> None:
    content = deep(colour, channels)
    with opened(content) as image:
        assert (image.whole() == 0x12).all()
    kept, refused = ask("png", [{"file": given.encoded(content), "depth": depth} for depth in (8, 12)])
    assert set(given.pixels(kept).ravel()) == {0x12}
    assert refused["problem"]["expected"] == "a grey picture without transparency where 16 bits hold 12"
    with pytest.raises(EdgedenseError, match="where 16 bits hold 12"), opened(content, depth=12):
        pass


def test_a_damaged_one_is_told(ask: Asked) -> None:
    content = saved(picture(np.random.default_rng(0)))
    cut, changed = content[: len(content) // 2], content[:100] + b"\xff" + content[101:]
    for answer in ask("png", [{"file": given.encoded(data), "depth": 8} for data in (cut, changed)]):
        assert answer["problem"]["expected"] == "a whole PNG"
