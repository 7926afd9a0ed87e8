"""Client: FHIR for plugins, the same interactions as over HTTP, under the authority of whoever the context is for."""

from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any
from urllib.parse import parse_qsl, quote, unquote, urlencode

from fhir_server.context import Commit, Context
from fhir_server.dispatch import run
from fhir_server.errors import BadRequest, BadValue, Gone, NotFound
from fhir_server.interactions.search import parsed
from fhir_server.interactions.visibility import visible
from fhir_server.model.exchange import FhirRequest, FhirResponse
from fhir_server.model.json import decode, encode
from fhir_server.model.keys import ResourceKey
from fhir_server.model.version import Version
from fhir_server.plugin_host.several import Put, Referrers, put_all, referring
from fhir_server.search.query import EVERYTHING, And, Ids, Search
from fhir_server.storage.base import BlobChange, Change, CommitResult, RecordChange

Criteria = str | Mapping[str, str | Sequence[str]] | Iterable[tuple[str, str]]
"""Search parameters: `name=smith&birthdate=lt1950`, a mapping (a list is several of one name), or pairs."""
Resource = dict[str, Any]
Made = Callable[[], Awaitable[Context]]

_PAGE = 500
_JSON_PATCH = "application/json-patch+json"


@dataclass(frozen=True, slots=True)
class Beside:
    """What is written in the commit of a write, all or nothing: records and blobs of the plugin."""

    records: Sequence[RecordChange] = ()
    blobs: Sequence[BlobChange] = ()


_NOTHING = Beside()


class Client:
    """FHIR in the process. Resources are dicts whose numbers keep their digits (`Decimal`); errors are FhirErrors.

    Args:
        made: makes the context under which it works, which may be another one later.
        tenant, base: whose it is, and the URL of the FHIR endpoint.
    """

    def __init__(self, made: Made, tenant: str, base: str) -> None:
        self._made, self._tenant, self._base = made, tenant, base

    async def request(
        self,
        method: str,
        path: str,
        body: bytes | Mapping[str, Any] | Sequence[Any] = b"",
        headers: Mapping[str, str] | None = None,
        *,
        beside: Beside = _NOTHING,
    ) -> FhirResponse:
        """Do what an HTTP request with a path below the base would: `request("GET", "Patient?name=smith")`.

        Raises:
            FhirError: as it would answer.
        """
        ctx = await self._made()
        raw = body if isinstance(body, bytes) else encode(body)
        request = self._request(ctx, method, path)
        kind = _JSON_PATCH if isinstance(body, list) else "application/fhir+json"
        given = {name.lower(): value for name, value in (headers or {}).items()}
        content_type = given.pop("content-type", kind)
        asked = {"accept": "application/fhir+json", "prefer": "return=representation", **given}
        if beside.records or beside.blobs:
            ctx = replace(ctx, commit=_with(ctx, beside))
        return await run(ctx, request.but(headers=asked, body=raw, content_type=content_type))

    def _request(self, ctx: Context, method: str, path: str) -> FhirRequest:
        """Return the request that a method and a path below the base stand for."""
        place, _, query = path.removeprefix(f"{self._base}/").partition("?")
        pairs = tuple(parse_qsl(query, keep_blank_values=True))
        route = ctx.router.route([unquote(part) for part in place.split("/") if part])
        interaction = route.interaction(method)
        if interaction.startswith("search") and not all(value.strip() for _, value in pairs):
            name = next(name for name, value in pairs if not value.strip())
            raise BadValue(f"bad value '' for {name[:100]}: a search without it would find more", expression="http.url")
        return FhirRequest(
            method=method,
            interaction=interaction,
            base=self._base,
            type=route.type,
            id=route.id,
            vid=route.vid,
            operation=route.operation,
            compartment=route.compartment,
            query=pairs,
            tenant=self._tenant,
        )

    async def read(self, type_: str, id_: str) -> Resource:
        """Return the current version. Raises NotFound, Gone."""
        return _resource(await self.request("GET", f"{type_}/{quote(id_)}"))

    async def find(self, type_: str, id_: str) -> Resource | None:
        """Return the current version, or None where there is none that may be seen, or it was deleted."""
        try:
            return await self.read(type_, id_)
        except (Gone, NotFound):
            return None

    async def vread(self, type_: str, id_: str, version: str) -> Resource:
        """Return one version."""
        return _resource(await self.request("GET", f"{type_}/{quote(id_)}/_history/{quote(version)}"))

    async def search(self, type_: str, criteria: Criteria = ()) -> Resource:
        """Return the first page as a Bundle."""
        return _resource(await self.request("GET", f"{type_}?{_query(criteria)}"))

    async def each(self, type_: str, criteria: Criteria = ()) -> AsyncIterator[Resource]:
        """Yield all matches, all of the instant of the first; includes are left out."""
        async for version in self.versions(type_, criteria):
            yield decode(version.stamped())

    async def versions(self, type_: str, criteria: Criteria = (), page: int = _PAGE) -> AsyncIterator[Version]:
        """Yield all matches as stored versions: `stamped()` gives the bytes, with nothing parsed."""
        ctx = await self._made()
        pairs = tuple(_pairs(criteria))
        request = FhirRequest("GET", "search-type", self._base, type=type_, query=pairs, tenant=self._tenant)
        if not ctx.restriction.may("search-type", type_):
            await run(ctx, request)  # refuses as it would by HTTP, and is recorded
        search = replace(parsed(ctx, request).search, includes=(), count=page)
        while True:
            found = await ctx.store.search(search)
            for version in found.versions:
                yield version if ctx.deciders is None else await ctx.deciders.version(ctx, version)
            if found.next is None:
                return
            search = replace(search, after=found.next)

    async def count(self, type_: str, criteria: Criteria = ()) -> int:
        """Return the number of matches."""
        pairs = [*_pairs(criteria), ("_summary", "count")]
        return int((await self.search(type_, pairs))["total"])

    async def create(
        self, resource: Mapping[str, Any], *, if_none_exist: str = "", beside: Beside = _NOTHING
    ) -> Resource:
        """Create a resource; return it as stored, or the one that `if_none_exist` found."""
        headers = {"if-none-exist": if_none_exist} if if_none_exist else {}
        return _resource(await self.request("POST", str(resource["resourceType"]), resource, headers, beside=beside))

    async def update(self, resource: Mapping[str, Any], *, if_match: str = "", beside: Beside = _NOTHING) -> Resource:
        """Write a resource under its id; `if_match` is the version that it has to be at: `3`."""
        headers = {"if-match": f'W/"{if_match}"'} if if_match else {}
        path = f"{resource['resourceType']}/{quote(str(resource['id']))}"
        return _resource(await self.request("PUT", path, resource, headers, beside=beside))

    async def patch(
        self, type_: str, id_: str, patch: Sequence[Mapping[str, Any]] | Mapping[str, Any], *, if_match: str = "",
        beside: Beside = _NOTHING,
    ) -> Resource:  # fmt: skip
        """Change a resource by a JSON Patch (a list) or a FHIRPath Patch (Parameters)."""
        headers = {"if-match": f'W/"{if_match}"'} if if_match else {}
        body = list(patch) if not isinstance(patch, Mapping) else patch
        return _resource(await self.request("PATCH", f"{type_}/{quote(id_)}", body, headers, beside=beside))

    async def delete(self, type_: str, id_: str, *, beside: Beside = _NOTHING) -> None:
        """Delete a resource."""
        await self.request("DELETE", f"{type_}/{quote(id_)}", beside=beside)

    async def transaction(self, bundle: Mapping[str, Any], *, beside: Beside = _NOTHING) -> Resource:
        """Do all entries or none, and `beside` with them. Return the transaction-response."""
        kind = "transaction" if bundle.get("type") == "transaction" else "batch"
        ctx = await self._made()
        if beside.records or beside.blobs:
            if kind == "batch":
                raise BadRequest("records are written beside a transaction, not beside a batch", expression="Bundle")
            ctx = replace(ctx, commit=_with(ctx, beside))
        request = FhirRequest(
            "POST", kind, self._base, body=encode(bundle), tenant=self._tenant,
            headers={"prefer": "return=representation"},
        )  # fmt: skip
        return _resource(await run(ctx, request))

    async def operation(
        self, name: str, parameters: Mapping[str, Any] | Iterable[tuple[str, str]] = (), *, type_: str = "",
        id_: str = "",
    ) -> Resource:  # fmt: skip
        """Call `$name`: with a Parameters resource (or another one) as its body, or with pairs as its query."""
        path = "/".join(part for part in (type_, quote(id_), f"${name}") if part)
        if isinstance(parameters, Mapping):
            return _resource(await self.request("POST", path, parameters))
        return _resource(await self.request("GET", f"{path}?{urlencode(list(parameters))}"))

    async def referring(self, key: ResourceKey) -> Referrers:
        """Return who refers to a resource now by any indexed reference, and how many the caller may not see."""
        return await referring(await self._made(), key)

    async def put_all(
        self, puts: Sequence[Put], *, only_if: Referrers | None = None, beside: Beside = _NOTHING
    ) -> tuple[Version, ...]:
        """Write many resources in one commit, all or nothing; `only_if` the same still refer to what they referred to.

        Raises:
            Forbidden, InvalidResource, PreconditionFailed: as for one write. Busy: others refer to it now.
        """
        ctx = await self._made()
        condition = None if only_if is None else only_if.condition
        return await put_all(ctx, _with(ctx, beside), puts, condition)

    async def sees_all(self, type_: str) -> bool:
        """Tell whether nothing of a type is hidden from this client."""
        restriction = (await self._made()).restriction
        return restriction.may("read", type_) and restriction.visibility.read.of(type_) == EVERYTHING

    async def permitted(self, keys: Iterable[ResourceKey]) -> set[ResourceKey]:
        """Return the keys less those that consent or labels keep from this client, whatever its scopes show."""
        ctx, wanted = await self._made(), set(keys)
        for type_ in sorted({key.type for key in wanted}):
            permitted = ctx.restriction.permitted(type_)
            if permitted == EVERYTHING:
                continue
            ids = sorted(key.id for key in wanted if key.type == type_)
            for start in range(0, len(ids), _PAGE):
                some = tuple(ids[start : start + _PAGE])
                page = await ctx.store.search(Search({type_: And((Ids(some), permitted))}, count=_PAGE))
                seen = {version.key.id for version in page.versions}
                wanted -= {ResourceKey(type_, id_) for id_ in some if id_ not in seen}
        return wanted

    async def readable(self, keys: Sequence[ResourceKey]) -> dict[ResourceKey, Version]:
        """Return the current versions of those that are there and may be read by id; nothing is parsed or recorded."""
        ctx = await self._made()
        wanted = [key for key in keys if ctx.restriction.may("read", key.type)]
        found = await ctx.store.read_many(wanted)
        return {key: each for key, each in found.items() if not each.deleted and await visible(ctx, each)}

    async def sees_as(self, other: "Client", type_: str) -> bool:
        """Tell whether this client is shown of a type exactly what another one is shown."""
        mine, theirs = (await self._made()).restriction, (await other._made()).restriction
        may = mine.may("search-type", type_) and mine.may("read", type_)
        masked = mine.mask is not None and type_ in mine.mask.rules
        return may and not masked and mine.visibility.of(type_) == theirs.visibility.of(type_)

    async def versions_of(self, keys: Sequence[ResourceKey]) -> dict[ResourceKey, Version]:
        """Return the current versions of those that are there and may be seen, read at once."""
        ctx = await self._made()
        found: dict[ResourceKey, Version] = {}
        by_type: dict[str, list[str]] = {}
        for key in keys:
            by_type.setdefault(key.type, []).append(key.id)
        for type_, ids in by_type.items():
            for start in range(0, len(ids), _PAGE):
                named = ",".join(ids[start : start + _PAGE])
                async for version in Client(_same(ctx), self._tenant, self._base).versions(type_, [("_id", named)]):
                    found[version.key] = version
        return found


def _same(ctx: Context) -> Made:
    async def made() -> Context:
        return ctx

    return made


def _with(ctx: Context, beside: Beside) -> Commit:
    """Return the commit of a context with records and blobs in it."""

    async def commit(
        changes: Sequence[Change], records: Sequence[RecordChange] = (), blobs: Sequence[BlobChange] = (), /
    ) -> CommitResult:
        return await ctx.commit(changes, [*records, *beside.records], [*blobs, *beside.blobs])

    return commit


def _pairs(criteria: Criteria) -> list[tuple[str, str]]:
    if isinstance(criteria, str):
        return parse_qsl(criteria, keep_blank_values=True)
    if isinstance(criteria, Mapping):
        return [
            (name, each) for name, value in criteria.items() for each in ([value] if isinstance(value, str) else value)
        ]
    return list(criteria)


def _query(criteria: Criteria) -> str:
    return urlencode(_pairs(criteria), safe=":,/|$*")


def _resource(response: FhirResponse) -> Resource:
    body = b"".join(response.body)
    resource: Resource = decode(body) if body else {}
    return resource
