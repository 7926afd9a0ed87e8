"""Pictures of texture of real radiographs, with and without a synthetic nodule, as DICOM objects."""

from functools import cache
from importlib.resources import files
from typing import Any

import numpy as np
from PIL import Image
from pydicom import dcmread
from pydicom.uid import generate_uid

from tests.plugins.dicomweb.pixels.files import image


@cache
def _radiograph(name: str) -> Any:
    dataset = dcmread(str(files("data_store").joinpath("data", name)))
    values = dataset.pixel_array.astype(np.float32)
    low, high = np.percentile(values, (1, 99))
    return 1 - np.clip((values - low) / (high - low), 0, 1)


def texture(name: str, top: int, left: int, side: int) -> Any:
    """Cut a square of a radiograph and make it 128 pixels wide."""
    part = np.ascontiguousarray(_radiograph(name)[top : top + side, left : left + side])
    return np.asarray(Image.fromarray(part).resize((128, 128), Image.Resampling.BOX), np.float32)


def disc(row: int, column: int, radius: float) -> Any:
    """A round shadow with a soft edge."""
    rows, columns = np.mgrid[0:128, 0:128]
    away = np.hypot(rows - row, columns - column) / radius
    return 1 / (1 + np.exp(np.clip((away - 1) * 10, -50, 50)))


def plain() -> Any:
    """Texture that the model knows for certain."""
    return texture("RG3_UNCR.dcm", 0, 0, 1000)


def nodule(row: int = 70, column: int = 60) -> Any:
    """Texture with a disc in it that nobody would miss."""
    return texture("RG1_UNCR.dcm", 1000, 500, 900) + 0.6 * disc(row, column, 8)


def unsure() -> Any:
    """Texture of bones that a disc might be in."""
    return texture("RG1_UNCR.dcm", 300, 0, 1200)


def radiograph(pixels: Any, **attributes: Any) -> bytes:
    """Return a Part 10 object of it; `invert` stores it as MONOCHROME1."""
    scaled = (pixels - pixels.min()) / max(float(pixels.max() - pixels.min()), 1e-6)
    invert = attributes.pop("invert", False)
    stored = (np.clip(1 - scaled if invert else scaled, 0, 1) * 4000).astype(np.uint16)
    told = {
        "Modality": "DX", "SOPClassUID": "1.2.840.10008.5.1.4.1.1.1.1", "PatientID": "ai-1",
        "IssuerOfPatientID": "http://hospital.example/mrn", "PatientName": "Njoroge^Wanjiku", "PatientSex": "F",
        "PatientBirthDate": "19800214", "StudyDate": "20261101", "StudyTime": "101500",
        "StudyInstanceUID": generate_uid(), "SeriesInstanceUID": generate_uid(), "InstanceNumber": "1",
    } | attributes  # fmt: skip
    return image(stored, "MONOCHROME1" if invert else "MONOCHROME2", **told)
