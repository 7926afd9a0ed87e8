"""ClaimResponse: a result line by line, each adjustment with its category, group, reason and plain words.

Spec: https://hl7.org/fhir/R4/claimresponse.html
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from decimal import Decimal
from functools import lru_cache
from typing import Any, Final

from fhir_billing.adjudication.results import Adjustment, LineResult, Result
from fhir_billing.claims.codes import CARC, GROUP, PAYMENT, category
from fhir_billing.money import smallest_of

TOTALS: Final = ("deductible", "copay", "coinsurance", "noncovered", "contractual", "payer-initiated", "prior-payer")
COPIED: Final = ("type", "subType", "use", "patient", "insurer")


@dataclass(frozen=True, slots=True)
class Heading:
    """What an answer says besides figures. id: its own; created: an instant; insurer: who answers."""

    id: str
    created: str
    insurer: Mapping[str, Any]
    authorization: str = ""
    authorized: tuple[str, str] | None = None


def head(claim: Mapping[str, Any], heading: Heading, outcome: str, disposition: str) -> dict[str, Any]:
    """Return a ClaimResponse without figures."""
    found = {
        "resourceType": "ClaimResponse",
        "id": heading.id,
        "identifier": [{"system": "urn:fhir-server:claim-response", "value": heading.id}],
        "status": "active",
        **{name: claim[name] for name in COPIED if name in claim},
        "created": heading.created,
        "insurer": dict(heading.insurer),
        "requestor": claim["provider"],
        "request": {"reference": f"Claim/{claim['id']}"},
        "outcome": outcome,
        "disposition": disposition,
    }
    if heading.authorization:
        found["preAuthRef"] = heading.authorization
    if heading.authorized:
        found["preAuthPeriod"] = {"start": heading.authorized[0], "end": heading.authorized[1]}
    return found


def response(claim: Mapping[str, Any], heading: Heading, result: Result) -> dict[str, Any]:
    """Return the answer to a claim that was decided."""
    found = head(claim, heading, "complete", disposition(result))
    found["item"] = [
        {"itemSequence": line.sequence, "adjudication": adjudications(line, result.currency)} for line in result.lines
    ]
    found["total"] = list(totals(result))
    if claim.get("use") == "claim" and result.paid:
        found["payment"] = {
            "type": {"coding": [{"system": PAYMENT, "code": "complete" if not result.patient else "partial"}]},
            "amount": money(result.paid, result.currency),
        }
    notes = list(_notes(result))
    if notes:
        found["processNote"] = notes
    return found


def adjudications(line: LineResult, currency: str) -> list[dict[str, Any]]:
    """Return what was submitted, allowed and paid of a line, and each adjustment."""
    figures = (("submitted", line.submitted), ("allowed", line.allowed), ("paid", line.paid))
    found = [{"category": category(name), "amount": money(amount, currency)} for name, amount in figures]
    found += [
        {"category": category(each.category), "reason": reason(each), "amount": money(each.amount, currency)}
        for each in line.adjustments
    ]
    return found


def reason(one: Adjustment) -> dict[str, Any]:
    """Return why, as codes of reason and group and in words."""
    return _reason(one.reason, one.group, one.words)


@lru_cache(4096)
def _reason(reason: str, group: str, words: str) -> dict[str, Any]:
    return {"coding": [{"system": CARC, "code": reason}, {"system": GROUP, "code": group}], "text": words}


def totals(result: Result) -> Iterator[dict[str, Any]]:
    """Yield the sums over all lines; of adjustments those that are there."""
    figures = [("submitted", result.submitted), ("allowed", result.allowed), ("paid", result.paid)]
    figures += [(name, amount) for name in TOTALS if (amount := result.of_category(name))]
    figures.append(("patient", result.patient))
    for name, amount in figures:
        yield {"category": category(name), "amount": money(amount, result.currency)}


def money(amount: Decimal, currency: str) -> dict[str, Any]:
    """Return a FHIR Money with the decimals of its currency."""
    return {"value": amount.quantize(smallest_of(currency)), "currency": currency}


def disposition(result: Result) -> str:
    """Say in one sentence what came of it."""
    said = f"{result.paid} {result.currency} of {result.submitted} is paid; the patient owes {result.patient}."
    denied = sum(each.denied for each in result.lines)
    return f"{said} {denied} of {len(result.lines)} lines denied." if denied else said


def _notes(result: Result) -> Iterator[dict[str, Any]]:
    """Yield a sentence for each line that was denied, for those who read no codes."""
    number = 0
    for line in result.lines:
        if line.denied and line.adjustments:
            number += 1
            yield {"number": number, "type": "display", "text": f"Line {line.sequence}: {line.adjustments[-1].words}"}
