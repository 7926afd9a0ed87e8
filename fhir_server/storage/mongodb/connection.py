"""The client, what its server can do, and its errors as ours."""

import logging
from collections.abc import Iterator, Set
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import parse_qsl, urlsplit

from bson.errors import InvalidDocument
from pymongo import AsyncMongoClient, ReadPreference
from pymongo.errors import (
    BulkWriteError,
    ConfigurationError,
    ConnectionFailure,
    ExecutionTimeout,
    OperationFailure,
    PyMongoError,
    WaitQueueTimeoutError,
    WTimeoutError,
)
from pymongo.read_concern import ReadConcern
from pymongo.write_concern import WriteConcern

from fhir_server.settings import Settings
from fhir_server.storage.base import SearchTooCostly, StorageFault, StorageFull, StoreError, StoreUnavailable
from fhir_server.storage.mongodb.document import Document
from fhir_server.storage.mongodb.pool import PoolNumbers

logger = logging.getLogger(__name__)

_OUT_OF_SPACE: Final = 14031
_REFUSED: Final = (13, 323)
"""Unauthorized, and not in the stable API."""
_UNCONFIRMED: Final = (64, 91, 100, 189, 11600, 11602, 10107, 13435, 13436)
"""Of a write: it was done here, but not confirmed by as many members as it should be, or by none that is still primary.

Source: https://www.mongodb.com/docs/manual/reference/error-codes/
"""
_PASSING: Final = (6, 7, 24, 43, 46, 63, 89, 133, 134, 150, 175, 202, 237, 239, 246, 262, 365, 9001, 13388)
"""Something that goes by ended an operation: a shard has no primary now, a cursor went with its member, a chunk moved,
an index was dropped beneath it. Of what it was to write some may be written."""
_MEANT: Final = {
    13: "the user of `mongodb_url` may not do this (docs/engines.md tells which roles it needs)",
    18: "the user or the password in `mongodb_url` is wrong, or `authSource` names another database than the user's",
    8000: "the user or the password in `mongodb_url` is wrong",
}
_OLDEST: Final = 17
"""Of the wire protocol: MongoDB 6.0."""
_PREFERENCES: Final = {
    "primary": ReadPreference.PRIMARY,
    "primaryPreferred": ReadPreference.PRIMARY_PREFERRED,
    "secondary": ReadPreference.SECONDARY,
    "secondaryPreferred": ReadPreference.SECONDARY_PREFERRED,
    "nearest": ReadPreference.NEAREST,
}


@dataclass(frozen=True, slots=True)
class Server:
    """What was found out of a server: its version, and which of MongoDB's abilities it has.

    transactions: of several documents (a replica set or a shard router). streams: change streams. nested: conditions
    on one element of an array. sharded: it routes to shards.
    """

    name: str
    transactions: bool
    streams: bool
    nested: bool
    sharded: bool = False


def client_of(settings: Settings) -> AsyncMongoClient[Document]:
    """Return the client; nothing is connected yet. Raises StorageFault for an address that is none."""
    options = dict[str, Any](
        appname="fhir-server",
        serverSelectionTimeoutMS=settings.mongodb_timeout * 1000,
        connectTimeoutMS=settings.mongodb_timeout * 1000,
        maxPoolSize=settings.mongodb_connections,
        retryReads=True,
        retryWrites=True,
    )
    # What the address says itself stands: some servers take no retryable writes, and say so there.
    said = {name.lower() for name, _ in parse_qsl(urlsplit(settings.mongodb_url).query)}
    options = {name: value for name, value in options.items() if name.lower() not in said}
    options["event_listeners"] = [PoolNumbers()]
    try:
        # What is not read by a store's own concerns (heads, leases) is the primary's, whatever the address prefers.
        return AsyncMongoClient(
            settings.mongodb_url, tz_aware=True, uuidRepresentation="standard",
            read_preference=ReadPreference.PRIMARY, **options,
        )  # fmt: skip
    except (ConfigurationError, ValueError) as error:
        raise StorageFault(f"mongodb_url: {error}") from None


def concerns(settings: Settings, server: Server) -> dict[str, Any]:
    """Return how a database is read and written; a server without replicas knows no majority."""
    preference = _PREFERENCES[settings.mongodb_read_preference]
    journal = True if settings.durable else None
    if not server.transactions:
        return {"read_preference": ReadPreference.PRIMARY, "write_concern": WriteConcern(1, j=journal)}
    members = settings.mongodb_write_concern
    members = int(members) if isinstance(members, str) and members.lstrip("-").isdigit() else members
    try:
        write = WriteConcern(members, wtimeout=settings.lock_timeout * 1000, j=journal)
    except (ConfigurationError, ValueError) as error:
        raise StorageFault(f"mongodb_write_concern: {error}") from None
    if not write.acknowledged:
        raise StorageFault("mongodb_write_concern: what no member confirms may be lost: name 1 or more")
    # Who reads what a majority has would not see its own write that fewer have confirmed.
    level = "majority" if members == "majority" else "local"
    return {"read_preference": preference, "read_concern": ReadConcern(level), "write_concern": write}


async def server_of(client: AsyncMongoClient[Document]) -> Server:
    """Find out what the server can do.

    Raises:
        StoreUnavailable: it does not answer.
    """
    with faults():
        hello = await client.admin.command("hello")
        build = await _build(client, hello)
    ferret = "ferretdbVersion" in build or "ferretdb" in build
    sharded = hello.get("msg") == "isdbgrid"
    whole = ("setName" in hello or sharded) and not ferret
    if hello.get("maxWireVersion", 0) < _OLDEST and not ferret:
        logger.warning("MongoDB %s is older than 6.0, or imitates it: the engine was not made for it", build["version"])
    return Server(f"{'FerretDB' if ferret else 'MongoDB'} {build['version']}", whole, whole, not ferret, sharded)


def reason_of(error: BaseException) -> str:
    """Return why a connection failed, in the driver's words: of addresses, refused connections and certificates."""
    found: BaseException | None = error
    while found is not None and not isinstance(found, ConnectionFailure):
        found = found.__cause__
    return str(found).partition(", Topology Description")[0] if found is not None else "a connection failed"


async def _build(client: AsyncMongoClient[Document], hello: Document) -> Document:
    """Return what the server says of itself; where it tells that to administrators alone, what its protocol says."""
    try:
        return await client.admin.command("buildInfo")
    except OperationFailure as error:
        if error.code not in _REFUSED:
            raise
        return {"version": f"of wire version {hello.get('maxWireVersion')}"}


@contextmanager
def faults() -> Iterator[None]:
    """Translate the driver's errors. Texts of the server may hold values, so none is repeated."""
    try:
        yield
    except ExecutionTimeout as error:
        raise SearchTooCostly("the search took longer than `search_timeout`") from error
    except (ConnectionFailure, WaitQueueTimeoutError) as error:
        raise StoreUnavailable("the database does not answer") from error
    except BulkWriteError as error:
        raise _refused(error, _bulk_codes(error)) from error
    except OperationFailure as error:
        raise _refused(error, {error.code}) from error
    except (InvalidDocument, OverflowError, UnicodeError) as error:  # too large, or half of a character
        raise StorageFault("the database cannot hold this") from error
    except PyMongoError as error:
        raise StorageFault(type(error).__name__) from error


def _refused(error: PyMongoError, codes: Set[int | None]) -> StoreError:
    if _OUT_OF_SPACE in codes:
        return StorageFull("the database is out of space")
    if isinstance(error, WTimeoutError) or not codes.isdisjoint(_UNCONFIRMED):
        return StoreUnavailable("the database could not confirm a write")
    if not codes.isdisjoint(_PASSING):
        return StoreUnavailable("the database ended an operation before it was done")
    for code, meant in _MEANT.items():
        if code in codes:
            return StorageFault(f"the database refused an operation ({code}): {meant}")
    return StorageFault(f"the database refused an operation ({sorted(map(str, codes))})")


def _bulk_codes(error: BulkWriteError) -> set[int | None]:
    details = error.details or {}
    found = [*details.get("writeErrors", ()), *details.get("writeConcernErrors", ())]
    return {each.get("code") for each in found}
