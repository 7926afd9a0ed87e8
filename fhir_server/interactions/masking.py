"""The store as a caller sees it from whom elements are hidden, and what becomes of their writes.

All that is read by way of the context is masked, whatever reads it: interactions, operations, exports, plugins. Who
may see what is decided on what is stored, and what a caller does not see stays when they write.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any, cast

from msgspec import structs

from fhir_server.auth.mask import LABELS, SYSTEM, Mask
from fhir_server.errors import Forbidden
from fhir_server.model.exchange import FhirResponse
from fhir_server.model.json import decode, encode, make_body
from fhir_server.model.keys import ResourceKey
from fhir_server.model.version import Body, Version
from fhir_server.storage.base import Change, CommitResult, HistoryPage, HistoryQuery, Page, Store

if TYPE_CHECKING:
    from fhir_server.context import Context
    from fhir_server.search.query import Search

Json = dict[str, Any]


class MaskedVersion(Version, frozen=True):
    """A version without what is masked; `whole` is what is stored."""

    whole: Body


def whole(version: Version) -> Version:
    """Return a version as it is stored, to decide by."""
    return replace_body(version, version.whole) if isinstance(version, MaskedVersion) else version


def replace_body(version: Version, body: Body) -> Version:
    """Return a plain version with another body."""
    return Version(
        version.pid, version.key, version.version, version.txid, version.last_updated, version.method, body
    )  # fmt: skip


def masked(mask: Mask, version: Version) -> Version:
    """Return a version as the caller sees it."""
    if version.deleted or isinstance(version, MaskedVersion):
        return version
    body = mask.body(version.key, version.body)
    if body is version.body:
        return version
    return MaskedVersion(
        version.pid, version.key, version.version, version.txid, version.last_updated, version.method, body,
        version.body,
    )  # fmt: skip


class MaskedStore:
    """A store whose versions are masked; everything else is that of the store itself."""

    def __init__(self, store: Store, mask: Mask) -> None:
        self._store, self._mask = store, mask

    def __getattr__(self, name: str) -> Any:
        return getattr(self._store, name)

    async def read(self, key: ResourceKey) -> Version | None:
        """Read, masked."""
        return self._one(await self._store.read(key))

    async def read_many(self, keys: Iterable[ResourceKey]) -> Mapping[ResourceKey, Version]:
        """Read many, masked."""
        found = await self._store.read_many(tuple(keys))
        return {key: masked(self._mask, version) for key, version in found.items()}

    async def read_version(self, key: ResourceKey, version: int) -> Version | None:
        """Read an old version, masked."""
        return self._one(await self._store.read_version(key, version))

    async def search(self, search: "Search") -> Page:
        """Search; the page is masked."""
        page = await self._store.search(search)
        return replace(page, versions=self._all(page.versions), included=self._all(page.included))

    async def history(self, query: HistoryQuery) -> HistoryPage:
        """Give a history, masked."""
        page = await self._store.history(query)
        return replace(page, versions=self._all(page.versions))

    async def changes(self, after: int, limit: int = 1000) -> list[Version]:
        """Give the log, masked."""
        return list(self._all(await self._store.changes(after, limit)))

    def _one(self, version: Version | None) -> Version | None:
        return None if version is None else masked(self._mask, version)

    def _all(self, versions: Sequence[Version]) -> tuple[Version, ...]:
        return tuple(masked(self._mask, version) for version in versions)


def store_of(store: Store, mask: Mask | None) -> Store:
    """Return the store as the caller sees it."""
    return store if mask is None else cast(Store, MaskedStore(store, mask))


def written(mask: Mask | None, result: CommitResult) -> CommitResult:
    """Return what a commit wrote, as the caller sees it."""
    if mask is None:
        return result
    seen = [replace(each, version=masked(mask, each.version) if each.version else None) for each in result.written]
    return replace(result, written=tuple(seen))


def answered(mask: Mask | None, response: FhirResponse) -> FhirResponse:
    """Return the answer of an operation as the caller sees it: a plugin may have read with an authority of its own."""
    if mask is None or not response.body or response.media_type is not None:
        return response
    data = b"".join(response.body)
    shown = mask.answer(data)
    return response if shown is data else structs.replace(response, body=(shown,))


def keeping_hidden(ctx: "Context", mask: Mask, change: Change, current: Version) -> Change:
    """Return the change with what the caller does not see of the current version, as that is.

    Raises:
        Forbidden: it would change what is hidden, or something of which a part is.
    """
    if change.method == "DELETE":
        return change
    stored: Json = decode(whole(current).body.data)
    shown: Json = decode(mask.body(current.key, whole(current).body).data)
    new: Json = decode(change.body.data)
    _refuse_hidden(mask, new)
    for name in dict.fromkeys((*stored, *shown)):
        before, seen = stored.get(name), shown.get(name)
        if before == seen or name in ("meta", "text"):
            continue
        if new.get(name) != seen:
            raise _hidden(change.key.type, name)
        new.pop(name, None)
        if before is not None:
            new[name] = before
    _keep_own(new, stored, shown)
    if new == decode(change.body.data):
        return _bound(change, current)
    body = make_body(encode(new), change.key)
    entries = ctx.extractor.extract(change.key.type, new, own_base=ctx.base)
    return _bound(replace(change, body=body, entries=entries), current)


def _refuse_hidden(mask: Mask, new: Json) -> None:
    """Refuse values for what is hidden, whether or not there are any now."""
    tried: Json = decode(encode(new))
    mask.apply(tried)
    for name in new:
        if name not in ("meta", "text") and new[name] != tried.get(name):
            raise _hidden(str(new.get("resourceType")), name)


def _keep_own(new: Json, stored: Json, shown: Json) -> None:
    """Keep the narrative, and leave out the labels that say what was masked: they are of the answer, not the record."""
    if stored.get("text") != shown.get("text"):
        new.pop("text", None)
        if "text" in stored:
            new["text"] = stored["text"]
    meta = new.get("meta", {})
    own = stored.get("meta", {}).get("security", [])
    marks = [{"system": SYSTEM, "code": code} for code in LABELS]
    if "security" in meta:
        meta["security"] = [label for label in meta["security"] if label not in marks or label in own]
        if not meta["security"]:
            del meta["security"]


def _bound(change: Change, current: Version) -> Change:
    """Insist on the version whose hidden parts were taken over."""
    return change if change.expected is not None else replace(change, expected=current.version)


def _hidden(type_: str, name: str) -> Forbidden:
    return Forbidden(
        f"{type_}.{name} is hidden from your role, or a part of it is: leave it as you read it",
        expression=f"{type_}.{name}",
    )
