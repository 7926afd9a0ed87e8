"""Record: what a model said of a study as FHIR resources: preliminary, labelled as a machine's, with their sources.

Label: https://terminology.hl7.org/CodeSystem-v3-ObservationValue.html (AIAST)
"""

import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from fhir_imaging_ai.looking.triage import Said
from fhir_imaging_ai.models.manifest import Manifest

HOME: Final = "http://fhir-server.org"
DEVICES: Final = f"{HOME}/imaging-ai"
RUNS: Final = f"{HOME}/imaging-ai-run"
AIAST: Final[Mapping[str, str]] = {
    "system": "http://terminology.hl7.org/CodeSystem/v3-ObservationValue",
    "code": "AIAST",
    "display": "Artificial Intelligence asserted",
}
_IMAGING: Final = {"system": "http://terminology.hl7.org/CodeSystem/observation-category", "code": "imaging"}
_ONE: Final = {"unit": "1", "system": "http://unitsofmeasure.org", "code": "1"}
_ORDER: Final = ("routine", "urgent", "asap", "stat")


@dataclass(frozen=True, slots=True)
class Looked:
    """One image that was looked at: its SOP Instance UID, and what the model said."""

    instance: str
    said: Said


@dataclass(frozen=True, slots=True)
class Study:
    """The study: its ImagingStudy, and its Study Instance UID."""

    resource: Mapping[str, Any]
    uid: str

    @property
    def reference(self) -> dict[str, str]:
        """Return a reference to it."""
        return {"reference": f"ImagingStudy/{self.resource['id']}"}

    @property
    def subject(self) -> Mapping[str, Any]:
        """Return whose it is."""
        subject: Mapping[str, Any] = self.resource["subject"]
        return subject


def bundle(
    study: Study, looked: Sequence[Looked], manifest: Manifest, now: str, task: Mapping[str, Any] | None
) -> dict[str, Any]:
    """Return the transaction that writes all of it; `task` is the one of this study and model, if it is there."""
    device = {"type": "Device", "identifier": _identifier(manifest), "display": f"{manifest.name} {manifest.version}"}
    told = [each for each in looked if each.said.decision != "refused"]
    observations = [
        (f"urn:uuid:{_number(each.instance)}", observation(study, each, manifest, device, now)) for each in told
    ]
    made = list(observations)
    if observations:
        report = diagnostic_report(study, told, manifest, [url for url, _ in observations], now)
        made.append((f"urn:uuid:{_number(study.uid)}", report))
    entries = [_once(_device(manifest), f"identifier={DEVICES}|{manifest.name}-{manifest.version}")]
    entries += [
        {"fullUrl": url, "resource": each, "request": {"method": "POST", "url": each["resourceType"]}}
        for url, each in made
    ]
    if made:
        entries.append(_posted(provenance(study, [url for url, _ in made], device, now)))
    entries.append(_task_entry(study, looked, manifest, device, now, task))
    return {"resourceType": "Bundle", "type": "transaction", "entry": entries}


def observation(
    study: Study, looked: Looked, manifest: Manifest, device: Mapping[str, Any], now: str
) -> dict[str, Any]:
    """Return the Observation of one image: which labels are possible, and the probability."""
    said = looked.said
    positive = manifest.labels[manifest.positive]
    titles = " or ".join(label.title for label in said.possible)
    return {
        "resourceType": "Observation",
        "meta": {"security": [dict(AIAST)]},
        "identifier": [{"system": RUNS, "value": run_of(looked.instance, manifest)}],
        "status": "preliminary",
        "category": [{"coding": [dict(_IMAGING)]}],
        "code": {"coding": [_coding("finding", manifest.name)], "text": manifest.title},
        "subject": dict(study.subject),
        "effectiveDateTime": study.resource.get("started", now),
        "issued": now,
        "valueCodeableConcept": {
            "coding": [_coding("label", label.key, label.title) for label in said.possible],
            "text": titles,
        },
        "device": dict(device),
        "derivedFrom": [dict(study.reference)],
        "component": [
            {
                "code": {"coding": [_coding("part", "probability")], "text": f"Probability: {positive.title}"},
                "valueQuantity": {"value": round(said.chance, 4), **_ONE},
            },
            {"code": {"coding": [_coding("part", "triage")], "text": "Triage"}, "valueString": said.decision},
            {
                "code": {"coding": [_coding("part", "instance")], "text": "SOP Instance UID"},
                "valueString": looked.instance,
            },
        ],
    }  # fmt: skip


def diagnostic_report(
    study: Study, told: Sequence[Looked], manifest: Manifest, results: Sequence[str], now: str
) -> dict[str, Any]:
    """Return the draft of a report."""
    return {
        "resourceType": "DiagnosticReport",
        "meta": {"security": [dict(AIAST)]},
        "status": "preliminary",
        "category": [{"coding": [{"system": "http://terminology.hl7.org/CodeSystem/v2-0074", "code": "RAD"}]}],
        "code": {"coding": [_coding("report", manifest.name)], "text": f"Draft by {manifest.name} {manifest.version}"},
        "subject": dict(study.subject),
        "effectiveDateTime": study.resource.get("started", now),
        "issued": now,
        "imagingStudy": [dict(study.reference)],
        "result": [{"reference": each} for each in results],
        "conclusion": conclusion(told, manifest),
    }


def conclusion(looked: Sequence[Looked], manifest: Manifest) -> str:
    """Return in a sentence or two what came of it."""
    counts = {
        kind: sum(each.said.decision == kind for each in looked) for kind in ("prioritised", "needs-human", "refused")
    }
    positive = manifest.labels[manifest.positive]
    sure = sum(each.said.possible == (positive,) for each in looked)
    parts = [
        f"{positive.title} in {sure} of {len(looked)} images" if sure else "",
        f"{counts['needs-human']} undecided: a person has to look" if counts["needs-human"] else "",
        f"{counts['refused']} not of the kind that the model knows" if counts["refused"] else "",
    ]
    told = "; ".join(part for part in parts if part) or f"{manifest.labels[1 - manifest.positive].title}"
    warning = " Demonstration model without clinical validity." if manifest.demonstration else ""
    return f"{told}. By {manifest.name} {manifest.version}, not read by a person.{warning}"


def priority(looked: Sequence[Looked], manifest: Manifest) -> str:
    """Return the priority of the most urgent image; what nobody is sure of goes before the routine."""
    found = ["routine"]
    for each in looked:
        if each.said.decision == "prioritised":
            found.append(each.said.possible[0].priority)
        elif each.said.decision == "needs-human":
            found.append("urgent")
    return max(found, key=_ORDER.index)


def provenance(study: Study, targets: Sequence[str], device: Mapping[str, Any], now: str) -> dict[str, Any]:
    """Return where the outputs come from."""
    return {
        "resourceType": "Provenance",
        "target": [{"reference": each} for each in targets],
        "recorded": now,
        "activity": {"text": "image looked at by a model"},
        "reason": [{"coding": [dict(AIAST)]}],
        "agent": [{"type": {"text": "assembler"}, "who": dict(device)}],
        "entity": [{"role": "source", "what": dict(study.reference)}],
    }


def run_of(uid: str, manifest: Manifest) -> str:
    """Return what names the looking of a model at an image or a study."""
    return f"{uid}:{manifest.name}:{manifest.version}"


def _task_entry(
    study: Study, looked: Sequence[Looked], manifest: Manifest, device: Mapping[str, Any], now: str,
    before: Mapping[str, Any] | None,
) -> dict[str, Any]:  # fmt: skip
    """Return the task of the worklist; one that a person took is left as it is, but for its note."""
    urgent = priority(looked, manifest)
    text = conclusion(looked, manifest)
    if before is None:
        task = {
            "resourceType": "Task",
            "meta": {"security": [dict(AIAST)]},
            "identifier": [{"system": RUNS, "value": run_of(study.uid, manifest)}],
            "status": "requested",
            "intent": "proposal",
            "priority": urgent,
            "code": {"coding": [_coding("task", "read-images")], "text": "Read images"},
            "description": text,
            "focus": dict(study.reference),
            "for": dict(study.subject),
            "authoredOn": now,
            "lastModified": now,
            "requester": dict(device),
            "reasonCode": {"text": ", ".join(sorted({each.said.decision for each in looked}))},
        }
        return _once(task, f"identifier={RUNS}|{run_of(study.uid, manifest)}")
    changed = {**before, "lastModified": now, "note": [*before.get("note", ()), {"time": now, "text": text}]}
    if before.get("status") == "requested":
        changed["priority"] = max(str(before.get("priority", "routine")), urgent, key=_ORDER.index)
    return {"resource": changed, "request": {"method": "PUT", "url": f"Task/{before['id']}"}}


def _device(manifest: Manifest) -> dict[str, Any]:
    return {
        "resourceType": "Device",
        "identifier": [_identifier(manifest)],
        "status": "active",
        "deviceName": [{"name": manifest.title, "type": "model-name"}],
        "version": [{"value": manifest.version}],
        "type": {"text": "model that looks at images"},
        "note": [{"text": f"SHA-256 of the model {manifest.sha256}"}],
    }


def _identifier(manifest: Manifest) -> dict[str, str]:
    return {"system": DEVICES, "value": f"{manifest.name}-{manifest.version}"}


def _coding(kind: str, code: str, display: str = "") -> dict[str, str]:
    return {"system": f"{HOME}/CodeSystem/imaging-ai-{kind}", "code": code, **({"display": display} if display else {})}


def _once(resource: dict[str, Any], criteria: str) -> dict[str, Any]:
    type_ = resource["resourceType"]
    return {"resource": resource, "request": {"method": "POST", "url": type_, "ifNoneExist": criteria}}


def _posted(resource: dict[str, Any]) -> dict[str, Any]:
    return {"resource": resource, "request": {"method": "POST", "url": resource["resourceType"]}}


def _number(text: str) -> str:
    return str(uuid.uuid5(uuid.NAMESPACE_OID, text))
