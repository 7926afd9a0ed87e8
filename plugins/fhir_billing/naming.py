"""Names of our own: code systems and extensions, references, ids made of what they stand for."""

from collections.abc import Mapping
from datetime import UTC, datetime
from hashlib import sha256
from typing import Any, Final

BASE: Final = "http://fhir-server.org"
PRICE_REASONS: Final = f"{BASE}/CodeSystem/price-reason"
EXCHANGE_RATE: Final = f"{BASE}/StructureDefinition/exchange-rate"
RECEIPT_NUMBER: Final = f"{BASE}/billing/receipt-number"
PAYMENT_ID: Final = f"{BASE}/billing/payment"
PAYMENT_TYPES: Final = "http://terminology.hl7.org/CodeSystem/payment-type"
PAYMENT_STATUSES: Final = "http://terminology.hl7.org/CodeSystem/paymentstatus"


def named(resource: Mapping[str, Any]) -> str:
    """Return `Type/id` of a resource."""
    return f"{resource['resourceType']}/{resource['id']}"


def reference(name: str) -> dict[str, str]:
    """Return a Reference."""
    return {"reference": name}


def refers(value: Any) -> str:
    """Return `Type/id` of a Reference, without a version or a server before it; empty for none."""
    text = str((value or {}).get("reference", "")).partition("/_history/")[0]
    return "/".join(text.split("/")[-2:]) if text else ""


def id_of(*parts: str) -> str:
    """Return an id that is always the same for the same parts: what is made twice is made once."""
    return sha256("|".join(parts).encode()).hexdigest()[:40]


def date_of(at: int) -> str:
    """Return the date of a time in milliseconds, in UTC."""
    return datetime.fromtimestamp(at / 1000, UTC).date().isoformat()


def coded(system: str, code: str, text: str = "") -> dict[str, Any]:
    """Return a CodeableConcept."""
    return {"coding": [{"system": system, "code": code}], **({"text": text} if text else {})}
