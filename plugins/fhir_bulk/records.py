"""What all bulk work has in common: a record with an owner and files, which clients see and end, and which expires."""

import asyncio
import json
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from typing import Any, Generic, Literal, Protocol, TypeVar

from fhir_server.plugin_api import (
    BlobChange,
    Caller,
    Collection,
    NotFound,
    PluginContext,
    Record,
    RecordChange,
    RecordChanged,
    RecordField,
    scopes_contain,
)

JOBS = Collection("fhir_bulk.jobs")
"""The job that works on a record, by its id: another record, for the work writes its own all the time."""
Section = Literal["output", "deleted", "error"]
FIELDS = (RecordField("owner"), RecordField("state"), RecordField("expires", "integer"))
_TRIES = 200
"""Times that a record is tried to be removed while its work goes on; the work hears of its end within seconds."""


@dataclass(frozen=True, slots=True)
class File:
    """A file that is whole. type: of its resources, "" where there are several. step: the part that made it."""

    section: Section
    type: str
    name: str
    blob: str
    size: int
    count: int
    step: int = 0


class Bulk(Protocol):
    """A record of bulk work. Times are milliseconds since 1970."""

    @property
    def id(self) -> str:
        """Random id, which is in its URLs."""

    @property
    def owner(self) -> str:
        """Who asked for it."""

    @property
    def scopes(self) -> str:
        """What they were allowed then, and so what its files may hold."""

    @property
    def created(self) -> int:
        """When it was asked for."""

    @property
    def expires(self) -> int:
        """When its files go."""

    @property
    def token(self) -> bool:
        """Whether its files need an access token."""

    @property
    def revision(self) -> int:
        """Revision of its record as it was read."""

    @property
    def files(self) -> tuple[File, ...]:
        """The files that clients may fetch."""

    @property
    def blobs(self) -> tuple[str, ...]:
        """Ids of all large objects that are its own."""

    def change(self) -> RecordChange:
        """Return the change that writes it, if nobody else has meanwhile."""


B = TypeVar("B", bound=Bulk)


@dataclass(frozen=True, slots=True)
class Kind(Generic[B]):
    """One kind of bulk work: where its records are, how one is read, what people call it."""

    collection: Collection
    read: Callable[[Record], B]
    word: str


def owner_of(caller: Caller) -> str:
    """Return who work belongs to: whoever has other tokens of the same app, user and patients is the same."""
    opened = ["emergency"] if caller.emergency else []
    return json.dumps([caller.name, caller.user, caller.client, *caller.patients, *opened])


def may_see(ctx: PluginContext, found: Bulk | None) -> bool:
    """Tell whether there is such work and it is the caller's, whose token allows as much as the one that it was asked
    for with; administrators see all."""
    if found is None:
        return False
    mine = found.owner == owner_of(ctx.caller) and scopes_contain(ctx.caller.scopes, found.scopes)
    return ctx.caller.admin or mine


async def find(ctx: PluginContext, kind: Kind[B], id_: str) -> B | None:
    """Return a record, whosever it is."""
    record = await ctx.store.get(kind.collection.name, id_)
    return None if record is None else kind.read(record)


async def load(ctx: PluginContext, kind: Kind[B], id_: str) -> B:
    """Return a record of the caller. Raises NotFound: there is none, or it is another's."""
    found = await find(ctx, kind, id_)
    if found is None or not may_see(ctx, found):
        raise NotFound(f"there is no bulk {kind.word} {id_[:64]}", expression="http.url")
    return found


async def save(ctx: PluginContext, found: Any, attach: str = "", release: Iterable[str] = ()) -> Any:
    """Write a record with its files; return it at its new revision.

    Raises:
        RecordChanged: it was cancelled, or another process goes on with it; `attach` is let go then.
    """
    blobs = [*([BlobChange(attach, attach=True)] if attach else []), *(BlobChange(id_, False) for id_ in release)]

    async def write() -> None:
        try:
            await ctx.store.keep(*blobs, records=[found.change()])
        except RecordChanged:
            if attach:  # only what was attached can be let go; else it would lie about for an hour
                await ctx.store.keep(BlobChange(attach, attach=True))
                await ctx.store.keep(BlobChange(attach, attach=False))
            raise

    writing = asyncio.ensure_future(write())
    try:
        await asyncio.shield(writing)
    except asyncio.CancelledError:  # the file is either in the record or let go, whoever ends the work
        await asyncio.wait([writing])
        raise
    return replace(found, revision=found.revision + 1)


async def remove(ctx: PluginContext, kind: Kind[Any], id_: str) -> None:
    """Remove a record with its files, whatever works on it."""
    for attempt in range(_TRIES):
        found = await find(ctx, kind, id_)
        if found is None:
            return
        name = kind.collection.name
        changes = [RecordChange(name, id_, None, expected=found.revision), RecordChange(JOBS.name, id_, None)]
        try:
            await ctx.store.keep(*(BlobChange(blob, attach=False) for blob in found.blobs), records=changes)
            return
        except RecordChanged:
            if attempt == _TRIES - 1:
                raise
            await asyncio.sleep(0.02)
