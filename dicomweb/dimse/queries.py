"""From the identifier of a C-FIND, C-MOVE or C-GET to a search, and from its rows to the answers.

Spec: https://dicom.nema.org/medical/dicom/current/output/chtml/part04/sect_C.4.html
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, Literal

from dicomweb.dimse import status
from dicomweb.dimse.session import Refusal
from dicomweb.dimse.wire.dataset import element, items, text, vr_of
from dicomweb.model.values import DicomJson, Level, Query

Root = Literal["patient", "study"]

LEVEL: Final = "00080052"
RETRIEVE_AE: Final = "00080054"
AVAILABILITY: Final = "00080056"
PATIENT_ID, STUDY, SERIES, INSTANCE = "00100020", "0020000D", "0020000E", "00080018"

_LEVELS: Final[Mapping[str, Level]] = {"PATIENT": "study", "STUDY": "study", "SERIES": "series", "IMAGE": "instance"}
_ABOVE: Final[Mapping[str, tuple[tuple[str, Level], ...]]] = {
    "PATIENT": (),
    "STUDY": (),
    "SERIES": ((STUDY, "study"),),
    "IMAGE": ((STUDY, "study"), (SERIES, "series")),
}
_UNIQUE: Final[Mapping[str, str]] = {"PATIENT": PATIENT_ID, "STUDY": STUDY, "SERIES": SERIES, "IMAGE": INSTANCE}
_NOT_KEYS: Final = frozenset((LEVEL, RETRIEVE_AE, AVAILABILITY, "00080005", "00080201"))
"""Elements of an identifier that nothing is searched by: level, places, character set, offset from UTC."""
_OF_PATIENT: Final = ("00100020", "00100021", "00100010", "00100030", "00100040", "00100032", "00104000", "00100024")
_NAMES: Final[Mapping[str, str]] = {STUDY: "StudyInstanceUID", SERIES: "SeriesInstanceUID", PATIENT_ID: "PatientID"}
_STUDIES_OF_PATIENT: Final = "00201200"


@dataclass(frozen=True, slots=True)
class Asked:
    """What a C-FIND asks for: the level by its name, the search, and the tags that each answer has."""

    level: str
    query: Query
    returned: tuple[str, ...]


def asked(identifier: DicomJson, root: Root, limit: int) -> Asked:
    """Return what an identifier asks for. Raises Refusal: it does not say what this model needs."""
    level = level_of(identifier, root)
    within: dict[Level, str] = {}
    for tag, name in _ABOVE[level]:
        within[name] = _one(identifier, tag, level)
    if root == "patient" and level != "PATIENT":
        _one(identifier, PATIENT_ID, level)
    above = {tag for tag, _ in _ABOVE[level]}
    tags = [tag for tag in identifier if tag not in _NOT_KEYS and not tag.endswith("0000")]
    keys = {
        path: value for tag in tags if tag not in above for path, value in _keys(tag, identifier[tag]) if value != ""
    }
    keys.pop(_STUDIES_OF_PATIENT, "") if level == "PATIENT" else None
    return Asked(level, Query(_LEVELS[level], keys, tuple(tags), within, limit), tuple(tags))


def level_of(identifier: DicomJson, root: Root) -> str:
    """Return the level that an identifier names. Raises Refusal."""
    level = text(identifier, LEVEL).upper()
    if level not in _LEVELS or (level == "PATIENT" and root == "study"):
        raise Refusal(status.DOES_NOT_MATCH, "QueryRetrieveLevel is none of this model", OffendingElement=(0x00080052,))
    return level


def _one(identifier: DicomJson, tag: str, level: str) -> str:
    value = text(identifier, tag)
    if not value or any(sign in value for sign in "\\*?"):
        said = f"level {level} needs one {_NAMES[tag]}"
        raise Refusal(status.DOES_NOT_MATCH, said, OffendingElement=(int(tag, 16),))
    return value


def _keys(tag: str, value: DicomJson) -> list[tuple[str, str]]:
    if value.get("vr") != "SQ":
        return [(tag, text({tag: value}, tag))]
    return [
        (f"{tag}.{inner}", found)
        for item in items({tag: value}, tag)
        for inner, element_ in item.items()
        for _, found in _keys(inner, element_)
    ]


def chosen(identifier: DicomJson, root: Root) -> list[dict[Level, str]]:
    """Return the places below which everything is to be sent; of level PATIENT none, for `patients_named` has them.

    Raises:
        Refusal: the identifier does not name any.
    """
    level = level_of(identifier, root)
    if level == "PATIENT":
        return []
    within: dict[Level, str] = {}
    for tag, name in _ABOVE[level]:
        within[name] = _one(identifier, tag, level)
    uids = [uid for uid in text(identifier, _UNIQUE[level]).split("\\") if uid]
    if not uids or any(sign in uid for uid in uids for sign in "*?"):
        raise Refusal(status.DOES_NOT_MATCH, f"level {level} needs the UIDs of what is to be sent")
    return [within | {_LEVELS[level]: uid} for uid in uids]


def patients_named(identifier: DicomJson, root: Root) -> list[Query]:
    """Return the searches for the studies of the patients that are to be sent; of other levels none."""
    if level_of(identifier, root) != "PATIENT":
        return []
    ids = [each for each in text(identifier, PATIENT_ID).split("\\") if each]
    if not ids or any(sign in each for each in ids for sign in "*?"):
        raise Refusal(status.DOES_NOT_MATCH, "level PATIENT needs the id of a patient")
    issuer = text(identifier, "00100021")
    of_issuer = {"00100021": issuer} if issuer else {}
    return [Query("study", {PATIENT_ID: each, **of_issuer}, (STUDY,)) for each in ids]


def answer_of(asked_: Asked, row: DicomJson, title: str) -> DicomJson:
    """Return the identifier of one match: all that was asked for, empty where there is nothing, and where it is."""
    told = {tag: row.get(tag) or {"vr": vr_of(int(tag, 16))} for tag in asked_.returned}
    told[LEVEL] = element("CS", asked_.level)
    told[RETRIEVE_AE] = element("AE", title)
    told[AVAILABILITY] = element("CS", "ONLINE")
    return told


def patients(rows: tuple[DicomJson, ...]) -> list[DicomJson]:
    """Return the patients of studies, each once, with the number of their studies."""
    found: dict[tuple[str, str], DicomJson] = {}
    count: dict[tuple[str, str], int] = {}
    for row in rows:
        key = text(row, PATIENT_ID), text(row, "00100021")
        found.setdefault(key, {tag: row[tag] for tag in _OF_PATIENT if tag in row})
        count[key] = count.get(key, 0) + 1
    return [{**row, _STUDIES_OF_PATIENT: element("IS", str(count[key]))} for key, row in found.items()]
