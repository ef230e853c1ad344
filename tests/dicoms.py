"""DICOM files for tests, with a patient in each."""

from __future__ import annotations

import io
from typing import Any

import numpy as np

# Who is in every file. None of it may be found in anything that edgedense writes.
NAME, ID, BIRTH = "Featherstonehaugh^Cholmondeley", "PID-77310-QX", "19370214"
PATIENT = (NAME, "Featherstonehaugh", "Cholmondeley", ID, BIRTH)
_UID = "1.2.826.0.1.3680043.8.498.1"


def dataset(pixels: np.ndarray, bits: int | None = None, **entries: Any) -> Any:
    """A data set with [H, W] or RGB [H, W, 3] `pixels` of 8 or 16 bits, of which `bits` are in use; `entries` are
    further ones, or others."""
    from pydicom.dataset import Dataset, FileMetaDataset
    from pydicom.uid import ExplicitVRLittleEndian, SecondaryCaptureImageStorage

    meta = FileMetaDataset()
    meta.TransferSyntaxUID = ExplicitVRLittleEndian
    meta.MediaStorageSOPClassUID, meta.MediaStorageSOPInstanceUID = SecondaryCaptureImageStorage, _UID
    found = Dataset()
    found.file_meta = meta
    found.SOPClassUID, found.SOPInstanceUID = SecondaryCaptureImageStorage, _UID
    found.PatientName, found.PatientID, found.PatientBirthDate = NAME, ID, BIRTH
    found.Rows, found.Columns = pixels.shape[:2]
    found.SamplesPerPixel = 3 if pixels.ndim == 3 else 1
    found.PhotometricInterpretation = "RGB" if pixels.ndim == 3 else "MONOCHROME2"
    if pixels.ndim == 3:
        found.PlanarConfiguration = 0
    found.BitsAllocated = 8 * pixels.dtype.itemsize
    found.BitsStored = bits or found.BitsAllocated
    found.HighBit = found.BitsStored - 1
    found.PixelRepresentation = int(pixels.dtype.kind == "i")
    found.PixelData = pixels.tobytes() + b"\0" * (pixels.nbytes % 2)
    for name, value in entries.items():
        setattr(found, name, value)
    return found


def encoded(data: Any) -> bytes:
    """The file's content."""
    target = io.BytesIO()
    data.save_as(target, enforce_file_format=True)
    return target.getvalue()


def dicom(pixels: np.ndarray, bits: int | None = None, **entries: Any) -> bytes:
    """The content of a file made by `dataset`."""
    return encoded(dataset(pixels, bits, **entries))


def compressed(pixels: np.ndarray, frame: bytes, syntax: str, **entries: Any) -> bytes:
    """The content of a file whose `pixels` are compressed to `frame`."""
    from pydicom.encaps import encapsulate
    from pydicom.uid import UID

    data = dataset(pixels, **entries)
    data.file_meta.TransferSyntaxUID = UID(syntax)
    data.PixelData = encapsulate([frame])
    data["PixelData"].VR = "OB"
    data["PixelData"].is_undefined_length = True
    return encoded(data)
