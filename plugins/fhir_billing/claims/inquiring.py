"""Inquiring: where claims stand that are like one that is given.

Spec: https://hl7.org/fhir/us/davinci-pas/STU2.2/OperationDefinition-Claim-inquiry.html
"""

from collections.abc import Mapping
from typing import Any

from fhir_billing.claims.records import CLAIMS
from fhir_server.plugin_api import BadRequest, PluginContext

_MOST = 100


async def inquired(ctx: PluginContext, claim: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Return the answers to the claims of a patient that have one of the identifiers given; all, without identifiers.

    Answers that the caller may not see are left out.

    Raises:
        BadRequest: the claim names no patient.
    """
    patient = str(claim.get("patient", {}).get("reference", ""))
    if not patient:
        raise BadRequest("an inquiry names a patient", expression="Claim.patient")
    if (id_ := str(claim.get("id", ""))) and (record := await ctx.store.get(CLAIMS.name, id_)) is not None:
        answer = await ctx.client.find("ClaimResponse", str(record.value.get("response", "")))
        return [answer] if answer else []
    tokens = [f"{each.get('system', '')}|{each['value']}" for each in claim.get("identifier", ()) if each.get("value")]
    criteria = [("patient", patient), ("_count", str(_MOST)), ("_sort", "-created")]
    if not tokens:
        page = await ctx.client.search("ClaimResponse", criteria)
        return [each["resource"] for each in page.get("entry", ())]
    found = await ctx.client.search(
        "Claim", [*criteria, ("identifier", ",".join(each.removeprefix("|") for each in tokens))]
    )
    requests = ",".join(f"Claim/{each['resource']['id']}" for each in found.get("entry", ()))
    if not requests:
        return []
    page = await ctx.client.search("ClaimResponse", [*criteria, ("request", requests)])
    return [each["resource"] for each in page.get("entry", ())]
