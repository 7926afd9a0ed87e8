"""PasPayer: prior authorization as Da Vinci PAS 2.2.1 has it.

Spec: https://hl7.org/fhir/us/davinci-pas/STU2.2/
"""

from collections.abc import Iterator, Mapping
from typing import Any, Final

from fhir_billing.payers.fhir import FhirPayer, trace_of
from fhir_billing.payers.payer import Answered, Parcel, Pended, Refused, Reply

_PROFILE: Final = "http://hl7.org/fhir/us/davinci-pas/StructureDefinition/"
_ACTION: Final = f"{_PROFILE}extension-reviewAction"
_CODE: Final = f"{_PROFILE}extension-reviewActionCode"
_REASON: Final = "reasonCode"
_CHANGED: Final = f"{_PROFILE}extension-infoChanged"
PENDED: Final = "A4"


class PasPayer(FhirPayer):
    """Asks for authorizations; a claim for payment is refused before it is sent, for PAS has none."""

    async def submit(self, parcel: Parcel) -> Reply:
        """Send a request for authorization."""
        if parcel.claim.get("use") != "preauthorization":
            return Refused(("this payer takes prior authorizations here (use `preauthorization`), no claims",))
        return await super().submit(parcel)

    def bundle(self, parcel: Parcel, claim: Mapping[str, Any]) -> dict[str, Any]:
        """Return a PAS request: the profile says which, the claim stands first."""
        found = super().bundle(parcel, {**claim, "meta": {"profile": [f"{_PROFILE}profile-claim"]}})
        found["meta"] = {"profile": [f"{_PROFILE}profile-pas-request-bundle"]}
        first = dict(found["entry"][0]["resource"])
        first["meta"] = {"profile": [f"{_PROFILE}profile-claim{'-update' if parcel.replaces else ''}"]}
        if parcel.replaces:
            first["item"] = [_changed(item) for item in first["item"]]
        found["entry"][0]["resource"] = first
        return found

    def inquiry(self, parcel: Parcel) -> Mapping[str, Any]:
        """Return what an inquiry asks by: the claim without its details."""
        return {name: value for name, value in parcel.claim.items() if name not in ("supportingInfo", "related")}

    def read(self, response: Mapping[str, Any], parcel: Parcel) -> Reply:
        """Return what a ClaimResponse means: an item that is pended pends the whole."""
        reply = super().read(response, parcel)
        if not isinstance(reply, Answered):
            return reply
        actions = list(actions_of(response))
        if any(code == PENDED for _, code, _, _ in actions):
            return Pended(trace_of(response), "The payer reviews the request.")
        return Answered(_numbered(response, [number for _, _, number, _ in actions if number]), reply.trace)


def actions_of(response: Mapping[str, Any]) -> Iterator[tuple[int, str, str, str]]:
    """Yield what was decided of each item: its sequence, the code (A1 certified, A3 not ...), number and reason."""
    for item in response.get("item", ()):
        for adjudication in item.get("adjudication", ()):
            for action in adjudication.get("extension", ()):
                if action.get("url") == _ACTION:
                    parts = {each.get("url"): each for each in action.get("extension", ())}
                    code = _coded(parts.get(_CODE, {}))
                    number = str(parts.get("number", {}).get("valueString", ""))
                    yield int(item.get("itemSequence", 0)), code, number, _coded(parts.get(_REASON, {}))


def _coded(extension: Mapping[str, Any]) -> str:
    codings = extension.get("valueCodeableConcept", {}).get("coding", ())
    return str(next((each.get("code", "") for each in codings), ""))


def _numbered(response: Mapping[str, Any], numbers: list[str]) -> Mapping[str, Any]:
    return {**response, "preAuthRef": numbers[0]} if numbers and "preAuthRef" not in response else response


def _changed(item: Mapping[str, Any]) -> dict[str, Any]:
    return {**item, "extension": [*item.get("extension", ()), {"url": _CHANGED, "valueCode": "changed"}]}
