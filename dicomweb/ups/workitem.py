"""Workitems: what has to be in one when it is made, changed and over.

Spec: https://dicom.nema.org/medical/dicom/current/output/chtml/part04/sect_CC.2.5.html, table CC.2.5-3
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final

from dicomweb.model.values import DicomJson
from dicomweb.ups.states import CANCELED, COMPLETED, SCHEDULED, WorkitemRefused
from dicomweb.worklist.coding import el, items, text

CLASS: Final = "1.2.840.10008.5.1.4.34.6.1"
STATE, TRANSACTION, LABEL, STEP_LABEL = "00741000", "00081195", "00741202", "00741204"
PRIORITY, START, READINESS = "00741200", "00404005", "00404041"
PROGRESS, PERFORMED = "00741002", "00741216"
CANCEL_TIME, REASON, REASON_CODES, CONTACT_URI, CONTACT_NAME = (
    "00404052",
    "00741238",
    "0074100E",
    "0074100A",
    "0074100C",
)
SOP_CLASS, SOP_INSTANCE = "00080016", "00080018"
PERFORMERS: Final = ("00404034", "00404025", "00404026", "00404027")
"""Who or what is to do it: human performers, station name, class and place."""

_NEEDED: Final = {PRIORITY: "priority", STEP_LABEL: "label", START: "start", READINESS: "input readiness"}
_NOT_UPDATED: Final = frozenset(
    (
        STATE,
        TRANSACTION,
        SOP_CLASS,
        SOP_INSTANCE,
        "00100010",
        "00100020",
        "00100021",
        "00100030",
        "00100040",
        "00380010",
    )
)
_UID: Final = re.compile(r"[0-9]+(\.[0-9]+)+", re.ASCII)
_TAG: Final = re.compile(r"[0-9A-F]{8}", re.ASCII)
_DATE_TIME: Final = re.compile(r"\d{4}(\d\d){0,5}(\.\d{1,6})?([+-]\d{4})?", re.ASCII)
_PRIORITIES: Final = ("HIGH", "MEDIUM", "LOW")
_READINESS: Final = ("READY", "UNAVAILABLE", "INCOMPLETE")
_LONGEST_UID: Final = 64


@dataclass(frozen=True, slots=True)
class Workitem:
    """A workitem as it is kept. task: id of its Task. changed, over: milliseconds; over 0: it is not."""

    uid: str
    attributes: DicomJson
    transaction: str
    task: str
    revision: int
    patient: str = ""
    changed: int = 0
    over: int = 0

    @property
    def state(self) -> str:
        """Its state."""
        return text(self.attributes, STATE)

    @property
    def shown(self) -> DicomJson:
        """What others see of it: all but the transaction UID."""
        told = {tag: value for tag, value in self.attributes.items() if tag != TRANSACTION}
        return {**told, SOP_CLASS: el("UI", CLASS), SOP_INSTANCE: el("UI", self.uid)}


def is_uid(value: str) -> bool:
    """Tell whether a text is a UID."""
    return len(value) <= _LONGEST_UID and _UID.fullmatch(value) is not None


def new_attributes(given: DicomJson, label: str, moment: str) -> DicomJson:
    """Return the attributes of a new workitem. Raises WorkitemRefused: it cannot be one."""
    well_formed(given)
    if text(given, STATE) not in ("", SCHEDULED):
        raise WorkitemRefused(0xC309, 400, "A new UPS is in the state SCHEDULED.")
    if text(given, TRANSACTION):
        raise WorkitemRefused(0x0106, 400, "A new UPS has no Transaction UID.")
    for tag, name in _NEEDED.items():
        if not text(given, tag):
            raise WorkitemRefused(0x0120, 400, f"A new UPS needs its {name} ({tag}).")
    _values(given)
    told = {tag: value for tag, value in given.items() if tag not in (SOP_CLASS, SOP_INSTANCE, TRANSACTION)}
    told[STATE] = el("CS", SCHEDULED)
    told.setdefault(LABEL, el("LO", label))
    if not text(told, LABEL):
        told[LABEL] = el("LO", label)
    return {**told, "00404010": el("DT", moment), "00404011": el("DT", moment)}


def updated(before: DicomJson, changes: DicomJson, moment: str) -> DicomJson:
    """Return the attributes after an update. Raises WorkitemRefused: it changes what it must not."""
    well_formed(changes)
    forbidden = next((tag for tag in sorted(changes) if tag in _NOT_UPDATED), "")
    if forbidden:
        raise WorkitemRefused(0x0106, 400, f"The attribute {forbidden} cannot be updated.")
    _values(changes)
    return {**before, **changes, "00404010": el("DT", moment)}


def finished(attributes: DicomJson, target: str) -> None:
    """Raise WorkitemRefused where what a final state needs is not there: PS3.4 table CC.2.5-3, Final State."""
    performed = items(attributes, PERFORMED)
    if target == COMPLETED:
        done = performed[0] if performed else {}
        needed = {"00404028": "station", "00404050": "start", "00404051": "end", "00404019": "workitem code"}
        missing = [name for tag, name in needed.items() if not (done.get(tag) or {}).get("Value")]
        if missing:
            said = f"The performed procedure has no {', '.join(missing)}."
            raise WorkitemRefused(0xC304, 409, f"The final state requirements are not met: {said}")
    if target == CANCELED:
        progress = items(attributes, PROGRESS)
        if not progress or not (text(progress[0], REASON) or items(progress[0], REASON_CODES)):
            raise WorkitemRefused(0xC304, 409, "The final state requirements are not met: no reason of cancellation.")


def well_formed(data: Mapping[str, Any], depth: int = 0) -> None:
    """Raise WorkitemRefused where something is no DICOM JSON."""
    if depth > 16:
        raise WorkitemRefused(0x0106, 400, "The data set is nested too deeply.")
    for tag, value in data.items():
        good = _TAG.fullmatch(str(tag)) and isinstance(value, Mapping) and isinstance(value.get("vr"), str)
        if not good or not isinstance(value.get("Value", []), list):
            raise WorkitemRefused(0x0106, 400, f"{str(tag)[:32]!r} is no element of DICOM JSON.")
        if value["vr"] == "SQ":
            for item in value.get("Value", []):
                if not isinstance(item, Mapping):
                    raise WorkitemRefused(0x0106, 400, f"The items of {tag} are no data sets.")
                well_formed(item, depth + 1)


def _values(data: DicomJson) -> None:
    for tag, allowed in ((PRIORITY, _PRIORITIES), (READINESS, _READINESS)):
        if text(data, tag) and text(data, tag) not in allowed:
            raise WorkitemRefused(0x0106, 400, f"{tag} is one of {', '.join(allowed)}.")
    if text(data, START) and not _DATE_TIME.fullmatch(text(data, START)):
        raise WorkitemRefused(0x0106, 400, f"{START} is no date and time.")


def date_time(milliseconds: int) -> str:
    """Return an instant as DT in UTC."""
    return datetime.fromtimestamp(milliseconds / 1_000, UTC).strftime("%Y%m%d%H%M%S+0000")
