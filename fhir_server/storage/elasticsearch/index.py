"""TenantIndex: the indexes of one tenant, and what can be done with them."""

from collections.abc import AsyncGenerator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any, Final

import msgspec
from elasticsearch import ApiError, NotFoundError

from fhir_server.storage.elasticsearch import mapping
from fhir_server.storage.elasticsearch.connection import Connection, IndexDown, answered
from fhir_server.storage.elasticsearch.document import Document

_MERGE: Final = 3_600
_PAGE: Final = 1_000
_MOST_BYTES: Final = 5_000_000
_LARGEST: Final = 90_000_000
"""Bytes of a document: a node takes 100 MB at once (`http.max_content_length`), and ends the connection of more."""
_TOO_LARGE: Final = 413
_MISSING: Final = 404
_NEWER: Final = 409
_BAD: Final = 400

Action = tuple[dict[str, Any], Document | None]
"""What `_bulk` is given: an action and what belongs to it."""


@dataclass(frozen=True, slots=True)
class Meta:
    """How far an index came. applied: all commits up to this are in it and found. floor: the first instant that it can
    be asked for. generation: of the index rows that it was made of; another one and it must not be asked. build: of
    `elasticsearch_build`. mapping: of its fields. at: milliseconds of the newest change in it."""

    applied: int = 0
    floor: int = 0
    generation: str = ""
    build: int = 0
    mapping: int = mapping.VERSION
    at: int = 0


class TenantIndex:
    """The index that is asked (`live`), and one that is being built beside it."""

    def __init__(self, connection: Connection, tenant: str) -> None:
        self.connection, self.tenant = connection, tenant
        self.settings = connection.settings
        self.alias = mapping.alias(self.settings.elasticsearch_index, tenant)

    async def meta(self) -> Meta | None:
        """Return how far the live index came, None where there is none. Raises IndexDown."""
        found = await self.connection.ask(self._get(self.alias))
        return None if found is None else _meta(found)

    async def search(self, body: Mapping[str, Any]) -> Mapping[str, Any]:
        """Ask the live index. Raises IndexDown."""
        within = {"timeout": f"{round(self.settings.elasticsearch_timeout * 1_000)}ms"}
        call = self.connection.client.search(
            index=self.alias, body={**body, **within}, allow_partial_search_results=False
        )
        found: Mapping[str, Any] = await self.connection.ask(call)
        if found.get("timed_out"):
            raise IndexDown("timed out")
        return found

    async def _get(self, name: str) -> Mapping[str, Any] | None:
        try:
            found = await self.connection.client.get(index=name, id=mapping.META)
        except NotFoundError:
            return None
        source: Mapping[str, Any] = found["_source"]
        return source

    async def names(self) -> tuple[str | None, list[str]]:
        """Return the live index, and all others, the newest last."""
        async with answered():
            found = await self.connection.writing.indices.get_alias(index=f"{self.alias}.v*", allow_no_indices=True)
        live = [name for name, each in found.items() if self.alias in each["aliases"]]
        others = sorted((name for name in found if name not in live), key=mapping.number_of)
        return (max(live, key=mapping.number_of) if live else None), others

    async def meta_of(self, name: str) -> Meta | None:
        """Return how far one index came; None where its beginning was not finished."""
        async with answered():
            found = await self._get(name)
        return None if found is None else _meta(found)

    async def create(self, number: int, meta: Meta) -> str:
        """Make an index that nobody asks yet."""
        name = mapping.physical(self.settings.elasticsearch_index, self.tenant, number)
        made = mapping.body(self.settings)
        async with answered():
            await self.connection.writing.indices.create(
                index=name, settings=made["settings"], mappings=made["mappings"]
            )
        await self.put_meta(name, meta)
        return name

    async def put_meta(self, name: str, meta: Meta) -> None:
        """Write down how far an index came."""
        async with answered():
            await self.connection.writing.index(index=name, id=mapping.META, document=asdict(meta))

    async def turn(self, name: str, before: str | None) -> None:
        """Have an index asked from now on, instead of another, without an instant between."""
        actions: list[dict[str, Any]] = [{"add": {"index": name, "alias": self.alias}}]
        if before is not None:
            actions.append({"remove": {"index": before, "alias": self.alias}})
        async with answered():
            await self.connection.writing.indices.update_aliases(actions=actions)

    async def delete(self, *names: str) -> None:
        """Delete indexes."""
        async with answered():
            for name in names:
                await self.connection.writing.indices.delete(index=name, ignore_unavailable=True)

    async def remove(self) -> None:
        """Delete all that there is of the tenant."""
        live, others = await self.names()
        await self.delete(*([live] if live else []), *others)

    async def write(self, name: str, actions: Sequence[Action]) -> list[int]:
        """Write into an index; return which actions it did not take because of what they hold.

        What is newer there stays, and what is not there is not marked. Raises IndexDown: not all was written.
        """
        refused: list[int] = []
        for start, chunk in _chunks(actions):
            for at, item in enumerate(await self._bulk(name, chunk)):
                status = next(iter(item.values()))["status"]
                if status == _BAD:
                    refused.append(start + at)
                elif status >= 300 and status not in (_MISSING, _NEWER):
                    raise IndexDown(f"status {status}")
        return refused

    async def _bulk(self, name: str, actions: Sequence[Action]) -> Sequence[Mapping[str, Any]]:
        """Write at once, or by halves where that is more than the server, or a proxy before it, takes."""
        if len(actions) > 1 or _size(actions[0]) < _LARGEST:
            operations = [part for action in actions for part in action if part is not None]
            async with answered():
                try:
                    found: Sequence[Mapping[str, Any]]
                    found = (await self.connection.writing.bulk(index=name, operations=operations))["items"]
                    return found
                except ApiError as error:
                    if error.meta.status != _TOO_LARGE:
                        raise
        if len(actions) == 1:
            return [{"index": {"status": _BAD}}]
        half = len(actions) // 2
        return [*await self._bulk(name, actions[:half]), *await self._bulk(name, actions[half:])]

    async def refresh(self, name: str) -> None:
        """Have what was written found."""
        async with answered():
            await self.connection.writing.indices.refresh(index=name)

    async def expunge(self, name: str) -> None:
        """Take what was deleted, `mapping.KEPT` seconds ago or longer, out of the files."""
        async with answered():
            patient = self.connection.client.options(request_timeout=_MERGE)
            await patient.indices.flush(index=name, force=True, wait_if_ongoing=True)
            await patient.indices.forcemerge(index=name, only_expunge_deletes=True, flush=True)

    async def each(self, name: str, query: Mapping[str, Any], **more: Any) -> AsyncGenerator[Mapping[str, Any], None]:
        """Yield all documents that a query finds. Raises IndexDown: also where a shard does not answer."""
        after: list[Any] | None = None
        while True:
            async with answered():
                found = await self.connection.writing.search(
                    index=name, query=query, size=_PAGE, sort=[{"pid": "asc"}], track_total_hits=False,
                    search_after=after, allow_partial_search_results=False, **more,
                )  # fmt: skip
            hits = found["hits"]["hits"]
            for hit in hits:
                yield hit
            if len(hits) < _PAGE:
                return
            after = hits[-1]["sort"]


def advanced(meta: Meta, txid: int, at: int) -> Meta:
    """Return where an index stands once a commit is in it."""
    return replace(meta, applied=max(meta.applied, txid), at=max(meta.at, at))


def _meta(found: Mapping[str, Any]) -> Meta:
    known = {name: value for name, value in found.items() if name in Meta.__dataclass_fields__}
    return Meta(**known)


def _size(action: Action) -> int:
    # Numbers that a database has given may be of types of its own.
    return 200 + (len(msgspec.json.encode(action[1], enc_hook=int)) if action[1] else 0)


def _chunks(actions: Sequence[Action]) -> list[tuple[int, Sequence[Action]]]:
    found, start, size = [], 0, 0
    for at, action in enumerate(actions):
        size += _size(action)
        if size > _MOST_BYTES and at > start:
            found.append((start, actions[start:at]))
            start, size = at, _size(action)
    return [*found, (start, actions[start:])] if start < len(actions) else found
