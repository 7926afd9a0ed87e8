"""ShaPayer: the Social Health Authority of Kenya by the eClaims guide (draft of 2026).

The guide's canonical has moved before; the setting `canonical` says which edition the payer takes.
Source: https://fhir.dha.go.ke/eclaims (profiles of Claim, ClaimResponse and Coverage)
"""

from collections.abc import Iterator, Mapping
from decimal import Decimal
from typing import Any, Final

from fhir_billing.payers.fhir import FhirPayer, trace_of
from fhir_billing.payers.payer import Answered, Parcel, Pended, Refused, Reply

_NEWEST: Final = "https://fhir.dha.go.ke/eclaims"
_STATE: Final = ("eclaim-state-extension", "claim-state-extension")
_WAITING: Final = ("review", "pending", "surveillance", "queued", "received", "processing")
_BACK: Final = ("sent back", "sent-back", "returned")


class ShaPayer(FhirPayer):
    """Fills in what the profiles ask for, and reads the state that answers carry."""

    @property
    def canonical(self) -> str:
        """The base of the profiles."""
        return self.settings.canonical or _NEWEST

    async def submit(self, parcel: Parcel) -> Reply:
        """Send a claim; one that lacks what the profile asks for is not sent."""
        missing = tuple(lacking(parcel.claim))
        return Refused(missing) if missing else await super().submit(parcel)

    def bundle(self, parcel: Parcel, claim: Mapping[str, Any]) -> dict[str, Any]:
        """Return a claim in the shape of the guide, with the provider's invoice as an extension."""
        found = super().bundle(parcel, claim)
        first = dict(found["entry"][0]["resource"])
        kind = "claimsubmission" if first["use"] == "claim" else "preauthorization"
        first["meta"] = {"profile": [f"{self.canonical}/StructureDefinition/ke-eclaims-{kind}"]}
        if first["use"] == "claim":
            first["extension"] = [*first.get("extension", ()), self._invoice(parcel)]
        first.setdefault("payee", {"type": _PROVIDER})
        first["item"] = [_priced(item) for item in first["item"]]
        found["entry"][0]["resource"] = first
        return found

    def _invoice(self, parcel: Parcel) -> dict[str, Any]:
        parts: list[dict[str, Any]] = [
            {"url": "invoiceNumber", "valueString": parcel.number},
            {"url": "invoiceDate", "valueDate": str(parcel.claim.get("created", ""))[:10]},
        ]
        if total := parcel.claim.get("total"):
            parts.append({"url": "invoiceAmount", "valueMoney": total})
        return {"url": f"{self.canonical}/StructureDefinition/eclaims-patient-invoice", "extension": parts}

    def read(self, response: Mapping[str, Any], parcel: Parcel) -> Reply:
        """Return what a ClaimResponse means; the state goes before the outcome."""
        reply = super().read(response, parcel)
        state = state_of(response)
        if isinstance(reply, Answered) and any(word in state for word in _WAITING):
            return Pended(trace_of(response), f"The payer has the claim: {state}.")
        if any(word in state for word in _BACK):
            return Refused((str(response.get("disposition") or "the claim was sent back to be corrected"),))
        return reply


_PROVIDER: Final = {
    "coding": [{"system": "http://terminology.hl7.org/CodeSystem/payeetype", "code": "provider", "display": "Provider"}]
}


def state_of(response: Mapping[str, Any]) -> str:
    """Return the state that an answer carries, in small letters; empty for none."""
    for each in response.get("extension", ()):
        if str(each.get("url", "")).rpartition("/")[2] in _STATE:
            concept = each.get("valueCodeableConcept", {})
            coding: Mapping[str, Any] = next(iter(concept.get("coding", ())), {})
            return str(concept.get("text") or coding.get("display") or coding.get("code", "")).lower()
    return ""


def lacking(claim: Mapping[str, Any]) -> Iterator[str]:
    """Yield what the profile of claims asks for and a claim has not, in words for the desk."""
    if not any(each.get("system") and each.get("value") for each in claim.get("identifier", ())):
        yield "the claim has no identifier with a system (Claim.identifier)"
    period = claim.get("billablePeriod", {})
    if not (period.get("start") and period.get("end")):
        yield "start and end of the treatment are missing (Claim.billablePeriod)"
    if not any("diagnosisCodeableConcept" in each for each in claim.get("diagnosis", ())):
        yield "a coded diagnosis is missing (Claim.diagnosis)"
    for number, item in enumerate(claim.get("item", ())):
        if not item.get("category", {}).get("coding"):
            yield f"the item has no category (Claim.item[{number}].category)"
    if claim.get("use") == "claim" and "total" not in claim:
        yield "the total is missing (Claim.total)"


def _priced(item: Mapping[str, Any]) -> dict[str, Any]:
    """Return an item with quantity and unit price, which the profile asks for."""
    found = {"quantity": {"value": 1}, **item}
    if "unitPrice" not in found:
        count = Decimal(found["quantity"]["value"])
        net = found["net"]
        price = (net["value"] / count).quantize(Decimal("0.01"))
        found["unitPrice"] = {"value": price, "currency": net["currency"]}
    return found
