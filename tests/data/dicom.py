"""DICOM files of every kind that is read, for the tests: made here, not stored."""

from __future__ import annotations

import io
from typing import Any

import numpy as np

JPEG_LS = "1.2.840.10008.1.2.4.80"


def dicom(
    stored: np.ndarray, photometric: str = "MONOCHROME2", syntax: str = "", frames: int = 1, **tags: Any
) -> bytes:
    """A file of these stored numbers, (H, W) or (H, W, 3), repeated in each frame; tags: further elements."""
    import pydicom
    from pydicom.dataset import FileDataset, FileMetaDataset
    from pydicom.uid import UID, ExplicitVRLittleEndian, SecondaryCaptureImageStorage

    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID = SecondaryCaptureImageStorage
    meta.MediaStorageSOPInstanceUID = UID("1.2.3")
    meta.TransferSyntaxUID = UID(syntax) if syntax else ExplicitVRLittleEndian
    data = FileDataset("", {}, file_meta=meta, preamble=bytes(128))
    data.SOPClassUID, data.SOPInstanceUID, data.Modality = SecondaryCaptureImageStorage, "1.2.3", "CT"
    data.Rows, data.Columns = stored.shape[:2]
    data.SamplesPerPixel = stored.shape[2] if stored.ndim == 3 else 1
    if data.SamplesPerPixel > 1:
        data.PlanarConfiguration = 0
    if frames > 1:
        data.NumberOfFrames = frames
    data.PhotometricInterpretation = photometric
    data.BitsAllocated = data.BitsStored = 8 * stored.itemsize
    data.PixelRepresentation = int(stored.dtype.kind == "i")
    for name, value in tags.items():
        if value is None:
            delattr(data, name)
        else:
            setattr(data, name, value)
    data.HighBit = data.BitsStored - 1
    content = [stored.tobytes()] * frames
    if meta.TransferSyntaxUID.is_encapsulated:
        data["PixelData"] = pydicom.DataElement(0x7FE00010, "OB", pydicom.encaps.encapsulate(content))
        data["PixelData"].is_undefined_length = True
    else:
        data["PixelData"] = pydicom.DataElement(0x7FE00010, "OW", b"".join(content))
    buffer = io.BytesIO()
    data.save_as(buffer, enforce_file_format=True)
    return buffer.getvalue()
