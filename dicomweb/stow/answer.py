"""The answer to STOW: https://dicom.nema.org/medical/dicom/current/output/chtml/part18/sect_10.5.3.html"""

from collections import Counter
from collections.abc import Sequence
from typing import Any

from dicomweb.ingest.faults import OUT_OF_RESOURCES
from dicomweb.model.values import DicomJson, Outcome


def status_of(outcomes: Sequence[Outcome]) -> int:
    """Return the HTTP status: 200 all stored, 202 some or with warnings, 409 none, 507 none for want of space."""
    if all(each.failed for each in outcomes):
        return 507 if all(each.status == OUT_OF_RESOURCES for each in outcomes) else 409
    return 202 if any(each.status for each in outcomes) else 200


def module(outcomes: Sequence[Outcome], root: str) -> DicomJson:
    """Return the Store Instances Response Module."""
    found: DicomJson = {}
    studies = {each.study for each in outcomes if not each.failed}
    if len(studies) == 1:
        found["00081190"] = _value("UR", f"{root}/studies/{studies.pop()}")
    stored = [_referenced(each, root) for each in outcomes if not each.failed]
    failed = [_failed(each) for each in outcomes if each.failed and each.sop_instance]
    others = [{"00081197": _value("US", each.status)} for each in outcomes if each.failed and not each.sop_instance]
    for tag, items in (("00081198", failed), ("00081199", stored), ("0008119A", others)):
        if items:
            found[tag] = {"vr": "SQ", "Value": items}
    return found


def warnings(outcomes: Sequence[Outcome]) -> str:
    """Return why objects were not stored, or not as they came, for a Warning header."""
    counted = Counter((each.status, each.reason) for each in outcomes if each.reason and each.status)
    said = (f'299 - "{_plain(reason)} ({status:04X}, {count} objects)"' for (status, reason), count in counted.items())
    return ", ".join(list(said)[:20])


def _referenced(outcome: Outcome, root: str) -> DicomJson:
    url = f"{root}/studies/{outcome.study}/series/{outcome.series}/instances/{outcome.sop_instance}"
    item = {**_uids(outcome), "00081190": _value("UR", url)}
    if outcome.status:
        item["00081196"] = _value("US", outcome.status)
    return item


def _failed(outcome: Outcome) -> DicomJson:
    return {**_uids(outcome), "00081197": _value("US", outcome.status)}


def _uids(outcome: Outcome) -> DicomJson:
    return {"00081150": _value("UI", outcome.sop_class), "00081155": _value("UI", outcome.sop_instance)}


def _value(vr: str, value: Any) -> dict[str, Any]:
    return {"vr": vr, "Value": [value]} if value not in ("", None) else {"vr": vr}


def _plain(text: str) -> str:
    return "".join(each if " " <= each <= "~" and each not in '"\\' else " " for each in text)
