"""Files that come with pydicom and pydicom-data, opened as the archive opens an instance."""

import io
from collections.abc import AsyncIterator, Iterator
from importlib.resources import files
from pathlib import Path
from typing import Any

import numpy as np
from pydicom import Dataset, FileMetaDataset, dcmread
from pydicom.encaps import generate_frames
from pydicom.errors import InvalidDicomError
from pydicom.uid import ExplicitVRLittleEndian, generate_uid

from dicomweb.model.values import Instance, Pixels
from dicomweb.pixels.layout import layout_of, pixel_keyword
from dicomweb.pixels.native import cut_frame, frame_range
from dicomweb.pixels.syntaxes import SYNTAXES

HERE = Path(str(files("pydicom").joinpath("data", "test_files")))
MORE = Path(str(files("data_store").joinpath("data")))
DEFLATED = "1.2.840.10008.1.2.1.99"


def read(name: str) -> bytes:
    """Return one of pydicom's files."""
    path = HERE / name
    return (path if path.exists() else MORE / name).read_bytes()


def all_images(most_rows: int = 1100) -> Iterator[tuple[str, "Object"]]:
    """Yield the images among the files that are whole, each name once, smaller ones alone."""
    for folder in (HERE, MORE):
        for path in sorted(folder.glob("*.dcm")):
            try:
                found = Object(path.read_bytes())
            except (AttributeError, InvalidDicomError, OSError, ValueError, KeyError, UserWarning):
                continue
            if found.keyword and (found.dataset.get("Rows") or most_rows + 1) <= most_rows:
                yield path.name, found


class Object:
    """An instance that is open; see dicomweb/model/archive.py."""

    def __init__(self, content: bytes) -> None:
        self.content = content
        self.dataset: Any = dcmread(io.BytesIO(content))
        self.keyword = pixel_keyword(self.dataset)
        syntax, pixels = str(self.dataset.file_meta.TransferSyntaxUID), None
        if self.keyword:
            frames = int(self.dataset.get("NumberOfFrames", 1) or 1)
            pixels = Pixels(0, -1, frames, 0, f"{int(self.dataset[self.keyword].tag):08X}")
        sop_class = str(self.dataset.get("SOPClassUID", ""))
        self.instance = Instance("1", "2", "3", sop_class, syntax, len(content), "", pixels=pixels)

    async def header(self) -> bytes:
        if not self.keyword or self.instance.transfer_syntax == DEFLATED:
            return self.content
        stream = io.BytesIO(self.content)
        dcmread(stream, stop_before_pixels=True)
        return self.content[: stream.tell() + (8 if self.instance.transfer_syntax == "1.2.840.10008.1.2" else 12)]

    async def data_set(self) -> bytes:
        raise NotImplementedError

    async def chunks(self, start: int = 0, end: int | None = None) -> AsyncIterator[bytes]:
        yield self.content[start:end]

    async def frame(self, number: int) -> bytes:
        data = self.dataset[self.keyword].value
        assert self.instance.pixels is not None
        if SYNTAXES[self.instance.transfer_syntax].native:
            layout = layout_of(self.dataset)
            start, end = frame_range(layout, number - 1)
            return cut_frame(data[start:end], layout, number - 1)
        return list(generate_frames(data, number_of_frames=self.instance.pixels.frames))[number - 1]


def image(pixels: Any, photometric: str = "MONOCHROME2", **attributes: Any) -> bytes:
    """Return a Part 10 object of an array: (rows, columns) or (frames, rows, columns); colours last."""
    made = Dataset()
    made.file_meta = FileMetaDataset()
    made.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    made.SOPClassUID = made.file_meta.MediaStorageSOPClassUID = "1.2.840.10008.5.1.4.1.1.2"
    made.SOPInstanceUID = made.file_meta.MediaStorageSOPInstanceUID = generate_uid()
    made.StudyInstanceUID, made.SeriesInstanceUID = generate_uid(), generate_uid()
    made.Modality, made.PatientID, made.PatientName = "CT", "P1", "Doe^Jane"
    made.SamplesPerPixel = 1 if photometric.startswith(("MONO", "PAL")) else 3
    shape = pixels.shape[:-1] if made.SamplesPerPixel == 3 else pixels.shape
    if len(shape) == 3:
        made.NumberOfFrames = shape[0]
    made.Rows, made.Columns = shape[-2:]
    made.PhotometricInterpretation = photometric
    bits = pixels.dtype.itemsize * 8
    made.BitsAllocated, made.BitsStored, made.HighBit = bits, bits, bits - 1
    made.PixelRepresentation = int(pixels.dtype.kind == "i")
    if made.SamplesPerPixel == 3:
        made.PlanarConfiguration = 0
    data = np.ascontiguousarray(pixels).tobytes()
    made.PixelData = data + b"\0" * (len(data) % 2)
    made["PixelData"].VR = "OW" if bits > 8 else "OB"
    for keyword, value in attributes.items():
        setattr(made, keyword, value)
    buffer = io.BytesIO()
    made.save_as(buffer, enforce_file_format=True)
    return buffer.getvalue()
