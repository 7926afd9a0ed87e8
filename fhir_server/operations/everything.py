"""`$everything`, page by page: first what belongs to the compartment, then the shared resources that it refers to.

Pages stand on the instant of the first one: nothing repeats or is left out while others write, and there is no cap.

Spec: https://hl7.org/fhir/R4/patient-operation-everything.html
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from urllib.parse import urlencode

from fhir_server.context import Context
from fhir_server.errors import BadValue, Gone, NotFound
from fhir_server.interactions.bundle import write_bundle
from fhir_server.interactions.store_errors import translate
from fhir_server.interactions.visibility import visible
from fhir_server.model.exchange import FhirRequest
from fhir_server.model.json import encode
from fhir_server.model.keys import ResourceKey
from fhir_server.model.version import Version
from fhir_server.operations.everything_scope import Bounds, branches, members
from fhir_server.operations.everything_shared import referenced
from fhir_server.operations.operation import Call
from fhir_server.operations.outputs import Outputs
from fhir_server.search import query as q
from fhir_server.search.links import PageLink, decode_link, encode_link, query_hash
from fhir_server.search.restrict import restrict
from fhir_server.storage.base import StoreError

PAGE = "_page"
LINKS = frozenset((PAGE,))
_NAMES = ("start", "end", "_since", "_type")
_SHARED = -1
"""The pid in the cursor of a page of shared resources; its value is the last one shown."""
_TOP = 2**62
_WALK = 1_000


@dataclass(frozen=True, slots=True)
class _Asked:
    """One page that is asked for.

    search: the rows of the compartment; whole: the same without `_type` and `_since`, whose references count.
    inside: the types that can belong to the compartment. given: the parameters, for links.
    """

    search: q.Search
    whole: q.Search
    inside: frozenset[str]
    bounds: Bounds
    given: tuple[tuple[str, str], ...]
    fingerprint: str

    @property
    def count(self) -> int:
        """How many rows the page has."""
        return self.search.count


async def everything(ctx: Context, call: Call, compartment: str) -> Outputs:
    """Answer a call on a type or an instance.

    Raises:
        NotFound: no such resource, or none within the caller's restriction.
        LinkExpired: a page link older than its life.
    """
    request = call.request
    if request.id is not None:
        await _must_exist(ctx, request.key)
    asked = _read(ctx, call, compartment)
    token = request.parameter(PAGE)
    cursor = None if token is None else decode_link(token, ctx.link_secret).cursor_of(asked.fingerprint)
    try:
        versions, after = await _page(ctx, asked, cursor)
    except StoreError as error:
        raise await translate(ctx, error) from error
    links = _links(ctx, request, (asked, cursor, after))
    entries = _entries(request, versions)
    body = write_bundle("searchset", entries, identity=(ctx.new_id(), ctx.now()), links=links)
    return Outputs([("return", body)])


async def _must_exist(ctx: Context, key: ResourceKey) -> None:
    version = await ctx.store.read(key)
    if version is None or not await visible(ctx, version):
        raise NotFound(f"there is no {key}", expression="http.url")
    if version.deleted:
        raise Gone(f"{key} was deleted as version {version.version}", expression="http.url")


def _read(ctx: Context, call: Call, compartment: str) -> _Asked:
    inputs, id_ = call.inputs, call.request.id
    count = inputs.one("_count", ctx.settings.max_page_size)
    if count < 1:
        raise BadValue(f"_count={count}: a page has at least one resource", expression="http._count")
    bounds = Bounds.of(ctx, inputs)
    dates = Bounds(start=bounds.start, end=bounds.end)
    given = [(name, str(value)) for name in _NAMES for value in inputs.many(name)]
    count = min(count, ctx.settings.max_page_size)

    def search(bounds: Bounds, count: int) -> q.Search:
        return restrict(q.Search(branches(ctx, compartment, id_, bounds), count=count), ctx.restriction.visibility)

    return _Asked(
        search=search(bounds, count),
        whole=search(dates, _WALK),
        inside=frozenset(members(ctx.definitions, ctx.parameters, compartment)),
        bounds=bounds,
        given=(*given, ("_count", str(count))),
        fingerprint=query_hash("everything", compartment, id_, given, ctx.restriction.visibility.mark),
    )


async def _page(ctx: Context, asked: _Asked, cursor: q.Cursor | None) -> tuple[list[Version], q.Cursor | None]:
    """Return the rows of one page and where the next begins."""
    found: list[Version] = []
    txid = 0 if cursor is None else cursor.txid
    if asked.search.branches and (cursor is None or cursor.pid != _SHARED):
        page = await ctx.store.search(replace(asked.search, after=cursor))
        if page.next is not None:
            return list(page.versions), page.next
        found, txid, cursor = list(page.versions), page.txid, None
    shown = "" if cursor is None else str(cursor.values[0])
    shared, more = await _shared(ctx, asked, (txid, shown), asked.count - len(found))
    return found + shared, more


async def _shared(ctx: Context, asked: _Asked, at: tuple[int, str], room: int) -> tuple[list[Version], q.Cursor | None]:
    """Return the shared resources after the one that was shown last.

    They are looked for anew on each of these pages: references are found at the speed of reading, and a page link
    would have to carry them otherwise.
    """
    txid, shown = at
    keys = [key for key in await _all_shared(ctx, asked, txid) if asked.bounds.wants(key.type) and str(key) > shown]
    if not room and keys:
        return [], q.Cursor(txid, (shown,), _SHARED)
    current = await ctx.store.read_many(keys[:room])
    rows = [current[key] for key in keys[:room] if key in current]
    since = asked.bounds.since
    rows = [row for row in rows if not row.deleted and (since is None or row.last_updated >= since)]
    return rows, q.Cursor(txid, (str(keys[room - 1]),), _SHARED) if len(keys) > room else None


async def _all_shared(ctx: Context, asked: _Asked, txid: int) -> list[ResourceKey]:
    if asked.bounds.types and asked.bounds.types <= asked.inside:
        return []
    after = q.Cursor(txid, (), _TOP) if txid else None
    return await referenced(ctx, replace(asked.whole, after=after), asked.inside)


def _links(
    ctx: Context, request: FhirRequest, at: tuple[_Asked, q.Cursor | None, q.Cursor | None]
) -> Sequence[tuple[str, str]]:
    asked, here, after = at
    path = f"{request.type}/{request.id}" if request.id is not None else request.type
    url = f"{request.base}/{path}/$everything"

    def link(cursor: q.Cursor | None) -> str:
        given = list(asked.given)
        if cursor is not None:
            given.append((PAGE, encode_link(PageLink(cursor, asked.fingerprint, ctx.now()), ctx.link_secret)))
        return f"{url}?{urlencode(given, safe=':,')}"

    links = [("self", link(here))]
    return links if after is None else [*links, ("next", link(after))]


def _entries(request: FhirRequest, versions: Iterable[Version]) -> Iterable[bytes]:
    base = encode(request.base)[1:-1]
    for version in versions:
        type_, id_ = version.key
        yield b'{"fullUrl":"%b/%b/%b","resource":%b,"search":{"mode":"match"}}' % (
            base, type_.encode(), id_.encode(), version.stamped(),
        )  # fmt: skip
