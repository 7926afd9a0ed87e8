"""NhiaPayer: health maintenance organizations under Nigeria's NHIA, by the bundles of Nigeria Core (draft of 2026).

A submission is a transaction of Patient, organizations, Coverage and Claim; its answer a Bundle with a ClaimResponse
and, at times, an ExplanationOfBenefit. Source: https://fhir-ig.digitalhealth.gov.ng
"""

from collections.abc import Mapping
from typing import Any, Final
from uuid import NAMESPACE_URL, uuid5

from fhir_billing.payers.fhir import FhirPayer, outgoing
from fhir_billing.payers.payer import Parcel, Reply

_NEWEST: Final = "https://fhir-ig.digitalhealth.gov.ng"
_BUNDLES: Final = {
    "claim": "ng-claim-submission-bundle",
    "preauthorization": "ng-pre-authorization-bundle",
    "predetermination": "ng-pre-authorization-bundle",
}
_ORDER: Final = ("Patient", "Practitioner", "Organization", "Coverage")


class NhiaPayer(FhirPayer):
    """Sends transactions whose entries refer to each other by URN."""

    def bundle(self, parcel: Parcel, claim: Mapping[str, Any]) -> dict[str, Any]:
        """Return the transaction of the guide."""
        base = self.settings.canonical or _NEWEST
        resources = {name: each for name, each in parcel.resources.items() if each["resourceType"] in _ORDER}
        names = {name: f"urn:uuid:{_uuid(name)}" for name in (*resources, f"Claim/{claim['id']}")}
        ordered = sorted(resources.values(), key=lambda each: _ORDER.index(str(each["resourceType"])))
        entries = [*ordered, claim]
        return {
            "resourceType": "Bundle",
            "meta": {"profile": [f"{base}/StructureDefinition/{_BUNDLES[str(claim['use'])]}"]},
            "identifier": {"system": "urn:fhir-server:claim-submission", "value": parcel.key},
            "type": "transaction",
            "timestamp": parcel.created,
            "entry": [_entry(each, names) for each in entries],
        }

    def read(self, response: Mapping[str, Any], parcel: Parcel) -> Reply:
        """Return what a ClaimResponse means; one without a request answers the claim that it came back for."""
        given = (
            response if "request" in response else {**response, "request": {"reference": f"Claim/{parcel.claim['id']}"}}
        )
        reference = str(given["request"].get("reference", ""))
        if reference == f"urn:uuid:{_uuid('Claim/' + str(parcel.claim['id']))}":
            given = {**given, "request": {"reference": f"Claim/{parcel.claim['id']}"}}
        return super().read(given, parcel)


def _entry(resource: Mapping[str, Any], names: Mapping[str, str]) -> dict[str, Any]:
    name = f"{resource['resourceType']}/{resource['id']}"
    body = _turned(outgoing(resource), names)
    body.pop("id")
    request = {"method": "POST", "url": resource["resourceType"], "ifNoneExist": _same(resource)}
    return {"fullUrl": names[name], "resource": body, "request": {k: v for k, v in request.items() if v}}


def _same(resource: Mapping[str, Any]) -> str:
    """Return the search by which the payer finds what it has already: a second submission makes no second claim."""
    for each in resource.get("identifier", ()):
        if each.get("value"):
            return f"identifier={each.get('system', '')}|{each['value']}"
    return ""


def _turned(value: Any, names: Mapping[str, str]) -> Any:
    if isinstance(value, list):
        return [_turned(each, names) for each in value]
    if not isinstance(value, Mapping):
        return value
    found = {name: _turned(each, names) for name, each in value.items()}
    if isinstance(found.get("reference"), str):
        found["reference"] = names.get(found["reference"], found["reference"])
    return found


def _uuid(name: str) -> str:
    """Return a UUID that is the same for the same resource, so that a repeat is seen as one."""

    return str(uuid5(NAMESPACE_URL, f"urn:fhir-server:{name}"))
