"""Between FHIR's data types and DICOM's."""

import re
from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any, Final

from dicomweb.model.values import DicomJson

DCM: Final = "http://dicom.nema.org/resources/ontology/DCM"
AE_TITLES: Final = "urn:dicom:ae-title"
"""The system of identifiers of Devices that are AE titles."""
UIDS: Final = "urn:dicom:uid"
_SYSTEMS: Final = {
    "http://snomed.info/sct": "SCT",
    "http://loinc.org": "LN",
    DCM: "DCM",
    "http://www.ama-assn.org/go/cpt": "C4",
    "http://radlex.org": "RADLEX",
}
_SEX: Final = {"male": "M", "female": "F", "other": "O"}
_MODALITY: Final = re.compile(r"[A-Z]{2,16}", re.ASCII)
_SHORT, _LONG = 16, 64


def el(vr: str, *values: object) -> DicomJson:
    """Return an element with the values that are something."""
    told: list[object] = [{"Alphabetic": value} if vr == "PN" else value for value in values if value not in ("", None)]
    return {"vr": vr, "Value": told} if told else {"vr": vr}


def sequence(*items: Mapping[str, Any]) -> DicomJson:
    """Return a sequence."""
    return {"vr": "SQ", "Value": list(items)} if items else {"vr": "SQ"}


def text(rows: Mapping[str, Any], tag: str) -> str:
    """Return the first value of an element as text; empty: there is none."""
    value = next(iter((rows.get(tag) or {}).get("Value") or ()), None)
    if isinstance(value, Mapping):
        return str(value.get("Alphabetic", ""))
    return "" if value is None else str(value)


def items(rows: Mapping[str, Any], tag: str) -> list[DicomJson]:
    """Return the items of a sequence."""
    return [item for item in (rows.get(tag) or {}).get("Value") or () if isinstance(item, dict)]


def first(resource: Mapping[str, Any], *path: str) -> Any:
    """Return what stands at a path, of lists the first one; None: nothing."""
    found: Any = resource
    for name in path:
        if isinstance(found, list):
            found = found[0] if found else None
        if not isinstance(found, Mapping):
            return None
        found = found.get(name)
    return found[0] if isinstance(found, list) and found else found if not isinstance(found, list) else None


def person_name(names: Iterable[Mapping[str, Any]] | None) -> str:
    """Return a HumanName as PN: family, given, middle, prefix, suffix."""
    listed = list(names or ())
    found: Mapping[str, Any] = next((each for each in listed if each.get("use") == "official"), {})
    found = found or next(iter(listed), {})
    given = list(found.get("given") or ())
    parts = [
        str(found.get("family", "")),
        str(given[0]) if given else "",
        " ".join(map(str, given[1:])),
        " ".join(found.get("prefix") or ()),
        " ".join(found.get("suffix") or ()),
    ]
    told = "^".join(part.replace("^", " ").replace("=", " ").replace("\\", " ") for part in parts).rstrip("^")
    return told or str(found.get("text", "")).replace("\\", " ")


def sex(gender: object) -> str:
    """Return a gender as Patient's Sex."""
    return _SEX.get(str(gender), "")


def date(value: object) -> str:
    """Return a FHIR date or dateTime as DA; empty where the day is not known."""
    text_ = str(value or "")[:10]
    return text_.replace("-", "") if re.fullmatch(r"\d{4}-\d\d-\d\d", text_) else ""


def time(value: object) -> str:
    """Return the time of a FHIR dateTime as TM, of the place that it names."""
    found = re.match(r"\d{4}-\d\d-\d\dT(\d\d):(\d\d)(?::(\d\d))?", str(value or ""))
    return "".join(part or "00" for part in found.groups()) if found else ""


def fhir_time(day: str, clock: str, zone: str = "Z") -> str:
    """Return DA and TM as a dateTime; empty where there is no day."""
    if not re.fullmatch(r"\d{8}", day):
        return ""
    told = f"{day[:4]}-{day[4:6]}-{day[6:]}"
    digits = clock.partition(".")[0].ljust(6, "0")
    if not clock or not re.fullmatch(r"\d{6}", digits):
        return told
    try:
        datetime.strptime(day + digits, "%Y%m%d%H%M%S")  # noqa: DTZ007  # whether there is such a moment
    except ValueError:
        return told
    return f"{told}T{digits[:2]}:{digits[2:4]}:{digits[4:]}{zone}"


def codes(concept: Mapping[str, Any] | None) -> list[DicomJson]:
    """Return a CodeableConcept as items of a code sequence."""
    found = []
    for coding in (concept or {}).get("coding") or ():
        system, code = str(coding.get("system", "")), str(coding.get("code", ""))
        meaning = str(coding.get("display") or (concept or {}).get("text") or code)
        if not code:
            continue
        value = {"00080100": el("SH", code)} if len(code) <= _SHORT else {"00080119": el("UC", code)}
        scheme = _SYSTEMS.get(system, system if 0 < len(system) <= _SHORT else "99FHIR")
        found.append({**value, "00080102": el("SH", scheme), "00080104": el("LO", meaning[:_LONG])})
    return found


def concept_of(item: Mapping[str, Any]) -> dict[str, Any]:
    """Return an item of a code sequence as a CodeableConcept."""
    scheme = text(item, "00080102")
    system = next((url for url, name in _SYSTEMS.items() if name == scheme), "")
    code = text(item, "00080100") or text(item, "00080119")
    coding = {"system": system, "code": code, "display": text(item, "00080104")}
    told = {"coding": [{name: value for name, value in coding.items() if value}]} if system else {}
    return {**told, "text": text(item, "00080104") or code}


def modality(*concepts: Mapping[str, Any] | None) -> str:
    """Return the first modality that concepts name, by a code of DICOM's own."""
    for concept in concepts:
        for coding in (concept or {}).get("coding") or ():
            if coding.get("system") == DCM and _MODALITY.fullmatch(str(coding.get("code", ""))):
                return str(coding["code"])
    return ""


def short(value: object, most: int = _SHORT) -> str:
    """Return a text as SH (or shorter) can hold it."""
    return str(value or "").replace("\\", "/")[:most]
