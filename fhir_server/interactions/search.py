"""The FHIR search interactions: of a type, of the system, of a compartment.

Spec: https://hl7.org/fhir/R4/search.html
"""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from urllib.parse import urlencode

from fhir_server.context import Context
from fhir_server.errors import BadRequest, Forbidden, Issue
from fhir_server.interactions.bundle import Link, write_bundle
from fhir_server.interactions.canonicals import with_canonicals
from fhir_server.interactions.outcome import outcome
from fhir_server.interactions.provided import with_provided
from fhir_server.interactions.subset import Subset, cut, named
from fhir_server.model.exchange import FhirRequest, FhirResponse
from fhir_server.model.json import encode, items, members
from fhir_server.model.version import Version
from fhir_server.search.controls import ContainedType, Summary
from fhir_server.search.links import PageLink, decode_link, encode_link
from fhir_server.search.parser import ParsedSearch, parse_search
from fhir_server.search.query import Visibility
from fhir_server.storage.base import Page

_KEPT = frozenset(("_format", "_pretty"))
_SUBSETS = (Summary.TRUE, Summary.TEXT, Summary.DATA)


async def search(ctx: Context, request: FhirRequest) -> FhirResponse:
    """Answer `GET [base]/Patient?...`, `[base]?...` and `[base]/Patient/123/Observation?...`, and `POST .../_search`.

    Raises:
        BadRequest: an unknown parameter or a bad value, unless the client prefers lenient handling.
        LinkExpired: a page link older than its life.
        Forbidden: `__explain` asked by someone who is no administrator.
    """
    token = request.parameter("_page")
    link = decode_link(token, ctx.link_secret) if token is not None else None
    now = ctx.now() if link is None else link.now
    asked = parsed(ctx, request, now, answered=True)
    if asked.explain:
        return await _explain(ctx, asked)
    after = None if link is None else link.cursor_of(asked.fingerprint)
    page = await ctx.store.search(replace(asked.search, after=after))
    page = await with_provided(ctx, asked.search, await with_canonicals(ctx, asked.search, page))
    links = _links(ctx, request, asked, (page, now))
    entries = [*_entries(ctx, request, asked, page), *_outcome(asked, page)]
    identity = (ctx.new_id(), ctx.now())
    return FhirResponse(200, (write_bundle("searchset", entries, identity=identity, total=page.total, links=links),))


def parsed(
    ctx: Context,
    request: FhirRequest,
    now: int | None = None,
    visibility: Visibility | None = None,
    *,
    answered: bool = False,
) -> ParsedSearch:
    """Read the parameters of a search; `visibility`: the caller's if not said. Raises BadRequest and its kin.

    answered: what it finds is all that comes of it, so that empty parameters may be ignored.
    """
    lenient = ctx.settings.unknown_parameters == "lenient"
    handling = request.preference("handling")
    asked = parse_search(
        request.query,
        types=_types(ctx, request),
        registry=ctx.parameters,
        settings=ctx.settings,
        visibility=ctx.restriction.visibility if visibility is None else visibility,
        compartment=request.compartment,
        lenient=handling == "lenient" or (lenient and handling != "strict"),
        strict=handling == "strict" or not answered,
        own_base=ctx.base,
        expander=ctx.terminology,
        now=ctx.now() if now is None else now,
    )
    if asked.summary is Summary.TEXT and asked.search.includes:
        raise BadRequest("_summary=text cannot be combined with _include or _revinclude", expression="http._summary")
    return asked


def _types(ctx: Context, request: FhirRequest) -> tuple[str, ...]:
    """Return the types that are searched: those that the caller may search at all, where the URL names none."""
    if request.type is not None:
        return (request.type,)
    types = ctx.parameters.types
    if request.compartment is not None:
        members = ctx.definitions.compartments[request.compartment.type]
        types = tuple(type_ for type_ in types if members.get(type_))
    return tuple(type_ for type_ in types if ctx.restriction.may("search-type", type_))


async def _explain(ctx: Context, asked: ParsedSearch) -> FhirResponse:
    if not ctx.caller.admin:
        raise Forbidden("__explain is for administrators", expression="http.__explain")
    plan = await ctx.store.explain(asked.search)
    return FhirResponse(200, (encode(plan),), media_type="application/json")


def _links(ctx: Context, request: FhirRequest, asked: ParsedSearch, found: tuple[Page, int]) -> list[Link]:
    """Return self, first and next. All are URLs for GET, however the search came."""
    page, now = found
    kept = [(name, value) for name, value in request.query if name in _KEPT]
    first = _with(_url(request), [*asked.applied, *kept])
    links = [("self", first if asked.page is None else _page_of(first, asked.page)), ("first", first)]
    if page.next is not None:
        token = encode_link(PageLink(page.next, asked.fingerprint, now), ctx.link_secret)
        links.append(("next", _page_of(first, token)))
    return links


def _page_of(first: str, token: str) -> str:
    return f"{first}{'&' if '?' in first else '?'}_page={token}"


def _url(request: FhirRequest) -> str:
    if request.compartment is not None:
        return f"{request.base}/{request.compartment}/{request.type or '*'}"
    return f"{request.base}/{request.type}" if request.type is not None else request.base


def _with(url: str, parameters: Sequence[tuple[str, str]]) -> str:
    return f"{url}?{urlencode(parameters, safe=':,/$*')}" if parameters else url


def _entries(ctx: Context, request: FhirRequest, asked: ParsedSearch, page: Page) -> Iterator[bytes]:
    base = encode(request.base)[1:-1]
    matched, included = _subsets(asked)
    seen = set()
    for number, version in enumerate(page.versions):
        inner = page.containers[number] if page.containers else None
        if inner is not None and asked.contained_type is ContainedType.CONTAINED:
            yield _contained_entry(base, version, inner)
        elif version.pid not in seen:
            seen.add(version.pid)
            yield _entry(base, version, _bytes(ctx, version, matched), b"match")
    for version in page.included:
        yield _entry(base, version, _bytes(ctx, version, included), b"include")


def _subsets(asked: ParsedSearch) -> tuple[Subset | None, Subset | None]:
    """Return how matches and includes are cut: `_elements` is for matches alone.

    Spec: https://hl7.org/fhir/R4/search.html#elements
    """
    if asked.summary in _SUBSETS:
        subset = Subset(asked.summary.value)  # type: ignore[arg-type]  # one of the three
        return subset, subset
    return (Subset("elements", named(asked.elements)) if asked.elements else None), None


def _bytes(ctx: Context, version: Version, subset: Subset | None) -> bytes:
    return version.stamped() if subset is None else cut(ctx.definitions, version, subset)


def _entry(base: bytes, version: Version, resource: bytes, mode: bytes) -> bytes:
    type_, id_ = version.key
    return b'{"fullUrl":"%b/%b/%b","resource":%b,"search":{"mode":"%b"}}' % (
        base, type_.encode(), id_.encode(), resource, mode,
    )  # fmt: skip


def _contained_entry(base: bytes, version: Version, inner: tuple[str, str]) -> bytes:
    """Write the contained resource itself; its fullUrl is that of the container and its local id.

    Spec: https://hl7.org/fhir/R4/search.html#contained
    """
    local = encode(inner[1])
    pieces = items(members(version.body.data)["contained"])
    resource = next(piece for piece in pieces if members(piece).get("id") == local)
    url = f"{version.key}#{inner[1]}".encode()
    return b'{"fullUrl":"%b/%b","resource":%b,"search":{"mode":"match"}}' % (base, url, resource)


def _outcome(asked: ParsedSearch, page: Page) -> Iterator[bytes]:
    """Yield the entry that says what the client should know: parameters ignored, includes cut, an index that lags."""
    notes = [Issue(note, "informational", "warning") for note in page.notes]
    issues = [*asked.issues, *notes]
    if issues:
        yield b'{"resource":%b,"search":{"mode":"outcome"}}' % outcome(issues)
