"""The records of an instance, and what it adds to those of its series and study."""

import base64
import zlib
from array import array
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

import msgspec

from dicomweb.index.collections import FRAMES, HEADERS, INSTANCES
from dicomweb.index.folding import folded_names
from dicomweb.index.levels import part_of
from dicomweb.ingest.facts import Uids, first
from dicomweb.model.values import DicomJson, Instance, Pixels
from fhir_server.plugin_api import Record, RecordChange

Row = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Held:
    """An object whose bytes are staged: all that its records say. spans: of encapsulated frames, where several are.
    ae: the AE title that it came from."""

    uids: Uids
    transfer_syntax: str
    blob: str
    size: int
    digest: str
    blob_digest: str
    header: DicomJson
    pixels: Pixels | None
    spans: "array[int] | None"
    stored: int
    ae: str = ""

    @property
    def row(self) -> Row:
        """The value of its record."""
        header, uids = self.header, self.uids
        number = first(header, "00200013", None)
        return {
            "sop": uids.sop, "sop_class": uids.sop_class, "syntax": self.transfer_syntax, "blob": self.blob,
            "size": self.size, "digest": self.digest, "sha256": self.blob_digest, "stored": self.stored,
            "number": number if isinstance(number, int) else None,
            "rows": first(header, "00280010", 0), "columns": first(header, "00280011", 0),
            "pixels": asdict(self.pixels) if self.pixels else None,
            "span": list(self.spans[:2]) if self.spans is not None and len(self.spans) == 2 else None,
            "title": _title(header), "ae": self.ae, "a": part_of(header, "instance"),
        }  # fmt: skip

    def records(self, expected: int) -> list[RecordChange]:
        """Return what is written of it; `expected` is the revision of the instance's record."""
        key = self.uids.key
        made = [
            RecordChange(INSTANCES.name, key, self.row, expected),
            RecordChange(HEADERS.name, key, {"z": packed(self.header)}),
        ]
        if self.spans is not None and len(self.spans) > 2:
            made.append(RecordChange(FRAMES.name, key, {"z": packed_spans(self.spans)}))
        return made


def instance_of(record: Record) -> Instance:
    """Return an instance by its record."""
    value: Mapping[str, Any] = record.value
    study, series, sop = record.key.split("/")
    pixels = Pixels(**value["pixels"]) if value.get("pixels") else None
    return Instance(
        study, series, sop, value["sop_class"], value["syntax"], value["size"], value["sha256"], value.get("number"),
        value.get("rows") or 0, value.get("columns") or 0, pixels, value["stored"], value["a"], value,
    )  # fmt: skip


def packed(header: DicomJson) -> str:
    """Return attributes as they stand in a record."""
    return _b64(zlib.compress(msgspec.json.encode(header), 1))


def unpacked(text: str) -> bytes:
    """Return the DICOM JSON that `packed` took."""
    return zlib.decompress(base64.b64decode(text))


def spans_in(record: Record) -> "array[int]":
    """Return the frame table of a record."""
    spans = array("Q")
    spans.frombytes(zlib.decompress(base64.b64decode(str(record.value["z"]))))
    return spans


def packed_spans(spans: "array[int]") -> str:
    """Return a frame table as it stands in a record."""
    return _b64(zlib.compress(spans.tobytes(), 1))


def _b64(data: bytes) -> str:
    return base64.b64encode(data).decode()


def _title(header: DicomJson) -> str:
    """Return what an ImagingStudy calls an instance: the title of a document, the type of an image."""
    title = first(header, "00420010") or first(first(header, "0040A043", {}), "00080104")
    return str(title)[:200]


def study_row(known: Mapping[str, Any] | None, header: DicomJson, now: int) -> Row:
    """Return the record of a study with an object of it: what the first object said stays."""
    attributes = {**part_of(header, "study"), **(known["a"] if known else {})}
    return {
        **(known or {"stored": now, "modality": [], "classes": [], "series": 0, "instances": 0, "size": 0}),
        "a": attributes,
        "patient_id": str(first(attributes, "00100020")) or None,
        "issuer": issuer_of(attributes),
        "name": folded_names(first(attributes, "00100010", None)),
        "birth_date": str(first(attributes, "00100030")) or None,
        "sex": str(first(attributes, "00100040")) or None,
        "date": str(first(attributes, "00080020")) or None,
        "accession": str(first(attributes, "00080050")) or None,
        "study_id": str(first(attributes, "00200010")) or None,
        "referrer": folded_names(first(attributes, "00080090", None)),
        "changed": now,
    }


def series_row(known: Mapping[str, Any] | None, header: DicomJson, uid: str) -> Row:
    """Return the record of a series with an object of it."""
    attributes = {**part_of(header, "series"), **(known["a"] if known else {})}
    return {
        **(known or {"instances": 0, "size": 0, "revision": 0}),
        "a": attributes,
        "series": uid,
        "modality": str(first(attributes, "00080060")) or None,
        "date": str(first(attributes, "00400244")) or str(first(attributes, "00080021")) or None,
    }


def issuer_of(attributes: DicomJson) -> str:
    """Return who issued the Patient ID: the universal entity where it is named, else Issuer of Patient ID."""
    qualifiers = first(attributes, "00100024", {})
    universal, kind = str(first(qualifiers, "00400032")), str(first(qualifiers, "00400033"))
    if universal:
        return f"urn:oid:{universal}" if kind == "ISO" else universal
    return str(first(attributes, "00100021"))
