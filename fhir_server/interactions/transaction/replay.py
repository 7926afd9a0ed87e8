"""A history Bundle as a transaction: what another server recorded is brought to its latest state here.

Spec: https://hl7.org/fhir/R4/http.html#other-bundles
"""

from collections.abc import Sequence
from typing import Any

import msgspec

from fhir_server.context import Context
from fhir_server.errors import BadRequest
from fhir_server.interactions.bundle import write_bundle
from fhir_server.interactions.entries import Entry
from fhir_server.interactions.outcome import success
from fhir_server.interactions.prepare import parse
from fhir_server.interactions.transaction.interaction import run_entries
from fhir_server.model.exchange import FhirRequest, FhirResponse


async def replay(ctx: Context, request: FhirRequest, entries: Sequence[Entry]) -> FhirResponse:
    """Write the newest version of each resource of a history under its own id; older ones are told to be superseded.

    Raises:
        BadRequest: an entry names no resource.
        FhirError: as a transaction.
    """
    newest: dict[str, Entry] = {}
    places: list[str] = []
    for entry in entries:
        url = _url(entry, ctx.settings.max_depth)
        places.append(url)
        newest.setdefault(url, msgspec.structs.replace(entry, method=_method(entry), url=url, headers={}))
    done = await run_entries(ctx, request, tuple(newest.values()))
    answers = dict(zip(newest, done, strict=True))
    first = {url: entry.index for url, entry in newest.items()}
    written = [
        answers[url] if first[url] == index else _superseded(first[url]) for index, url in enumerate(places)
    ]  # fmt: skip
    body = write_bundle("transaction-response", written, identity=(ctx.new_id(), ctx.now()))
    return FhirResponse(200, (body,))


def _method(entry: Entry) -> str:
    return "DELETE" if entry.method == "DELETE" else "PUT"


def _url(entry: Entry, max_depth: int) -> str:
    """Return `Type/id`: of the resource, whose id is kept so that references stay true, or of what was deleted."""
    if entry.method == "DELETE":
        return entry.url.removeprefix("/")
    resource: dict[str, Any] = parse(entry.resource, max_depth) if entry.resource else {}
    type_, id_ = resource.get("resourceType"), resource.get("id")
    if not isinstance(type_, str) or not isinstance(id_, str):
        raise BadRequest(f"{entry.place} of a history has no resource with an id", expression=f"{entry.place}.resource")
    return f"{type_}/{id_}"


def _superseded(newer: int) -> bytes:
    said = success(f"superseded by entry {newer}: the latest version counts")
    return b'{"response":{"status":"200 OK","outcome":%b}}' % said
