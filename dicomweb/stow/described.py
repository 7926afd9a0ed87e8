"""Objects that come as metadata (JSON or XML) with their bulk data beside: made into Part 10 objects."""

from collections.abc import Mapping
from io import BytesIO
from typing import Any, Final

import msgspec
from pydicom import Dataset, dcmwrite
from pydicom.dataset import FileMetaDataset
from pydicom.encaps import encapsulate

from dicomweb.ingest.meta import CLASS_UID
from dicomweb.ingest.syntaxes import EXPLICIT, is_native
from dicomweb.model.values import DicomJson
from dicomweb.wado.native_xml import from_xml
from fhir_server.plugin_api import BadRequest

_SYNTAX: Final = "00083002"
_PIXELS: Final = "7FE00010"


def data_sets(body: bytes, media: str) -> list[DicomJson]:
    """Return the data sets of a metadata part. Raises BadRequest."""
    if media.endswith("+xml"):
        return [from_xml(body)]
    try:
        found = msgspec.json.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise BadRequest(f"the metadata is no JSON: {error}", expression="http.body") from None
    made = found if isinstance(found, list) else [found]
    if not made or not all(isinstance(each, dict) for each in made):
        raise BadRequest("the metadata is no DICOM JSON: an array of objects", expression="http.body")
    return made


def part10(attributes: DicomJson, bulk: Mapping[str, tuple[str, list[bytes]]]) -> bytes:
    """Return an object. bulk: transfer syntax and bytes of each bulk data part by its URI.

    Raises:
        ValueError: it cannot be encoded; the words are for whoever sent it.
    """
    missing: list[str] = []
    syntaxes: list[str] = []

    def fetch(tag: str, vr: str, uri: str) -> bytes:
        found = bulk.get(uri) or bulk.get(uri.rstrip("/").rsplit("/", 1)[-1])
        if found is None:
            missing.append(tag)
            return b""
        syntax, parts = found
        if tag.upper() == _PIXELS and syntax:
            syntaxes.append(syntax)
        if tag.upper() == _PIXELS and syntax and not is_native(syntax):
            return bytes(encapsulate(parts))
        data = b"".join(parts)
        return data + b"\0" * (len(data) % 2)

    plain = {tag: value for tag, value in attributes.items() if tag != _SYNTAX and not tag.startswith("0002")}
    try:
        data_set = Dataset.from_json(plain, lambda tag, vr, uri: fetch(tag, vr, uri))
    except Exception as error:
        raise ValueError(f"the metadata is no DICOM JSON ({type(error).__name__})") from None
    if missing:
        raise ValueError(f"there is no bulk data for {missing[0]}")
    return _written(data_set, (syntaxes or [_syntax(attributes)])[0])


def _syntax(attributes: DicomJson) -> str:
    for tag in (_SYNTAX, "00020010"):
        values: list[Any] = attributes.get(tag, {}).get("Value") or []
        if values:
            return str(values[0])
    return EXPLICIT


def _written(data_set: Dataset, syntax: str) -> bytes:
    data_set.file_meta = FileMetaDataset()
    data_set.file_meta.TransferSyntaxUID = syntax
    data_set.file_meta.MediaStorageSOPClassUID = data_set.get("SOPClassUID", "")
    data_set.file_meta.MediaStorageSOPInstanceUID = data_set.get("SOPInstanceUID", "")
    data_set.file_meta.ImplementationClassUID = CLASS_UID
    if "PixelData" in data_set and not is_native(syntax):
        data_set["PixelData"].VR = "OB"
        data_set["PixelData"].is_undefined_length = True
    if "SpecificCharacterSet" not in data_set or data_set.SpecificCharacterSet != "ISO_IR 192":
        data_set.SpecificCharacterSet = "ISO_IR 192"
    out = BytesIO()
    try:
        dcmwrite(out, data_set, enforce_file_format=True)
    except Exception as error:
        raise ValueError(f"the metadata cannot be encoded ({type(error).__name__})") from None
    return out.getvalue()
