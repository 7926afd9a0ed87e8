"""The data that a service needs: what the client sent, and what is fetched for it where that is missing.

Spec: https://cds-hooks.hl7.org/2.0/#providing-fhir-resources-to-a-cds-service
"""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import httpx

from fhir_cds_hooks.faults import MissingData
from fhir_cds_hooks.registry import Service
from fhir_cds_hooks.templates import Unfilled, filled
from fhir_server.plugin_api import Client, FhirError, NotFound, PluginContext, decode

_FHIR = "application/fhir+json"


@dataclass(frozen=True, slots=True)
class Source:
    """Where missing data come from: our own record, or another server by URL and token; neither for nowhere."""

    own: Client | None = None
    url: str = ""
    token: str = ""


async def source_of(ctx: PluginContext, body: Mapping[str, Any]) -> Source:
    """Return where the data of a call come from. A token that our own server does not take is as good as none."""
    url = str(body.get("fhirServer") or "").rstrip("/")
    grant = body.get("fhirAuthorization") or {}
    token = str(grant.get("access_token") or "") if isinstance(grant, Mapping) else ""
    if url == ctx.base.rstrip("/"):
        try:
            inside = await ctx.host.let_in(ctx.tenant, f"Bearer {token}" if token else "", ctx.base)
        except FhirError:
            return Source()
        return Source(own=inside.client)
    allowed = {each.rstrip("/") for each in ctx.settings.fhir_servers}
    return Source(url=url, token=token) if url in allowed else Source()


async def prefetched(ctx: PluginContext, service: Service, body: Mapping[str, Any], source: Source) -> dict[str, Any]:
    """Return what the service asked for, by key; None where a search or read found nothing.

    Raises:
        MissingData: something that it cannot do without is neither sent nor to be had; all of it is named.
    """
    sent: Mapping[str, Any] = body.get("prefetch") or {}
    found = {key: value for key, value in sent.items() if key in service.prefetch and not _is_fault(value)}
    missing = [key for key in service.prefetch if key not in found]
    results = await asyncio.gather(
        *(_fetched(ctx, service.prefetch[key], body["context"], source) for key in missing), return_exceptions=True
    )
    wrong = []
    for key, result in zip(missing, results, strict=True):
        if isinstance(result, MissingData):
            wrong += [f"{key}: {result}"] if key not in service.optional else []
        elif isinstance(result, BaseException):
            raise result
        else:
            found[key] = result
    if wrong:
        raise MissingData("this service lacks data. " + "; ".join(wrong), expression="prefetch")
    return found


def _is_fault(value: Any) -> bool:
    """Tell whether a client could not get what was asked for."""
    return isinstance(value, Mapping) and value.get("resourceType") == "OperationOutcome"


async def _fetched(ctx: PluginContext, template: str, context: Mapping[str, Any], source: Source) -> Any:
    try:
        path = filled(template, context, ctx.now())
    except Unfilled as token:
        raise MissingData(f"the context has nothing for {{{{{token}}}}}") from None
    if source.own is not None:
        return await _from_own(source.own, path)
    if not source.url:
        raise MissingData(
            "it was not sent, and there is no FHIR server that it may be fetched from: give fhirServer and "
            "fhirAuthorization"
        )
    return await _from_other(ctx, source, path)


async def _from_own(client: Client, path: str) -> Any:
    try:
        response = await client.request("GET", path)
    except NotFound:
        return None
    except FhirError as error:
        raise MissingData(f"the server answers {error.status}") from None
    return decode(b"".join(response.body))


async def _from_other(ctx: PluginContext, source: Source, path: str) -> Any:
    headers = {"accept": _FHIR} | ({"authorization": f"Bearer {source.token}"} if source.token else {})
    try:
        async with (
            asyncio.timeout(ctx.settings.fetch_timeout),
            httpx.AsyncClient(follow_redirects=False, trust_env=False) as http,
            http.stream("GET", f"{source.url}/{path}", headers=headers) as answer,
        ):
            if answer.status_code in (404, 410):
                return None
            if answer.status_code != 200:
                raise MissingData(f"its FHIR server answers {answer.status_code}")
            body = await _limited(answer, ctx.settings.max_prefetch)
        return decode(body)
    except (httpx.HTTPError, httpx.InvalidURL, OSError, ValueError, FhirError) as error:
        if isinstance(error, MissingData):
            raise
        raise MissingData("its FHIR server gives no answer that can be read") from None


async def _limited(answer: httpx.Response, most: int) -> bytes:
    body = bytearray()
    async for chunk in answer.aiter_bytes():
        body += chunk
        if len(body) > most:
            raise MissingData(f"the answer is larger than {most} bytes")
    return bytes(body)
