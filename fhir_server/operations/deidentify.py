"""`$de-identify`: resources as they may be shown to those who must not know whose they are.

For administrators: who could have any id made into its pseudonym could find out whose a pseudonym is.
"""

import secrets
from collections.abc import AsyncIterator
from contextlib import suppress
from typing import Any, Final

from fhir_server.context import Context
from fhir_server.errors import BadRequest, BadValue, Forbidden, NotFound
from fhir_server.interactions.visibility import visible
from fhir_server.model.exchange import FhirResponse
from fhir_server.model.json import decode, encode
from fhir_server.model.version import Version
from fhir_server.operations.facts import own
from fhir_server.operations.operation import Call, CoreOperation
from fhir_server.operations.outputs import Outputs
from fhir_server.privacy.deidentify import PROFILES, BadRules, Deidentifier, RuleSet, profile, read_rules
from fhir_server.privacy.deidentify.key import Key
from fhir_server.privacy.deidentify.methods import year_of
from fhir_server.privacy.reach import pages, search_of
from fhir_server.search.query import EVERYTHING, Search
from fhir_server.storage.base import Collection, RecordChange, RecordChanged

AT_ONCE: Final = 20_000
"""Resources of a type up to which they are answered at once; more are a job."""
_SECRETS: Final = Collection("privacy.secrets")
_DEIDENTIFY: Final = "deidentify"
_PAGE: Final = 1_000


async def _run(ctx: Context, call: Call) -> Outputs | FhirResponse:
    """Answer for a resource that is given, a stored one, all of a patient, or all of a type (as NDJSON).

    Raises:
        Forbidden: the caller is no administrator.
        BadValue: the rules cannot be read.
    """
    request = call.request
    if not ctx.caller.admin:
        raise Forbidden("$de-identify is for administrators", expression="http.url")
    given = call.inputs.one("resource")
    if request.type is None and given is None:
        raise BadRequest("$de-identify needs a resource, or the URL of a type or resource", expression="http.body")
    whole = request.id is None and given is None
    if ctx.jobs is not None and not ctx.in_job and whole and await _size(ctx, request.type or "") > AT_ONCE:
        return await ctx.jobs.submit(ctx, request)
    rules = _rules(ctx, call)
    key = Key(await _secret(ctx), call.inputs.one("project", ""))
    work = Deidentifier(rules, key, ctx.definitions, year_of(ctx.now()))
    if given is not None:
        return Outputs([("return", work.resource(given))])
    if request.id is None:
        return await _all_of_type(ctx, request.type or "", work)
    version = await ctx.store.read(request.key)
    if version is None or version.deleted or not await visible(ctx, version):
        raise NotFound(f"there is no {request.key}", expression="http.url")
    if request.type != "Patient":
        return Outputs([("return", work.resource(_json(version)))])
    return Outputs([("return", await _all_of_patient(ctx, request.id, work))])


async def _size(ctx: Context, type_: str) -> int:
    return (await ctx.store.statistics()).get(type_, 0)


def _rules(ctx: Context, call: Call) -> RuleSet:
    text, name = call.inputs.one("rules"), call.inputs.one("profile")
    if text is not None and name is not None:
        raise BadRequest("profile and rules exclude each other", expression="http.rules")
    if text is None:
        if (name or PROFILES[0]) not in PROFILES:
            raise BadValue(f"profile: {name[:60]!r} is none of {', '.join(PROFILES)}", expression="http.profile")
        return profile(name or PROFILES[0], ctx.definitions)
    try:
        return read_rules(text.encode(), ctx.definitions)
    except BadRules as error:
        raise BadValue(str(error), expression="http.rules") from None


async def _secret(ctx: Context) -> bytes:
    """Return the tenant's secret, made by whoever comes first: the same patient stays the same in each call."""
    await ctx.store.declare(_SECRETS)
    record = await ctx.store.records.get(_SECRETS.name, _DEIDENTIFY)
    if record is None:
        fresh = RecordChange(_SECRETS.name, _DEIDENTIFY, {"key": secrets.token_hex(32)}, expected=0)
        with suppress(RecordChanged):
            await ctx.store.commit((), (fresh,))
        record = await ctx.store.records.get(_SECRETS.name, _DEIDENTIFY)
    if record is None:
        raise AssertionError("the record was written")
    return bytes.fromhex(str(record.value["key"]))


async def _all_of_type(ctx: Context, type_: str, work: Deidentifier) -> FhirResponse:
    body = [encode(found) + b"\n" async for found in _made(ctx, Search({type_: EVERYTHING}, count=_PAGE), work)]
    return FhirResponse(200, body, media_type="application/fhir+ndjson")


async def _all_of_patient(ctx: Context, patient: str, work: Deidentifier) -> dict[str, Any]:
    """Return a Bundle of everything that is linked to the patient."""
    found = [each async for each in _made(ctx, search_of(ctx, patient), work, patient)]
    entries = [
        {"fullUrl": f"https://deidentified.invalid/{each['resourceType']}/{each['id']}", "resource": each}
        for each in found
        if "id" in each
    ]
    return {"resourceType": "Bundle", "type": "collection", "entry": entries}


async def _made(ctx: Context, search: Search, work: Deidentifier, owner: str = "") -> AsyncIterator[dict[str, Any]]:
    done = 0
    async for versions in pages(ctx.store, search):
        for version in versions:
            if await visible(ctx, version):
                yield work.resource(_json(version), owner)
        done += len(versions)
        ctx.progress(done, done)


def _json(version: Version) -> dict[str, Any]:
    found: dict[str, Any] = decode(version.body.data)
    return found


deidentify = CoreOperation(
    facts=own("de-identify"),
    handler=_run,
    summary="Resources without what tells whose they are, by rules; HIPAA Safe Harbor by default; for administrators.",
    background=True,
)
