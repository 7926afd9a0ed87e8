"""The ImagingStudy of a study: https://hl7.org/fhir/R4/imagingstudy.html"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from dicomweb.ingest.facts import first
from dicomweb.model.values import DicomJson

Row = Mapping[str, Any]
_MODALITIES = "http://dicom.nema.org/resources/ontology/DCM"
_TYPES = "http://terminology.hl7.org/CodeSystem/v2-0203"


@dataclass(frozen=True, slots=True)
class SeriesPart:
    """A series: its UID, its record, and in short its instances: SOP Instance UID, class, number, title."""

    uid: str
    row: Row
    instances: Sequence[Sequence[Any]]


@dataclass(frozen=True, slots=True)
class Around:
    """What the record has around a study: logical ids, empty where there is none."""

    patient: str = ""
    endpoint: str = ""
    orders: tuple[str, ...] = ()


def imaging_study(
    uid: str, row: Row, series: Sequence[SeriesPart], around: Around, before: Row | None, most: int
) -> dict[str, Any]:
    """Return the resource; of `before` stays what the objects do not say. Above `most` instances are only counted."""
    listed = sum(len(each.instances) for each in series) <= most
    attributes = row["a"]
    made: dict[str, Any] = {
        **(before or {}),
        "resourceType": "ImagingStudy",
        "identifier": _identifiers(uid, attributes, before),
        "status": "available",
        "modality": [_coding(each) for each in _modalities(series)],
        "subject": _subject(row, around, before),
        "numberOfSeries": len(series),
        "numberOfInstances": sum(len(each.instances) for each in series),
        "series": [_series(each, listed) for each in sorted(series, key=_order)],
    }
    optional = {
        "started": instant_of(first(attributes, "00080020"), first(attributes, "00080030"), _zone(attributes)),
        "description": str(first(attributes, "00081030")),
        "endpoint": [{"reference": f"Endpoint/{around.endpoint}"}] if around.endpoint else [],
        "basedOn": [{"reference": f"ServiceRequest/{each}"} for each in around.orders],
        "referrer": _person(first(attributes, "00080090", None)),
    }
    made.update(
        {key: value for key, value in optional.items() if value and (key not in (before or {}) or key == "started")}
    )
    return {key: value for key, value in made.items() if value != []}


def _modalities(series: Sequence[SeriesPart]) -> list[str]:
    return sorted({str(each.row["modality"]) for each in series if each.row.get("modality")})


def _identifiers(uid: str, attributes: DicomJson, before: Row | None) -> list[dict[str, Any]]:
    kept = list((before or {}).get("identifier", ()))
    values = {(each.get("system"), each.get("value")) for each in kept}
    if ("urn:dicom:uid", f"urn:oid:{uid}") not in values:
        kept.insert(0, {"system": "urn:dicom:uid", "value": f"urn:oid:{uid}"})
    accession = str(first(attributes, "00080050"))
    if accession and accession not in {value for _, value in values}:
        kept.append({"type": {"coding": [{"system": _TYPES, "code": "ACSN"}]}, "value": accession})
    return kept


def _subject(row: Row, around: Around, before: Row | None) -> dict[str, Any]:
    known: dict[str, Any] = dict((before or {}).get("subject") or {})
    if known.get("reference"):
        return known
    if around.patient:
        return {"reference": f"Patient/{around.patient}"}
    identifier = {"value": str(row.get("patient_id") or "unknown")}
    if row.get("issuer"):
        identifier["assigner"] = {"display": str(row["issuer"])}  # type: ignore[assignment]
    return {"type": "Patient", "identifier": identifier, "display": "not matched with a Patient yet"}


def _series(part: SeriesPart, listed: bool) -> dict[str, Any]:
    attributes = part.row["a"]
    number = first(attributes, "00200011", None)
    made = {
        "uid": part.uid,
        "number": number if isinstance(number, int) and number >= 0 else None,
        "modality": _coding(str(part.row.get("modality") or "OT")),
        "description": str(first(attributes, "0008103E")) or None,
        "numberOfInstances": len(part.instances),
        "bodySite": _site(attributes),
        "laterality": _laterality(attributes),
        "started": instant_of(first(attributes, "00080021"), first(attributes, "00080031")) or None,
        "instance": [_instance(*each) for each in part.instances] if listed else None,
    }
    return {key: value for key, value in made.items() if value not in (None, {}, [])}


def _instance(uid: str, sop_class: str, number: int | None = None, title: str = "", *_: Any) -> dict[str, Any]:
    made: dict[str, Any] = {
        "uid": uid, "sopClass": {"system": "urn:ietf:rfc:3986", "code": f"urn:oid:{sop_class}"}
    }  # fmt: skip
    if isinstance(number, int) and number >= 0:
        made["number"] = number
    if title:
        made["title"] = title
    return made


def _site(attributes: DicomJson) -> dict[str, Any]:
    part = str(first(attributes, "00180015")).strip()
    return {"display": part} if part else {}


def _laterality(attributes: DicomJson) -> dict[str, Any]:
    code = {"L": ("7771000", "Left"), "R": ("24028007", "Right")}.get(str(first(attributes, "00200060")))
    return {"system": "http://snomed.info/sct", "code": code[0], "display": code[1]} if code else {}


def _coding(modality: str) -> dict[str, str]:
    return {"system": _MODALITIES, "code": modality}


def _person(name: Any) -> dict[str, str]:
    text = name.get("Alphabetic", "") if isinstance(name, dict) else ""
    display = " ".join(part for part in text.replace("^", " ").split())
    return {"display": display} if display else {}


def _order(part: SeriesPart) -> tuple[int, str]:
    number = first(part.row["a"], "00200011", None)
    return (number if isinstance(number, int) else 1 << 31, part.uid)


def _zone(attributes: DicomJson) -> str:
    zone = str(first(attributes, "00080201"))
    return f"{zone[:3]}:{zone[3:]}" if len(zone) == 5 and zone[0] in "+-" and zone[1:].isdigit() else "Z"


def instant_of(date: Any, time: Any = "", zone: str = "Z") -> str:
    """Return a dateTime of a DA and a TM; as much as is there, empty where the date is none."""
    day, at = str(date).replace(".", ""), str(time).replace(":", "")
    if len(day) != 8 or not day.isdigit() or not ("01" <= day[4:6] <= "12" and "01" <= day[6:] <= "31"):
        return ""
    written = f"{day[:4]}-{day[4:6]}-{day[6:]}"
    clock = at.split(".")[0]
    if len(clock) < 4 or not clock.isdigit() or clock[:2] > "23" or clock[2:4] > "59":
        return written
    second = clock[4:6] if len(clock) >= 6 and clock[4:6] <= "59" else "00"
    return f"{written}T{clock[:2]}:{clock[2:4]}:{second}{zone}"
