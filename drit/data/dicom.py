"""DICOM: one image a file, by pydicom. Grey ones are float32 in the file's own units: Hounsfield, counts, ...

Rescale slope and intercept (or the lookup table in their place) are applied, and where 0 is white (MONOCHROME1) the
numbers are turned round within what the stored bits hold. Windows are not: `--data.range` says what is black and white.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, BinaryIO

import numpy as np

from drit.data.containers import check_size, needs

_GREY = ("MONOCHROME1", "MONOCHROME2")
_COLOUR = ("RGB", "YBR_FULL", "YBR_FULL_422", "YBR_ICT", "YBR_RCT")
_DEFLATED = ("1.2.840.10008.1.2.1.99", "1.2.840.10008.1.2.8.1")  # packed as a whole: no bound to what it unpacks to


@dataclass(frozen=True)
class DicomHeader:
    """What the first frame of a DICOM file is."""

    height: int
    width: int
    grey: bool
    inverted: bool  # 0 is white in the file
    frames: int
    dataset: Any  # the elements before the pixels

    @property
    def dtype(self) -> np.dtype[Any]:
        """Of the samples that `read_dicom` gives."""
        return np.dtype(np.float32 if self.grey else np.uint8)


def read_dicom_header(file: BinaryIO) -> DicomHeader:
    """The header of a file. Raises ValueError for what is not read, saying what to convert, and anything for a damaged
    file."""
    try:
        import pydicom
        from pydicom.filereader import _read_file_meta_info, read_preamble
        from pydicom.pixels import get_decoder
    except ImportError as error:
        raise needs("pydicom", "DICOM") from error
    file.seek(0)
    read_preamble(file, False)
    syntax = _read_file_meta_info(file).get("TransferSyntaxUID")
    if syntax in _DEFLATED:
        raise ValueError(f"it is compressed as a whole ({syntax.name}): save it uncompressed")
    file.seek(0)
    dataset = pydicom.dcmread(file, stop_before_pixels=True)
    if "Rows" not in dataset or "Columns" not in dataset:
        raise ValueError(f"it holds no image (modality {dataset.get('Modality', 'unknown')})")
    photometric, samples = str(dataset.get("PhotometricInterpretation", "")), int(dataset.get("SamplesPerPixel", 1))
    bits, grey = int(dataset.get("BitsAllocated", 0)), photometric in _GREY
    if samples != (1 if grey else 3) or photometric not in (*_GREY, *_COLOUR):
        raise ValueError(f"its colours are of kind {photometric or 'unknown'} in {samples} samples: convert it to RGB")
    if bits not in ((8, 16, 32, 64) if grey else (8,)):
        raise ValueError(f"it holds {'grey' if grey else 'colours'} of {bits} bits: convert it to 8 or 16 bits")
    try:
        decoder = get_decoder(syntax)
    except (NotImplementedError, AttributeError) as error:
        name = getattr(syntax, "name", syntax)
        raise ValueError(f"its compression ({name}) is not known: save it uncompressed") from error
    if not decoder.is_available:
        raise ValueError(
            f"it is compressed as {syntax.name}, for which pydicom has no decoder here: save it uncompressed, or "
            f"install one ({', '.join(decoder.missing_dependencies)})"
        )
    height, width = int(dataset.Rows), int(dataset.Columns)
    check_size(height, width, samples * max(4, bits // 8))
    return DicomHeader(
        height, width, grey, photometric == _GREY[0], int(dataset.get("NumberOfFrames", 1) or 1), dataset
    )


def read_dicom(file: BinaryIO) -> tuple[np.ndarray, DicomHeader]:
    """The first frame (H, W, C) of a file: grey float32 in units, NaN where the file says there is no value
    (PixelPaddingValue); or colour uint8."""
    header = read_dicom_header(file)
    from pydicom.pixels import pixel_array

    file.seek(0)
    stored = pixel_array(file, index=0)
    if stored.shape[:2] != (header.height, header.width):
        raise ValueError(f"its pixels have shape {stored.shape}")
    if not header.grey:
        return stored.astype(np.uint8), header
    return _units(stored, header.dataset)[:, :, None], header


def _units(stored: np.ndarray, dataset: Any) -> np.ndarray:
    """Stored numbers (H, W) of grey in units, float32."""
    from pydicom.pixels import apply_modality_lut

    source = _transformation(dataset)
    values = np.asarray(apply_modality_lut(stored, source), np.float64)
    if dataset.PhotometricInterpretation == "MONOCHROME1":
        if stored.dtype.kind == "f":
            raise ValueError("0 is white in it, which means nothing for floating-point numbers")
        bits = int(dataset.BitsStored)
        low = -(1 << bits - 1) if stored.dtype.kind == "i" else 0
        ends = np.array([[low, low + (1 << bits) - 1]]).astype(stored.dtype)
        values = np.asarray(apply_modality_lut(ends, source), np.float64).sum() - values
    padding = dataset.get("PixelPaddingValue")
    if padding is not None:
        limit = dataset.get("PixelPaddingRangeLimit", padding)
        values[(stored >= min(padding, limit)) & (stored <= max(padding, limit))] = np.nan
    return values.astype(np.float32)


def _transformation(dataset: Any) -> Any:
    """The part of a file that holds slope and intercept of its first frame: enhanced ones have it deep within."""
    for groups in ("PerFrameFunctionalGroupsSequence", "SharedFunctionalGroupsSequence"):
        for group in (dataset.get(groups) or [])[:1]:
            for part in (group.get("PixelValueTransformationSequence") or [])[:1]:
                return part
    return dataset
