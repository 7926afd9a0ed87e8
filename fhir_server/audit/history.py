"""The history of all AuditEvents: each has one version, so it is the list of what was recorded, newest first.

They are no part of the history of the whole system: every read would stand in it.

Spec: https://hl7.org/fhir/R4/http.html#history
"""

from collections.abc import Iterable
from typing import Final
from urllib.parse import urlencode

from fhir_server.audit.render import TYPE
from fhir_server.audit.search import find
from fhir_server.context import Context
from fhir_server.errors import UnknownParameter
from fhir_server.interactions.bundle import write_bundle
from fhir_server.interactions.entry_responses import full_url
from fhir_server.model.exchange import FhirRequest, FhirResponse
from fhir_server.model.version import Version, instant

_ASKED: Final = {"_since": "ge", "_at": "le"}
_HANDED_ON: Final = frozenset(("_count", "_page", "_format", "_pretty"))


async def history_type(ctx: Context, request: FhirRequest) -> FhirResponse:
    """Answer `GET [base]/AuditEvent/_history`, with `_since`, `_at` and `_count`.

    Raises:
        UnknownParameter: another parameter, unless the client wants them ignored.
        BadRequest: a value that cannot be read.
    """
    found = await find(ctx, request.but(interaction="search-type", query=tuple(_query(request))))
    url = f"{request.base}/{TYPE}/_history"
    own = [(name, value) for name, value in request.query if name in _ASKED or name == "_count"]
    links = [("self", f"{url}?{urlencode(request.query, safe=':,')}" if request.query else url)]
    token = found.next(ctx)
    if token is not None:
        links.append(("next", f"{url}?{urlencode([*own, ('_page', token)], safe=':,')}"))
    entries = [history_entry(request, version) for version in found.versions]
    body = write_bundle("history", entries, identity=(ctx.new_id(), ctx.now()), total=found.total, links=links)
    return FhirResponse(200, (body,))


def history_entry(request: FhirRequest, version: Version) -> bytes:
    """Return the entry of a Bundle for an event, which somebody has once posted."""
    return (
        b'{%b"resource":%b,"request":{"method":"POST","url":"AuditEvent"},'
        b'"response":{"status":"201 Created","etag":"W/\\"1\\"","lastModified":"%b"}}'
    ) % (full_url(request.base, version), version.stamped(), instant(version.last_updated).encode())


def _query(request: FhirRequest) -> Iterable[tuple[str, str]]:
    """Yield the parameters as those of a search."""
    for name, value in request.query:
        if name in _ASKED:
            yield "_lastUpdated", f"{_ASKED[name]}{value}"
        elif name in _HANDED_ON:
            yield name, value
        elif request.preference("handling") != "lenient":
            raise UnknownParameter(f"history has no parameter {name[:100]!r}", expression=f"http.{name[:100]}")
