"""Instance: one Part 10 object in, one without anybody's identity out. It runs in a worker process.

Spec: https://dicom.nema.org/medical/dicom/current/output/chtml/part15/chapter_E.html
"""

import io
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from pydicom import Dataset, dcmread, dcmwrite
from pydicom import Sequence as Items
from pydicom.encaps import encapsulate, generate_frames
from pydicom.uid import ExplicitVRLittleEndian

from dicomweb.deidentify.attributes import Work, identifying, treat
from dicomweb.deidentify.burned import Box, boxes_of
from dicomweb.deidentify.keyed import Key
from dicomweb.deidentify.options import Options
from dicomweb.deidentify.streams import bare
from dicomweb.deidentify.words import Words
from dicomweb.pixels.codecs import decode_frame, syntax_of
from dicomweb.pixels.faults import PixelFailure
from dicomweb.pixels.layout import Layout, layout_of, pixel_keyword
from dicomweb.pixels.native import bytes_of, cut_frame, frame_range, native_layout, swapped
from dicomweb.pixels.syntaxes import BIG_ENDIAN

_DOCUMENTS = "1.2.840.10008.5.1.4.1.1.104."
_VIDEO = "video"
_META_LEFT = ("FileMetaInformationVersion", "MediaStorageSOPClassUID", "TransferSyntaxUID")


def deidentified(
    content: bytes, options: Mapping[str, bool], secret: bytes, boxes: Sequence[Mapping[str, Any]] = ()
) -> dict[str, Any]:
    """Return a Part 10 object without anybody's identity, and its new UIDs.

    Args:
        options: see Options. secret: of the key. boxes: the site's own rules of burnt-in text.

    Raises:
        PixelFailure: nobody can know what it says of whom (a document, a film, text in the pixels).
    """
    dataset, wish, key = dcmread(io.BytesIO(content)), Options(**options), Key(secret)
    _check(dataset)
    patient = f"{dataset.get('IssuerOfPatientID', '') or ''}|{dataset.get('PatientID', '') or dataset.StudyInstanceUID}"
    work = Work(wish, key, Words(identifying(dataset, wish)), key.days(patient))
    _pixels(dataset, wish, boxes)
    treat(dataset, work)
    _say(dataset, wish, key.pseudonym(patient))
    return {
        "body": _written(dataset),
        "study": str(dataset.StudyInstanceUID),
        "series": str(dataset.SeriesInstanceUID),
        "instance": str(dataset.SOPInstanceUID),
    }


def _check(dataset: Any) -> None:
    sop_class = str(dataset.get("SOPClassUID", ""))
    if sop_class.startswith(_DOCUMENTS) or "EncapsulatedDocument" in dataset:
        raise PixelFailure("unsupported", "documents are not de-identified: nobody can know what they say")
    for keyword in ("StudyInstanceUID", "SeriesInstanceUID", "SOPInstanceUID"):
        if not dataset.get(keyword):
            raise PixelFailure("refused", f"the object has no {keyword}")
    if dataset.get("Modality") == "AU":
        raise PixelFailure("unsupported", "recordings of voices are not de-identified")


def _pixels(dataset: Any, wish: Options, more: Sequence[Mapping[str, Any]]) -> None:
    """Blacken what is burnt in, where that was asked for; without it, refuse what says that it names somebody."""
    keyword = pixel_keyword(dataset)
    if not keyword:
        return
    if syntax_of(str(dataset.file_meta.TransferSyntaxUID)).codec == _VIDEO:
        raise PixelFailure("unsupported", "films are not de-identified: names may be written into them")
    boxes = boxes_of(dataset, more) if wish.pixels else []
    if boxes is None:
        raise PixelFailure("unsupported", "text may be burnt into the image, and no rule says where")
    if not wish.pixels and str(dataset.get("BurnedInAnnotation", "")).upper() == "YES":
        raise PixelFailure("unsupported", "text is burnt into the image: ask for the option pixels")
    embedded = any((group, 0x0102) in dataset and (group, 0x3000) not in dataset for group in range(0x6000, 0x6020, 2))
    if keyword == "PixelData" and (boxes or embedded):
        _blackened(dataset, boxes)
    elif not syntax_of(str(dataset.file_meta.TransferSyntaxUID)).native:
        frames = [bare(frame) for frame in generate_frames(dataset.PixelData, number_of_frames=_frames(dataset))]
        dataset.PixelData = encapsulate(frames)
    if wish.pixels:
        dataset.BurnedInAnnotation = "NO"


def _blackened(dataset: Any, boxes: Sequence[Box]) -> None:
    """Decode all frames, set what lies in the boxes to the darkest value, and clear bits that hold overlays."""
    layout, uid = layout_of(dataset), str(dataset.file_meta.TransferSyntaxUID)
    frames, photometric = [], layout.photometric
    for data in _stored(dataset, layout, uid):
        frame = decode_frame(data, layout, uid)
        array, photometric = np.array(frame.array), frame.photometric
        for left, top, width, height in boxes:
            array[max(top, 0) : top + height, max(left, 0) : left + width] = _dark(photometric, layout)
        frames.append(bytes_of(_without_overlays(array, layout), native_layout(layout, photometric)))
    data = b"".join(frames)
    dataset.PixelData = data + b"\0" * (len(data) % 2)
    dataset["PixelData"].VR = "OW" if layout.allocated > 8 else "OB"
    dataset["PixelData"].is_undefined_length = False
    dataset.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    shape = native_layout(layout, photometric)
    dataset.PhotometricInterpretation = shape.photometric
    if layout.samples > 1:
        dataset.PlanarConfiguration = 0


def _stored(dataset: Any, layout: Layout, uid: str) -> list[bytes]:
    data = dataset.PixelData
    if not syntax_of(uid).native:
        return list(generate_frames(data, number_of_frames=layout.frames))
    words = uid == BIG_ENDIAN and dataset["PixelData"].VR == "OW"
    ranges = [frame_range(layout, number) for number in range(layout.frames)]
    cut = [cut_frame(data[start:end], layout, number) for number, (start, end) in enumerate(ranges)]
    return [swapped(frame, layout, words) for frame in cut] if uid == BIG_ENDIAN else cut


def _dark(photometric: str, layout: Layout) -> int:
    if photometric == "MONOCHROME1":
        return (1 << layout.stored - (1 if layout.signed else 0)) - 1
    if photometric == "MONOCHROME2" and layout.signed:
        return -(1 << layout.stored - 1)
    return 0


def _without_overlays(array: Any, layout: Layout) -> Any:
    """Clear the bits above those that are stored."""
    unused = layout.allocated - layout.stored
    if unused <= 0 or array.dtype.kind == "f" or layout.allocated == 1:
        return array
    return (array << unused) >> unused


def _frames(dataset: Any) -> int:
    return layout_of(dataset).frames


def _say(dataset: Any, wish: Options, pseudonym: str) -> None:
    """Say what was done, as the profile wants it said."""
    dataset.PatientID = pseudonym
    dataset.PatientName = pseudonym
    dataset.PatientIdentityRemoved = "YES"
    dataset.DeidentificationMethod = "DICOM PS3.15 E Basic Profile and options by code"
    dataset.DeidentificationMethodCodeSequence = Items([_code(*code) for code in wish.codes()])
    kept = "UNMODIFIED" if wish.dates else "MODIFIED" if wish.shift else "REMOVED"
    dataset.LongitudinalTemporalInformationModified = kept
    for element in [each for each in dataset if 0x6000 <= each.tag.group <= 0x60FF]:
        if (element.tag.group, 0x3000) not in dataset:
            del dataset[element.tag]


def _code(value: str, meaning: str) -> Dataset:
    item = Dataset()
    item.CodeValue, item.CodingSchemeDesignator, item.CodeMeaning = value, "DCM", meaning
    return item


def _written(dataset: Any) -> bytes:
    """Write it with new File Meta Information and an empty preamble; whatever was there before is nobody's need."""
    dataset.preamble = b"\0" * 128
    for element in list(dataset.file_meta):
        if element.keyword not in _META_LEFT:
            del dataset.file_meta[element.tag]
    dataset.file_meta.MediaStorageSOPInstanceUID = dataset.SOPInstanceUID
    if str(dataset.file_meta.TransferSyntaxUID) == BIG_ENDIAN:
        raise PixelFailure("unsupported", "objects in Explicit VR Big Endian are not de-identified: transcode them")
    buffer = io.BytesIO()
    dcmwrite(buffer, dataset, enforce_file_format=True)
    return buffer.getvalue()
