"""The FHIR history interaction: versions of a resource, of a type or of all, newest first.

Spec: https://hl7.org/fhir/R4/http.html#history
"""

import re
from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC
from urllib.parse import urlencode
from zoneinfo import ZoneInfo

from fhir_server.context import Context
from fhir_server.errors import BadValue, NotFound, UnknownParameter
from fhir_server.interactions.bundle import Link, write_bundle
from fhir_server.interactions.integrity import targets
from fhir_server.interactions.subset import Subset, asked, cut
from fhir_server.interactions.visibility import visible
from fhir_server.model.exchange import FhirRequest, FhirResponse
from fhir_server.model.json import decode, encode
from fhir_server.model.keys import ResourceKey
from fhir_server.model.version import Version, instant
from fhir_server.search.dates import date_bounds
from fhir_server.search.query import NOTHING, And, Ids, Visibility
from fhir_server.storage.base import HistoryPage, HistoryQuery

_PAGE = "_page"
_KNOWN = frozenset({"_since", "_at", "_count", "_list", _PAGE, "_format", "_pretty", "_summary", "_elements"})
_LINK = re.compile(r"(\d{1,18})-(\d{1,18})-(\d{1,18})", re.ASCII)
_STATUS = {"POST": "201 Created", "DELETE": "204 No Content"}


async def history(ctx: Context, request: FhirRequest) -> FhirResponse:
    """Answer `GET [base]/Patient/123/_history`, `[base]/Patient/_history` and `[base]/_history`.

    Raises:
        NotFound: no such resource, or none within the caller's restriction.
        BadValue: a parameter that cannot be read.
        LinkExpired: a page link older than its life.
    """
    applied = _applied(request)
    query = await _listed(ctx, request, _query(ctx, request))
    if request.interaction == "history-instance":
        await _must_exist(ctx, request)
    page = await ctx.store.history(query)
    return _respond(ctx, request, page, applied)


async def _listed(ctx: Context, request: FhirRequest, query: HistoryQuery) -> HistoryQuery:
    """Leave only the resources that the List of `_list` names.

    Raises:
        BadValue: the List does not exist, or is one that a server would have to compute (`$current-problems`).
    """
    name = request.parameter("_list")
    if name is None:
        return query
    key = ResourceKey("List", name.removeprefix("List/"))
    version = await ctx.store.read(key)
    if version is None or version.deleted or not await visible(ctx, version):
        raise BadValue(f"_list={name[:80]}: there is no such List", expression="http._list")
    items = targets(decode(version.body.data).get("entry", []), key)
    ids: dict[str, list[str]] = {}
    for type_, id_ in items:
        ids.setdefault(type_, []).append(id_)
    by_type = {type_: And((Ids(tuple(found)), query.visible.of(type_))) for type_, found in ids.items()}
    return replace(query, visible=Visibility(NOTHING, by_type))


async def _must_exist(ctx: Context, request: FhirRequest) -> None:
    current = await ctx.store.read(request.key)
    if current is None or not await visible(ctx, current):
        raise NotFound(f"there is no {request.key}")


def _applied(request: FhirRequest) -> Mapping[str, str]:
    """Return the parameters that count. Unknown ones are refused, unless the client wants them ignored."""
    unknown = [name for name, _ in request.query if name not in _KNOWN]
    if unknown and request.preference("handling") != "lenient":
        raise UnknownParameter(f"history has no parameter {unknown[0][:100]!r}", expression=f"http.{unknown[0][:100]}")
    known = [(name, value) for name, value in request.query if name in _KNOWN]
    applied = dict(known)
    if len(applied) < len(known):
        raise BadValue("each parameter of a history stands at most once", expression="http.url")
    return applied


def _query(ctx: Context, request: FhirRequest) -> HistoryQuery:
    before, until = _read_page(request)
    at = request.parameter("_at")
    since = request.parameter("_since")
    visibility = ctx.restriction.visibility
    return HistoryQuery(
        key=request.key if request.interaction == "history-instance" else None,
        type=request.type if request.interaction == "history-type" else None,
        since=_bounds(ctx, "_since", since)[0] if since is not None else None,
        at=_bounds(ctx, "_at", at) if at is not None else None,
        count=_count(ctx, request),
        before=before,
        until=until,
        visible=visibility.read if request.interaction == "history-instance" else visibility,
    )


def _bounds(ctx: Context, name: str, text: str) -> tuple[int, int]:
    """Return [low, high) in milliseconds; a `+` that arrived as a space is put right."""
    name_of_zone = ctx.settings.default_timezone
    zone = UTC if name_of_zone == "UTC" else ZoneInfo(name_of_zone)
    try:
        low, high = date_bounds(text.replace(" ", "+"), zone)
    except ValueError as error:
        raise BadValue(f"{name}: {error}", expression=f"http.{name}") from None
    return -(-low // 1000), max(-(-high // 1000), -(-low // 1000) + 1)


def _count(ctx: Context, request: FhirRequest) -> int:
    text = request.parameter("_count")
    if text is None:
        return ctx.settings.page_size
    if not re.fullmatch(r"[0-9]{1,9}", text):
        raise BadValue(f"_count={text[:100]}: a number from 0 on is needed", expression="http._count")
    return min(int(text), ctx.settings.max_page_size)


def _read_page(request: FhirRequest) -> tuple[tuple[int, int] | None, int | None]:
    text = request.parameter(_PAGE)
    if text is None:
        return None, None
    found = _LINK.fullmatch(text)
    if found is None:
        raise BadValue("_page is not from a link of this server", expression=f"http.{_PAGE}")
    txid, pid, until = map(int, found.groups())
    return (txid, pid), until


def _respond(ctx: Context, request: FhirRequest, page: HistoryPage, applied: Mapping[str, str]) -> FhirResponse:
    wanted = asked(request.query)
    base = encode(request.base)[1:-1]
    entries = [_entry(ctx, base, version, wanted) for version in page.versions]
    links = _links(request, page, applied)
    body = write_bundle("history", entries, identity=(ctx.new_id(), ctx.now()), total=page.total, links=links)
    return FhirResponse(200, (body,))


def _links(request: FhirRequest, page: HistoryPage, applied: Mapping[str, str]) -> list[Link]:
    path = {"history-instance": f"/{request.type}/{request.id}", "history-type": f"/{request.type}"}
    url = f"{request.base}{path.get(request.interaction, '')}/_history"
    links = [("self", _url(url, applied))]
    if page.next is not None and page.versions:
        txid, pid = page.next
        links.append(("next", _url(url, {**applied, _PAGE: f"{txid}-{pid}-{page.txid}"})))
    return links


def _url(url: str, parameters: Mapping[str, str]) -> str:
    return f"{url}?{urlencode(parameters, safe=':,')}" if parameters else url


def _entry(ctx: Context, base: bytes, version: Version, wanted: Subset | None) -> bytes:
    """Write one version; a deletion has no resource. `POST` names the type alone, as the request did."""
    type_, id_ = (part.encode() for part in version.key)
    url = type_ if version.method == "POST" else type_ + b"/" + id_
    resource = b""
    if not version.deleted:
        data = version.stamped() if wanted is None else cut(ctx.definitions, version, wanted)
        resource = b'"resource":' + data + b","
    return (
        b'{"fullUrl":"%b/%b/%b",%b"request":{"method":"%b","url":"%b"},'
        b'"response":{"status":"%b","etag":"W/\\"%d\\"","lastModified":"%b"}}'
    ) % (
        base, type_, id_, resource, version.method.encode(), url,
        _status(version).encode(), version.version, instant(version.last_updated).encode(),
    )  # fmt: skip


def _status(version: Version) -> str:
    created = version.version == 1 and version.method == "PUT"
    return "201 Created" if created else _STATUS.get(version.method, "200 OK")
