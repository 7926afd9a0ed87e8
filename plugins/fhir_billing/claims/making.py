"""Making claims of what was charged: pure, for those who split a bill."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from fhir_billing.money import Money, total

_TYPE: Final = "http://terminology.hl7.org/CodeSystem/claim-type"
_PRIORITY: Final = "http://terminology.hl7.org/CodeSystem/processpriority"


@dataclass(frozen=True, slots=True)
class Charge:
    """One thing to claim. code: a CodeableConcept; day: of the service; amount: of all units together."""

    code: Mapping[str, Any]
    day: str
    amount: Money
    quantity: int = 1
    source: str = ""


@dataclass(frozen=True, slots=True)
class Claimant:
    """Who claims for whom of whom; references. coverages: in the order in which they pay, the first that is asked."""

    patient: str
    provider: str
    coverages: Sequence[str]
    insurer: str = ""
    focal: int = 0
    earlier: Mapping[int, str] | None = None


def make_claim(
    id_: str, claimant: Claimant, charges: Sequence[Charge], *, created: str, kind: str = "professional"
) -> dict[str, Any]:
    """Return a Claim that can be submitted.

    Args:
        created: a date. kind: professional, institutional, pharmacy, oral or vision.
    """
    if not charges:
        raise ValueError("a claim is made of at least one charge")
    found = {
        "resourceType": "Claim",
        "id": id_,
        "identifier": [{"system": "urn:fhir-server:claim", "value": id_}],
        "status": "active",
        "type": {"coding": [{"system": _TYPE, "code": kind}]},
        "use": "claim",
        "patient": {"reference": claimant.patient},
        "created": created,
        "provider": {"reference": claimant.provider},
        "priority": {"coding": [{"system": _PRIORITY, "code": "normal"}]},
        "insurance": [_insurance(claimant, number) for number in range(len(claimant.coverages))],
        "item": [_item(number, each) for number, each in enumerate(charges, 1)],
        "total": total((each.amount for each in charges), charges[0].amount.currency).as_fhir(),
    }
    return {**found, "insurer": {"reference": claimant.insurer}} if claimant.insurer else found


def _insurance(claimant: Claimant, number: int) -> dict[str, Any]:
    found: dict[str, Any] = {
        "sequence": number + 1,
        "focal": number == claimant.focal,
        "coverage": {"reference": claimant.coverages[number]},
    }
    answer = (claimant.earlier or {}).get(number)
    return {**found, "claimResponse": {"reference": answer}} if answer else found


def _item(number: int, charge: Charge) -> dict[str, Any]:
    return {
        "sequence": number,
        "productOrService": dict(charge.code),
        "servicedDate": charge.day,
        "quantity": {"value": charge.quantity},
        "net": charge.amount.as_fhir(),
    }
