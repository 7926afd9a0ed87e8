"""ExplanationOfBenefit in the shapes of CARIN Blue Button.

Spec: https://hl7.org/fhir/us/carin-bb/artifacts.html
"""

from collections.abc import Iterator, Mapping
from functools import cache
from typing import Any, Final

from fhir_billing.adjudication.results import LineResult, Result
from fhir_billing.claims.codes import C4BB_DISCRIMINATOR, C4BB_STATUS, PAYEE, category
from fhir_billing.claims.response import Heading, money

_PROFILE: Final = "http://hl7.org/fhir/us/carin-bb/StructureDefinition/C4BB-ExplanationOfBenefit-"
_IDENTIFIER: Final = "http://hl7.org/fhir/us/carin-bb/CodeSystem/C4BBIdentifierType"
_INFO: Final = "http://hl7.org/fhir/us/carin-bb/CodeSystem/C4BBSupportingInfoType"
_BY_TYPE: Final = {
    "professional": "Professional-NonClinician",
    "pharmacy": "Pharmacy",
    "oral": "Oral",
}
_OF_CLAIM: Final = (
    "type", "subType", "use", "patient", "billablePeriod", "provider", "priority", "payee", "careTeam", "diagnosis",
    "procedure", "related", "facility", "accident",
)  # fmt: skip
_OF_ITEM: Final = (
    "careTeamSequence", "diagnosisSequence", "procedureSequence", "revenue", "category", "productOrService", "modifier",
    "servicedDate", "servicedPeriod", "locationCodeableConcept", "locationReference", "locationAddress", "quantity",
    "unitPrice", "factor", "net", "bodySite", "encounter",
)  # fmt: skip


def explanation(
    claim: Mapping[str, Any], heading: Heading, result: Result, *, response: Mapping[str, Any], in_network: bool
) -> dict[str, Any]:
    """Return the explanation for the patient of a claim that was decided.

    Args:
        response: the ClaimResponse, whose figures it has. in_network: whether the provider is in the payer's network.
    """
    found: dict[str, Any] = {"resourceType": "ExplanationOfBenefit", "id": heading.id}
    if profile := profile_of(claim):
        found["meta"] = {"profile": [profile]}
    found |= {
        "identifier": [{"type": _coded(_IDENTIFIER, "uc"), "system": "urn:fhir-server:eob", "value": heading.id}],
        "status": "active",
        **{name: claim[name] for name in _OF_CLAIM if name in claim},
        "created": heading.created,
        "insurer": dict(heading.insurer),
        "claim": {"reference": f"Claim/{claim['id']}"},
        "claimResponse": {"reference": f"ClaimResponse/{response['id']}"},
        "outcome": "complete",
        "supportingInfo": _received(claim),
        "insurance": [_insurance(each) for each in claim.get("insurance", ())],
        "item": list(_items(claim, result, response)),
        "adjudication": [_status("billingnetworkstatus", "innetwork" if in_network else "outofnetwork")],
        "total": response["total"],
    }
    found.setdefault("payee", {"type": _coded(PAYEE, "provider")})
    found.setdefault("billablePeriod", _period(claim))
    if result.paid:
        found["payment"] = {"amount": money(result.paid, result.currency)}
    return found


def profile_of(claim: Mapping[str, Any]) -> str:
    """Return the profile for the type of a claim; empty where CARIN has none."""
    codes = [each.get("code", "") for each in claim.get("type", {}).get("coding", ())]
    if "institutional" in codes:
        sub = [each.get("code", "") for each in claim.get("subType", {}).get("coding", ())]
        return f"{_PROFILE}{'Inpatient' if 'inpatient' in sub else 'Outpatient'}-Institutional"
    return next((f"{_PROFILE}{_BY_TYPE[code]}" for code in codes if code in _BY_TYPE), "")


def _items(claim: Mapping[str, Any], result: Result, response: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    lines = {line.sequence: line for line in result.lines}
    answered = {each["itemSequence"]: each["adjudication"] for each in response["item"]}
    for item in claim.get("item", ()):
        line = lines[item["sequence"]]
        kept = {name: item[name] for name in _OF_ITEM if name in item}
        if "servicedDate" not in kept and "servicedPeriod" not in kept and "billablePeriod" in claim:
            kept["servicedPeriod"] = claim["billablePeriod"]
        parts = [*answered[line.sequence], *_beyond(line, result.currency)]
        yield {"sequence": line.sequence, **kept, "adjudication": parts}


def _beyond(line: LineResult, currency: str) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return what an explanation says of a line beyond the answer: what the patient owes, and whether it was paid."""
    owed = {"category": category("patient"), "amount": money(line.patient, currency)}
    return owed, _status("benefitpaymentstatus", "other" if line.denied else "innetwork")


@cache
def _status(discriminator: str, status: str) -> dict[str, Any]:
    return {"category": _coded(C4BB_DISCRIMINATOR, discriminator), "reason": _coded(C4BB_STATUS, status)}


def _insurance(given: Mapping[str, Any]) -> dict[str, Any]:
    found = {"focal": given.get("focal", False), "coverage": given["coverage"]}
    return {**found, "preAuthRef": given["preAuthRef"]} if "preAuthRef" in given else found


def _received(claim: Mapping[str, Any]) -> list[dict[str, Any]]:
    own = [dict(each) for each in claim.get("supportingInfo", ())]
    day = str(claim.get("created", ""))[:10]
    number = max((int(each.get("sequence", 0)) for each in own), default=0) + 1
    return [*own, {"sequence": number, "category": _coded(_INFO, "clmrecvddate"), "timingDate": day}]


def _period(claim: Mapping[str, Any]) -> dict[str, Any]:
    days = sorted(
        day
        for item in claim.get("item", ())
        for day in (item.get("servicedDate"), *item.get("servicedPeriod", {}).values())
        if isinstance(day, str)
    )
    return {"start": days[0], "end": days[-1]} if days else {}


def _coded(system: str, code: str) -> dict[str, Any]:
    return {"coding": [{"system": system, "code": code}]}
