"""What an anomaly is in FHIR: a DetectedIssue, stored once for each version of its Observation.

Spec: https://hl7.org/fhir/R4/detectedissue.html
"""

from collections.abc import Mapping, Sequence
from typing import Any, Final

from fhir_ai.findings.lab.laboratory import Report
from fhir_ai.operations.making import HOME, author, bundle_of, concept, labelled, references
from fhir_server.plugin_api import (
    Beside,
    Client,
    Collection,
    PluginContext,
    Record,
    RecordChange,
    RecordChanged,
    instant,
)

NAME: Final = "lab-anomaly"
FOREST: Final = "lab-anomaly-with-forest"
"""The Device of those findings that a learned model had a part in."""
CHECKS: Final[Mapping[str, str]] = {
    "unit": "Value or unit that cannot be read",
    "implausible": "Implausible value",
    "critical": "Beyond a critical limit",
    "interpretation": "Flagged by the laboratory itself",
    "reference-range": "Outside the reference range",
    "delta": "Changed by more than the reference change value",
    "westgard": "Breaks a rule of Westgard",
    "panel": "Unusual together with other results",
}
ANOMALY: Final = f"{HOME}/CodeSystem/lab-anomaly"
SYSTEM: Final = f"{HOME}/lab-anomaly"
ISSUES: Final = Collection("fhir_ai.lab_issue", patient="patient")
"""For each Observation, of which version there is a DetectedIssue (or none), and its identifier."""


def issue(ctx: PluginContext, observation: Mapping[str, Any], report: Report, identifier: str = "") -> dict[str, Any]:
    """Return the DetectedIssue of what was found."""
    first = report.findings[0]
    reference = f"Observation/{observation['id']}" if observation.get("id") else ""
    subject = observation.get("subject", {})
    is_patient = str(subject.get("reference", "")).startswith("Patient/")
    sources = list(dict.fromkeys(each.source for each in report.findings if each.source))
    detail = " ".join(f"{each.because}." for each in report.findings)
    return labelled(
        {
            "resourceType": "DetectedIssue",
            "identifier": [{"system": SYSTEM, "value": identifier}] if identifier else [],
            "status": "preliminary",
            "code": concept(CHECKS[first.check], (ANOMALY, first.check)),
            "severity": first.severity,
            "patient": dict(subject) if is_patient else {},
            "identifiedDateTime": instant(ctx.now()),
            "author": author(_name(report)),
            "implicated": references([reference]),
            "evidence": [_evidence(each.check, each.because, each.references) for each in report.findings],
            "detail": f"{detail}{f' Sources: {chr(59).join(sources)}' if sources else ''}",
        }
    )


async def keep(
    ctx: PluginContext, observation: Mapping[str, Any], version: int, report: Report
) -> dict[str, Any] | None:
    """Store what was found of a version of an Observation, once; what was found of an earlier one is cancelled.

    The record that says so is of the same commit: whatever is broken off or comes twice, there is one DetectedIssue.

    Returns:
        The DetectedIssue, also where it was stored before; None where there is none.
    """
    id_ = str(observation["id"])
    known = await ctx.store.get(ISSUES.name, id_)
    at = _version(known)
    if known is not None and at >= version:
        return await stored_issue(ctx.client, str(known.value.get("issue", ""))) if at == version else None
    identifier = f"Observation/{id_}/_history/{version}" if report.findings else ""
    old = await stored_issue(ctx.client, str(known.value.get("issue", ""))) if known else None
    if not identifier and old is None:
        return None
    made = [issue(ctx, observation, report, identifier)] if identifier else []
    bundle, first = _bundle(ctx, _name(report), made, (old, f"Observation/{id_}"))
    subject = str(observation.get("subject", {}).get("reference") or (known.value.get("patient", "") if known else ""))
    value = {"version": version, "issue": identifier, "patient": subject}
    record = RecordChange(ISSUES.name, id_, value, expected=known.revision if known else 0)
    try:
        if not bundle["entry"]:
            await ctx.store.put(record)
            return None
        answer = await ctx.client.transaction(bundle, beside=Beside(records=[record]))
    except RecordChanged:  # somebody else was faster
        return await keep(ctx, observation, version, report)
    found: dict[str, Any] = answer["entry"][first]["resource"]
    return found if made else None


async def stored_issue(client: Client, identifier: str) -> dict[str, Any] | None:
    """Return the DetectedIssue of an identifier."""
    if not identifier:
        return None
    async for each in client.each("DetectedIssue", [("identifier", f"{SYSTEM}|{identifier}")]):
        return each
    return None


def _bundle(
    ctx: PluginContext, name: str, made: Sequence[dict[str, Any]], before: tuple[dict[str, Any] | None, str]
) -> tuple[dict[str, Any], int]:
    """Return the transaction; an earlier issue that nobody has taken on is cancelled in it."""
    old, observation = before
    bundle, first = bundle_of(ctx, name, made, references([observation])) if made else _empty()
    if made and name == FOREST:
        device = bundle["entry"][0]["resource"]
        device["type"] = {"text": "clinical decision support: published rules and learned models of panels"}
    if old is not None and old.get("status") == "preliminary":
        changed = {**old, "status": "cancelled"}
        request = {"method": "PUT", "url": f"DetectedIssue/{old['id']}", "ifMatch": f'W/"{old["meta"]["versionId"]}"'}
        bundle["entry"].append({"resource": changed, "request": request})
    return bundle, first


def _name(report: Report) -> str:
    return FOREST if any(each.check == "panel" for each in report.findings) else NAME


def _empty() -> tuple[dict[str, Any], int]:
    return {"resourceType": "Bundle", "type": "transaction", "entry": []}, 0


def _version(known: Record | None) -> int:
    return int(str(known.value.get("version", 0))) if known else 0


def _evidence(check: str, because: str, refs: Sequence[str]) -> dict[str, Any]:
    said = concept(because, (ANOMALY, check))
    return {"code": [said], **({"detail": references(refs)} if refs else {})}
