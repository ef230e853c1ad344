"""A DICOM file -> RGB or grey pixels of 8 bits, as a viewer shows it first. pydicom reads it, and is loaded only here.

A file's stored values become levels in the order that the standard gives (DICOM PS3.3, C.11): rescale slope and
intercept, or the modality table; then the table of values of interest, or else the first window; then black and white
are exchanged where the smallest value is to be white. Without table and window the whole range of the bits in use goes
from black to white: it is the same for every picture, whatever its own darkest and brightest values are.

Nothing that says whose picture it is leaves the file. Only the entries below are read. No error tells what an entry
holds, and what pydicom says of an entry that it cannot read is dropped, because it quotes it.
"""

from __future__ import annotations

import contextlib
import threading
import warnings
from collections.abc import Iterator
from typing import IO, Any, BinaryIO, cast

import numpy as np
from numpy.typing import NDArray

from edgedense.errors import EdgedenseError
from edgedense.images import memory

Pixels = NDArray[np.uint8]

SUFFIXES = (".dcm", ".dicom")
_MARK, _PREAMBLE = b"DICM", 128  # DICOM PS3.10, 7.1
# All behind the first entries is one zlib stream then, which may be a thousand times as long when it is opened.
_DEFLATED, _FIRST_ENTRIES = b"1.2.840.10008.1.2.1.99", 4096
# The beginning of a JP2 file. The standard wants what is inside (PS3.5, A.4.4), and pydicom 3.0 walks from box to box
# of it without end where one says that it has no length.
_JP2 = b"\0\0\0\x0cjP  "
_PALETTE = [
    f"{before}{colour}PaletteColorLookupTable{part}"
    for colour in ("Red", "Green", "Blue")
    for before, part in (("", "Descriptor"), ("", "Data"), ("Segmented", "Data"))
]
_ENTRIES = [
    *("Rows", "Columns", "SamplesPerPixel", "PhotometricInterpretation", "NumberOfFrames"),
    *("BitsAllocated", "BitsStored", "PixelRepresentation"),
    *("RescaleSlope", "RescaleIntercept", "ModalityLUTSequence"),
    *("WindowCenter", "WindowWidth", "VOILUTFunction", "VOILUTSequence"),
    *_PALETTE,
]
_WHITE_FIRST, _INDEXED = "MONOCHROME1", "PALETTE COLOR"
_GREY, _COLOURED = (_WHITE_FIRST, "MONOCHROME2"), ("RGB", "YBR_FULL", "YBR_FULL_422", "YBR_ICT", "YBR_RCT")
_AGAIN = "export it again from where it came from"
_AT_ONCE = 1 << 18  # values that are looked up at a time
# pydicom warns of what it mends, and quotes it. Python can silence warnings only in all threads at once, so that one
# file is read at a time. With that, what is free for one large picture is not counted on by two.
_one_at_a_time = threading.Lock()


def is_dicom(file: IO[bytes]) -> bool:
    """Whether an open file says that it is one. It is left at its beginning."""
    file.seek(_PREAMBLE)
    marked = file.read(len(_MARK)) == _MARK
    file.seek(0)
    return marked


def read(file: IO[bytes]) -> Pixels:
    """An open DICOM file with one picture -> uint8 [H, W, 3] in RGB, or [H, W] where it is grey.

    Raises EdgedenseError when pydicom or a decoder that the file needs is not installed, when there is no picture or
    more than one, when its values have more than 16 bits or mean colours in another way than RGB, YBR or a palette,
    when the memory that is free does not hold it, and when the file is damaged.
    """
    try:
        import pydicom  # noqa: F401
    except ImportError as error:
        raise EdgedenseError(
            "pydicom, which reads DICOM files", "a DICOM file, and no pydicom", "pip install 'edgedense[dicom]'"
        ) from error
    with _one_at_a_time, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        header = _header(file)
        stored = _stored(file, header)
        with _damage_is_told("one with a window, a table or a slope that makes no levels"):
            return _looked_up(stored, header)


@contextlib.contextmanager
def _damage_is_told(found: str, hint: str = _AGAIN) -> Iterator[None]:
    """Whatever goes wrong in here is the file's damage, and pydicom raises nearly any kind of error then, from KeyError
    to RecursionError. Its text is not told: it may quote the file."""
    try:
        yield
    except EdgedenseError:
        raise
    except Exception:
        raise EdgedenseError("a whole DICOM file", found, hint) from None


def _header(file: IO[bytes]) -> Any:
    """What is said of the picture, without its values. EdgedenseError where it is none, or one that is not read."""
    from pydicom import dcmread

    if _DEFLATED in file.read(_FIRST_ENTRIES):
        raise EdgedenseError(
            "a DICOM file whose picture alone is compressed", "one that is deflated as a whole", _AGAIN
        )
    file.seek(0)
    with _damage_is_told("damaged entries"):
        header = dcmread(file, stop_before_pixels=True, specific_tags=_ENTRIES)
        if not header.get("Rows") or not header.get("Columns"):
            raise EdgedenseError("a DICOM file with a picture", "one without")
        if (frames := int(header.get("NumberOfFrames") or 1)) != 1:
            raise EdgedenseError(
                "a DICOM file with one picture", f"one with {frames}", "save the one that counts as a file of its own"
            )
        if header.PhotometricInterpretation not in (*_GREY, *_COLOURED, _INDEXED):
            raise EdgedenseError("a DICOM file in grey, RGB or YBR, or with a palette", "one with other colours")
        if not 1 <= int(header.BitsStored) <= 16 or int(header.BitsAllocated) > 16:
            bits = f"{int(header.BitsStored)} of {int(header.BitsAllocated)} bits"
            raise EdgedenseError("a DICOM file that uses 1 to 16 bits", f"one that uses {bits}")
        return header


def _stored(file: IO[bytes], header: Any) -> NDArray[Any]:
    """The values as they are stored, [rows, columns] or [rows, columns, 3]; YBR has become RGB."""
    from pydicom.pixels import pixel_array

    missing = _missing_decoders(header)
    with _damage_is_told("damaged entries"):
        needed, what = _needed_bytes(header), f"one of {int(header.Columns)}x{int(header.Rows)} pixels"
    memory.require(needed, what)
    file.seek(0)
    if header.file_meta.TransferSyntaxUID.is_encapsulated and _JP2 in file.read():
        raise EdgedenseError("a DICOM file with a plain JPEG 2000 stream", "one with a whole JP2 file inside", _AGAIN)
    hint = f"{_AGAIN}; or, if it is whole, pip install {missing}" if missing else _AGAIN
    with _damage_is_told("one whose picture cannot be decoded", hint):
        try:
            stored: NDArray[Any] = pixel_array(cast(BinaryIO, file), index=0)
        except MemoryError as error:  # a limit of another kind, such as ulimit -v
            raise memory.too_little(needed, what, "less is free") from error
        return stored


def _missing_decoders(header: Any) -> str:
    """Which packages are not installed that decode the file too. EdgedenseError where no other does."""
    from pydicom.pixels import get_decoder

    with _damage_is_told("one with a compression that pydicom does not know"):
        syntax = header.file_meta.TransferSyntaxUID
        decoder = get_decoder(syntax)
        needing = [line.partition(" requires ")[2] for line in decoder.missing_dependencies]
    # pylibjpeg's part for JPEG is under the GPL, and so is not named where another does the same. What pydicom calls
    # gdcm is the package python-gdcm.
    named = sorted(words.replace("gdcm", "python-gdcm") for words in needing if words and "pylibjpeg" not in words)
    missing = " or ".join(f"'{words}'" for words in named)
    if not decoder.is_available:
        raise EdgedenseError(f"a decoder for {syntax.name}", "none that pydicom can call", f"pip install {missing}")
    return missing


def _needed_bytes(header: Any) -> int:
    """How much memory decoding will take: the values as read, decoded and put in order, in float32 too where colours
    are converted; and the levels, which Pillow copies."""
    samples = int(header.get("SamplesPerPixel") or 1)
    copies = 3 if header.file_meta.TransferSyntaxUID.is_encapsulated else 2 if samples > 1 else 1
    stored = copies * -(-int(header.BitsAllocated) // 8) * samples
    converted = 8 * samples if str(header.PhotometricInterpretation).startswith("YBR_FULL") else 0
    levels = 2 * (3 if header.PhotometricInterpretation == _INDEXED else samples)
    return int(header.Rows) * int(header.Columns) * (stored + converted + levels)


def _looked_up(stored: NDArray[Any], header: Any) -> Pixels:
    """Each of the stored values as a level. There are at most 65,536 of them, so that every one is computed once."""
    low = int(stored.min())
    table = _table(np.arange(low, int(stored.max()) + 1, dtype=np.int32), header)
    found = np.empty(stored.shape + table.shape[1:], np.uint8)
    step = max(1, _AT_ONCE // stored[0].size)
    for start in range(0, len(stored), step):
        found[start : start + step] = table[stored[start : start + step].astype(np.int32) - low]
    return found


def _table(values: NDArray[np.int32], header: Any) -> Pixels:
    """Stored values [N] -> their levels [N], or [N, 3] where they are numbers of colours."""
    from pydicom.pixels import apply_color_lut

    if header.PhotometricInterpretation == _INDEXED:
        colours = apply_color_lut(values, header)[:, :3]
        return (colours >> 8 if colours.dtype == np.uint16 else colours).astype(np.uint8)
    if header.PhotometricInterpretation in _COLOURED:
        return _levels(values, 0, 2 ** int(header.BitsStored) - 1)
    levels = _levels(*_shown(values, header))
    return 255 - levels if header.PhotometricInterpretation == _WHITE_FIRST else levels


def _shown(values: NDArray[np.int32], header: Any) -> tuple[NDArray[Any], float, float]:
    """Stored grey values [N] -> what is shown of them [N], and which of these are black and white."""
    from pydicom.pixels import apply_modality_lut, apply_voi_lut

    shown, (black, white) = apply_modality_lut(values, header), _modality_range(header)
    if table := _table_of_interest(header):
        entries, first, bits = table.LUTDescriptor
        # pydicom counts a table's entries in as many bits as an entry has, and takes no fractions.
        table.LUTDescriptor = [entries, first, 16]
        shown = np.rint(shown).clip(first, first + (entries or 1 << 16) - 1).astype(np.int64)
        black, white = 0, 2**bits - 1
    elif None in (header.get("WindowCenter"), header.get("WindowWidth")):
        return shown, min(black, white), max(black, white)  # a negative slope exchanges them, but in a window
    return apply_voi_lut(shown, header), black, white


def _table_of_interest(header: Any) -> Any:
    """The first table of values of interest, if it is whole."""
    tables = header.get("VOILUTSequence")
    whole = tables and None not in (tables[0].get("LUTDescriptor"), tables[0].get("LUTData"))
    return tables[0] if whole else None


def _modality_range(header: Any) -> tuple[float, float]:
    """What the smallest and the largest value that can be stored become."""
    from pydicom.pixels import apply_modality_lut

    if tables := header.get("ModalityLUTSequence"):
        return 0, 2 ** tables[0].LUTDescriptor[2] - 1
    bits = int(header.BitsStored)
    low = -(1 << bits - 1) if header.PixelRepresentation else 0
    first, last = apply_modality_lut(np.array([low, low + (1 << bits) - 1]), header)
    return float(first), float(last)


def _levels(values: NDArray[Any], black: float, white: float) -> Pixels:
    """The nearest of 256 levels. What is darker than black or brighter than white is cut off."""
    shares = (values.astype(np.float64) - black) / (white - black)
    if not np.isfinite(shares).all():
        raise ValueError("no levels")
    return np.rint(255 * shares.clip(0, 1)).astype(np.uint8)
