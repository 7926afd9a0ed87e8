"""FhirPayer: any payer that speaks FHIR as the standard says: `Claim/$submit`, `Claim/$inquire`.

Spec: https://hl7.org/fhir/R4/claim-operation-submit.html
"""

from collections.abc import Iterator, Mapping
from typing import Any

import httpx

from fhir_billing.payers.http import PayerClient, sentences
from fhir_billing.payers.payer import Answered, Cancelled, NotThere, Parcel, Pended, Refused, Reply, Unclear
from fhir_billing.payers.settings import PayerSettings


class FhirPayer:
    """Sends a collection: the claim first, then what it refers to."""

    def __init__(
        self, name: str, settings: PayerSettings, timeout: float, transport: httpx.AsyncBaseTransport | None = None
    ) -> None:
        self.name, self.settings = name, settings
        self.client = PayerClient(settings, timeout, transport)

    async def submit(self, parcel: Parcel) -> Reply:
        """Send a claim."""
        return self.reply(*await self._ask("Claim/$submit", self.bundle(parcel, parcel.claim), parcel), parcel)

    async def inquire(self, parcel: Parcel) -> Reply:
        """Ask where a claim stands."""
        status, answer = await self._ask("Claim/$inquire", self.bundle(parcel, self.inquiry(parcel)), parcel)
        if status == 404:
            return NotThere()
        if status < 300 and not list(answers_in(answer)):
            return NotThere()
        return self.reply(status, answer, parcel)

    async def cancel(self, parcel: Parcel) -> Reply:
        """Ask to take a claim back: it is sent again, cancelled."""
        cancelled = {**parcel.claim, "status": "cancelled"}
        status, answer = await self._ask("Claim/$submit", self.bundle(parcel, cancelled), parcel)
        if status == 404:
            return NotThere()
        found = [each for each in answers_in(answer) if each.get("status") == "cancelled"]
        return Cancelled() if status < 300 and found else self.reply(status, answer, parcel)

    async def eligibility(
        self, request: Mapping[str, Any], resources: Mapping[str, Mapping[str, Any]]
    ) -> Mapping[str, Any]:
        """Return the answer to a CoverageEligibilityRequest."""
        entries = [request, *resources.values()]
        bundle = {"resourceType": "Bundle", "type": "collection", "entry": [_entry(each) for each in entries]}
        status, answer = await self.client.resource("CoverageEligibilityRequest/$submit", bundle)
        found = [each for each in resources_in(answer) if each["resourceType"] == "CoverageEligibilityResponse"]
        if status >= 300 or len(found) != 1:
            raise Unclear("; ".join(sentences(answer)) or f"the payer answered {status}")
        return found[0]

    async def close(self) -> None:
        """Close connections."""
        await self.client.close()

    def bundle(self, parcel: Parcel, claim: Mapping[str, Any]) -> dict[str, Any]:
        """Return what is sent."""
        return {
            "resourceType": "Bundle",
            "identifier": {"system": "urn:fhir-server:claim-submission", "value": parcel.key},
            "type": "collection",
            "timestamp": parcel.created,
            "entry": [_entry(each) for each in (outgoing(claim), *map(outgoing, parcel.resources.values()))],
        }

    def inquiry(self, parcel: Parcel) -> Mapping[str, Any]:
        """Return the claim that an inquiry asks by."""
        return parcel.claim

    async def _ask(self, path: str, body: Mapping[str, Any], parcel: Parcel) -> tuple[int, dict[str, Any]]:
        return await self.client.resource(path, body, {"idempotency-key": parcel.key})

    def reply(self, status: int, answer: Mapping[str, Any], parcel: Parcel) -> Reply:
        """Return what an answer means. Raises Unclear: it is none to this claim."""
        if 400 <= status < 500:
            return Refused(sentences(answer) or (f"the payer answered {status}",))
        found = list(answers_in(answer))
        if len(found) > 1:
            found = [each for each in found if about(each, parcel)]
        if len(found) != 1:
            raise Unclear("the payer's answer holds no ClaimResponse for the claim")
        return self.read(found[0], parcel)

    def read(self, response: Mapping[str, Any], parcel: Parcel) -> Reply:
        """Return what a ClaimResponse means."""
        trace = trace_of(response)
        if not about(response, parcel):
            raise Unclear("the payer answers another claim")
        outcome = response.get("outcome")
        if outcome == "queued" or (outcome == "partial" and not response.get("item")):
            return Pended(trace, str(response.get("disposition") or Pended().why))
        if outcome == "error":
            return Refused(tuple(_errors(response)) or ("the payer does not say why",))
        if response.get("status") == "cancelled":
            return Cancelled()
        return Answered(response, trace)


def outgoing(resource: Mapping[str, Any]) -> dict[str, Any]:
    """Return a resource as it leaves: without what the server stamped."""
    return {name: value for name, value in resource.items() if name not in ("meta", "text")}


def _entry(resource: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "fullUrl": f"urn:uuid:{resource['id']}" if _is_uuid(str(resource["id"])) else _url(resource),
        "resource": resource,
    }


def _is_uuid(id_: str) -> bool:
    return len(id_) == 36 and id_.count("-") == 4


def _url(resource: Mapping[str, Any]) -> str:
    return f"http://fhir-server.org/{resource['resourceType']}/{resource['id']}"


def resources_in(answer: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    """Yield the resources of an answer: itself, or those of its entries and parameters."""
    if answer.get("resourceType") == "Bundle":
        for entry in answer.get("entry", ()):
            if isinstance(entry.get("resource"), Mapping):
                yield from resources_in(entry["resource"])
    elif answer.get("resourceType") == "Parameters":
        for part in answer.get("parameter", ()):
            if isinstance(part.get("resource"), Mapping):
                yield from resources_in(part["resource"])
    else:
        yield answer


def answers_in(answer: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    """Yield the ClaimResponses of an answer."""
    return (each for each in resources_in(answer) if each.get("resourceType") == "ClaimResponse")


def about(response: Mapping[str, Any], parcel: Parcel) -> bool:
    """Tell whether a ClaimResponse is about a claim: it names it by id, by number, or by the trace that we know."""
    request = response.get("request", {})
    if parcel.trace and trace_of(response) == parcel.trace:
        return True
    if request.get("identifier", {}).get("value") == parcel.number:
        return True
    return str(request.get("reference", "")).removeprefix("urn:uuid:").rpartition("/")[2] == str(parcel.claim["id"])


def trace_of(response: Mapping[str, Any]) -> str:
    """Return what the payer calls the claim."""
    identifiers = response.get("identifier", ())
    return str(next((each["value"] for each in identifiers if each.get("value")), response.get("id", "")))


def _errors(response: Mapping[str, Any]) -> Iterator[str]:
    for each in response.get("error", ()):
        code = each.get("code", {})
        text = code.get("text") or next((c.get("display") or c.get("code") for c in code.get("coding", ())), "error")
        line = each.get("itemSequence")
        yield f"line {line}: {text}" if line else str(text)
