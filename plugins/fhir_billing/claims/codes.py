"""Code systems of answers."""

from functools import cache
from typing import Any, Final

ADJUDICATION: Final = "http://terminology.hl7.org/CodeSystem/adjudication"
C4BB_ADJUDICATION: Final = "http://hl7.org/fhir/us/carin-bb/CodeSystem/C4BBAdjudication"
C4BB_DISCRIMINATOR: Final = "http://hl7.org/fhir/us/carin-bb/CodeSystem/C4BBAdjudicationDiscriminator"
C4BB_STATUS: Final = "http://hl7.org/fhir/us/carin-bb/CodeSystem/C4BBPayerAdjudicationStatus"
CARC: Final = "https://x12.org/codes/claim-adjustment-reason-codes"
GROUP: Final = "https://x12.org/codes/claim-adjustment-group-codes"
PAYMENT: Final = "http://terminology.hl7.org/CodeSystem/ex-paymenttype"
PAYEE: Final = "http://terminology.hl7.org/CodeSystem/payeetype"

CATEGORY: Final[dict[str, tuple[str, str]]] = {
    "submitted": (ADJUDICATION, "submitted"),
    "allowed": (ADJUDICATION, "eligible"),
    "paid": (ADJUDICATION, "benefit"),
    "deductible": (ADJUDICATION, "deductible"),
    "copay": (ADJUDICATION, "copay"),
    "coinsurance": (C4BB_ADJUDICATION, "coinsurance"),
    "noncovered": (C4BB_ADJUDICATION, "noncovered"),
    "contractual": (C4BB_ADJUDICATION, "discount"),
    "payer-initiated": (C4BB_ADJUDICATION, "discount"),
    "prior-payer": (C4BB_ADJUDICATION, "priorpayerpaid"),
    "patient": (C4BB_ADJUDICATION, "memberliability"),
}
"""Names of ours to codings that ClaimResponse and ExplanationOfBenefit carry."""
OF_CODE: Final = {
    "submitted": "submitted", "eligible": "allowed", "benefit": "paid", "deductible": "deductible", "copay": "copay",
    "coinsurance": "coinsurance", "noncovered": "noncovered", "discount": "contractual",
    "priorpayerpaid": "prior-payer", "memberliability": "patient", "paidtoprovider": "paid",
}  # fmt: skip


@cache
def category(name: str) -> dict[str, Any]:
    """Return the CodeableConcept of a name of ours: always the same one, which nobody changes."""
    system, code = CATEGORY[name]
    return {"coding": [{"system": system, "code": code}]}
