"""What is written of a finding: a DetectedIssue for auditors, a Communication that tells them, a Flag on the patient.

All but the Flag carry a security label that hides them from whoever is no auditor or administrator (the setting
`label_roles`), and are not linked to the patient by `patient` or `subject`: a patient's own app does not show them
before somebody has looked into the matter. The Flag is for the clinicians of the patient.

Spec: https://hl7.org/fhir/R4/detectedissue.html, https://hl7.org/fhir/R4/communication.html
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from hashlib import blake2b
from typing import Any, Final, TypeVar

from fhir_audit.breaches.seen import Finding
from fhir_server.plugin_api import instant

T = TypeVar("T")
LABEL: Final = {"system": "http://fhir-server.org/CodeSystem/security-label", "code": "BREACH"}
_RULES: Final = "http://fhir-server.org/CodeSystem/audit-rule"
_MOST_EVENTS: Final = 20
_LINKS: Final = frozenset(("implicated", "evidence", "recipient", "author"))
_MOST_PATIENTS: Final = 100
DISPLAYS: Final = {
    "bulk-reads": "Data of many patients read in a short time",
    "bulk-export": "Bulk export asked for",
    "vip": "Record of a person to be watched opened",
    "own-record": "Own record opened",
    "same-household": "Record of the same household opened",
    "out-of-hours": "Data read outside of working hours",
    "failed-sign-ins": "Many failed sign-ins",
    "break-glass": "Record opened in an emergency",
    "unreadable-consent": "A consent cannot be read",
    "damaged-store": "The store is damaged",
    "wrong-key": "A key does not fit",
    "damaged-audit": "A row of the audit cannot be read",
}


@dataclass(frozen=True, slots=True)
class Case:
    """A finding with all that was found of the same user, rule and window before it.

    key: of the alert, and logical id of its resources. start: of the first row, milliseconds.
    """

    key: str
    finding: Finding
    start: int
    patients: tuple[str, ...] = ()
    seqs: tuple[int, ...] = ()

    def joined(self, finding: Finding) -> "Case":
        """Return the case with what a later finding adds."""
        patients = _few((*self.patients, *finding.patients), _MOST_PATIENTS)
        return Case(self.key, finding, self.start, patients, _few((*self.seqs, *finding.seqs), _MOST_EVENTS))


def key_of(finding: Finding, quiet: int) -> str:
    """Return the key that all findings of one user, rule and window share; quiet is the window in milliseconds."""
    window = finding.time // quiet
    text = f"{finding.rule}\n{finding.who}\n{finding.about}\n{window}"
    return f"{finding.rule[:30]}-{blake2b(text.encode(), digest_size=12).hexdigest()}"


def issue(case: Case) -> dict[str, Any]:
    """Return the DetectedIssue."""
    finding = case.finding
    subjects = [finding.subject] if finding.subject else []
    implicated = [*subjects, *(f"Patient/{id_}" for id_ in case.patients)]
    resource: dict[str, Any] = {
        "resourceType": "DetectedIssue",
        "id": case.key,
        "meta": {"security": [LABEL]},
        "status": "preliminary",
        "code": _code(finding),
        "severity": finding.severity,
        "identifiedPeriod": {"start": instant(case.start), "end": instant(finding.time)},
        "detail": finding.said,
        "evidence": [{"detail": [{"reference": f"AuditEvent/{seq}"} for seq in case.seqs]}],
    }
    if implicated:
        resource["implicated"] = _references(implicated)
    return resource


def communication(case: Case, recipient: str) -> dict[str, Any]:
    """Return the Communication; who reads it finds the rest in the DetectedIssue."""
    finding = case.finding
    system = "http://terminology.hl7.org/CodeSystem/communication-category"
    resource: dict[str, Any] = {
        "resourceType": "Communication",
        "id": case.key,
        "meta": {"security": [LABEL]},
        "status": "completed",
        "category": [{"coding": [{"system": system, "code": "alert"}]}],
        "priority": "urgent" if finding.severity == "high" else "routine",
        "topic": _code(finding),
        "about": [{"reference": f"DetectedIssue/{case.key}"}],
        "sent": instant(finding.time),
        "payload": [{"contentString": finding.said}],
    }
    if recipient:
        resource["recipient"] = [{"reference": recipient}]
    return resource


def flags(case: Case, life: int) -> Iterable[dict[str, Any]]:
    """Yield a Flag for each patient whose record was opened in an emergency; life is that of the access, seconds."""
    system = "http://terminology.hl7.org/CodeSystem/flag-category"
    finding = case.finding
    for number, patient in enumerate(case.patients):
        flag: dict[str, Any] = {
            "resourceType": "Flag",
            "id": f"{case.key}-{number}",
            "status": "active",
            "category": [{"coding": [{"system": system, "code": "admin"}]}],
            "code": _code(finding),
            "subject": {"reference": f"Patient/{patient}"},
            "period": {"start": instant(case.start), "end": instant(finding.time + life * 1_000)},
        }
        if finding.subject:
            flag["author"] = {"reference": finding.subject}
        yield flag


def told(case: Case) -> dict[str, Any]:
    """Return what goes to the targets: who and when, nothing of patients."""
    finding = case.finding
    who = "" if finding.who.startswith("name:") else finding.who  # a password may have been typed there
    return {
        "id": case.key, "rule": finding.rule, "title": DISPLAYS.get(finding.rule, finding.rule),
        "severity": finding.severity, "time": instant(finding.time), "who": who, "subject": finding.subject,
        "count": finding.count, "issue": f"DetectedIssue/{case.key}",
    }  # fmt: skip


def unlinked(resource: dict[str, Any]) -> dict[str, Any]:
    """Return a resource that only names what others link to: for a record that refuses links to what is not there."""
    return {name: _named(value) if name in _LINKS else value for name, value in resource.items()}


def _named(value: Any) -> Any:
    if isinstance(value, list):
        return [_named(each) for each in value]
    if not isinstance(value, dict):
        return value
    if "reference" in value:
        return {"display": value["reference"]}
    return {name: _named(each) for name, each in value.items()}


def put(resources: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Return the transaction that writes resources under their ids."""
    entries = [
        {"resource": each, "request": {"method": "PUT", "url": f"{each['resourceType']}/{each['id']}"}}
        for each in resources
    ]
    return {"resourceType": "Bundle", "type": "transaction", "entry": entries}


def _code(finding: Finding) -> dict[str, Any]:
    display = DISPLAYS.get(finding.rule, finding.rule)
    return {"coding": [{"system": _RULES, "code": finding.rule, "display": display}], "text": display}


def _references(names: Sequence[str]) -> list[dict[str, str]]:
    return [{"reference": name} for name in dict.fromkeys(names)]


def _few(values: Iterable[T], most: int) -> tuple[T, ...]:
    return tuple(dict.fromkeys(values))[:most]
