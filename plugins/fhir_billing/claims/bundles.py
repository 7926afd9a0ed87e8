"""Bundles of claims: what stands in them is matched with what is stored here; answers go back as a Bundle.

Spec: https://hl7.org/fhir/us/davinci-pas/STU2.2/StructureDefinition-profile-pas-request-bundle.html
"""

import re
from collections.abc import Mapping, Sequence
from typing import Any, Final

from fhir_server.plugin_api import BadRequest, PluginContext, TooCostly, encode, instant

_HEAD: Final = re.compile(rb'\{"resourceType":"([A-Za-z]+)","id":"([A-Za-z0-9.-]+)"')


async def claims_in(ctx: PluginContext, bundle: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Return the claims of a Bundle, with patients and coverages of the Bundle replaced by those of this server.

    Raises:
        BadRequest: there is none, or an entry cannot be read. TooCostly: there are too many.
    """
    entries = bundle.get("entry", ())
    resources = {str(each.get("fullUrl", "")): each["resource"] for each in entries if "resource" in each}
    claims = [(url, each) for url, each in resources.items() if each.get("resourceType") == "Claim"]
    if not claims:
        raise BadRequest("the Bundle holds no Claim", expression="Bundle.entry")
    if len(claims) > ctx.settings.claims_in_bundle:
        raise TooCostly(f"a Bundle holds at most {ctx.settings.claims_in_bundle} claims", expression="Bundle.entry")
    known = await _known(ctx, resources)
    return [_turned(claim, url, known) for url, claim in claims]


async def _known(ctx: PluginContext, resources: Mapping[str, Mapping[str, Any]]) -> dict[str, str]:
    """Return which resource of this server each Patient and Coverage of a Bundle is."""
    found: dict[str, str] = {}
    for url, resource in resources.items():
        if resource.get("resourceType") in ("Patient", "Organization", "Practitioner"):
            stored = await _stored(ctx, str(resource["resourceType"]), resource)
            if stored is not None:
                found[url] = f"{resource['resourceType']}/{stored['id']}"
    for url, resource in resources.items():
        if resource.get("resourceType") == "Coverage":
            stored = await _stored(ctx, "Coverage", resource) or await _of_member(ctx, found, url, resource)
            if stored is not None:
                found[url] = f"Coverage/{stored['id']}"
                _beneficiary(found, resources, resource, stored)
    return found


async def _of_member(
    ctx: PluginContext, found: Mapping[str, str], url: str, given: Mapping[str, Any]
) -> dict[str, Any] | None:
    """Return the coverage of a patient that is known whose member number is the one given."""
    reference = str(given.get("beneficiary", {}).get("reference", ""))
    whole = reference if ":" in reference else f"{url.rpartition('/Coverage/')[0]}/{reference}"
    patient, number = found.get(whole), given.get("subscriberId")
    if patient is None or not number:
        return None
    page = await ctx.client.search("Coverage", [("beneficiary", patient), ("_count", "100")])
    same = [each["resource"] for each in page.get("entry", ()) if each["resource"].get("subscriberId") == number]
    return same[0] if len(same) == 1 else None


def _beneficiary(
    found: dict[str, str],
    resources: Mapping[str, Mapping[str, Any]],
    given: Mapping[str, Any],
    stored: Mapping[str, Any],
) -> None:
    """Note that the Bundle's beneficiary is that of the stored coverage."""
    reference = str(given.get("beneficiary", {}).get("reference", ""))
    for url in resources:
        if reference and (url == reference or url.endswith(f"/{reference}")):
            found[url] = str(stored["beneficiary"]["reference"])


async def _stored(ctx: PluginContext, type_: str, resource: Mapping[str, Any]) -> dict[str, Any] | None:
    """Return the one resource here that has an identifier of another; by id where it is one of ours."""
    tokens = [
        f"{each.get('system', '')}|{each['value']}" for each in resource.get("identifier", ()) if each.get("value")
    ]
    if not tokens and (id_ := resource.get("id")):
        return await ctx.client.find(type_, str(id_))
    for token in tokens:
        page = await ctx.client.search(type_, [("identifier", token.removeprefix("|")), ("_count", "2")])
        entries = page.get("entry", ())
        if len(entries) == 1:
            only: dict[str, Any] = entries[0]["resource"]
            return only
    return None


def _turned(claim: Mapping[str, Any], url: str, known: Mapping[str, str]) -> dict[str, Any]:
    """Return a claim whose references are those of this server; others become whole URLs, as they were meant."""
    base = url.rpartition("/Claim/")[0] if url.startswith("http") else ""
    turned = _references(claim, known, base)
    return {name: value for name, value in turned.items() if name != "id"} if known else turned


def _references(value: Any, known: Mapping[str, str], base: str) -> Any:
    if isinstance(value, list):
        return [_references(each, known, base) for each in value]
    if not isinstance(value, Mapping):
        return value
    found = {name: _references(each, known, base) for name, each in value.items()}
    reference = found.get("reference")
    if isinstance(reference, str) and not reference.startswith("#"):
        whole = reference if ":" in reference or not base else f"{base}/{reference}"
        found["reference"] = known.get(whole, known.get(reference, whole if known else reference))
    return found


def answers(ctx: PluginContext, found: Sequence[bytes]) -> bytes:
    """Return the Bundle of answers, each as it is stored; what has no id is an OperationOutcome."""
    head = {"resourceType": "Bundle", "type": "collection", "timestamp": instant(ctx.now())}
    entries = b",".join(_entry(ctx.base, each) for each in found)
    return encode(head)[:-1] + (b',"entry":[' + entries + b"]}" if found else b"}")


def _entry(base: str, resource: bytes) -> bytes:
    named = _HEAD.match(resource)
    url = b'"fullUrl":' + encode(f"{base}/{named[1].decode()}/{named[2].decode()}") + b"," if named else b""
    return b"{" + url + b'"resource":' + resource + b"}"
