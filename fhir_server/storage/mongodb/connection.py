"""The client, what its server can do, and its errors as ours."""

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Final

from pymongo import AsyncMongoClient, ReadPreference
from pymongo.errors import (
    AutoReconnect,
    BulkWriteError,
    ConnectionFailure,
    ExecutionTimeout,
    OperationFailure,
    PyMongoError,
)
from pymongo.read_concern import ReadConcern
from pymongo.write_concern import WriteConcern

from fhir_server.settings import Settings
from fhir_server.storage.base import SearchTooCostly, StorageFault, StorageFull, StoreUnavailable
from fhir_server.storage.mongodb.document import Document

logger = logging.getLogger(__name__)

_OUT_OF_SPACE: Final = 14031
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
    """Return the client; nothing is connected yet."""
    options = dict[str, Any](
        appname="fhir-server",
        serverSelectionTimeoutMS=settings.mongodb_timeout * 1000,
        connectTimeoutMS=settings.mongodb_timeout * 1000,
        maxPoolSize=settings.mongodb_connections,
        retryReads=True,
        retryWrites=True,
        tz_aware=True,
        uuidRepresentation="standard",
    )
    return AsyncMongoClient(settings.mongodb_url, **options)


def concerns(settings: Settings, server: Server) -> dict[str, Any]:
    """Return how a database is read and written; a server without replicas knows no majority."""
    preference = _PREFERENCES[settings.mongodb_read_preference]
    if not server.transactions:
        return {"read_preference": ReadPreference.PRIMARY}
    journal = True if settings.durable else None
    write = WriteConcern(settings.mongodb_write_concern, wtimeout=settings.lock_timeout * 1000, j=journal)
    return {"read_preference": preference, "read_concern": ReadConcern("majority"), "write_concern": write}


async def server_of(client: AsyncMongoClient[Document]) -> Server:
    """Find out what the server can do.

    Raises:
        StoreUnavailable: it does not answer.
    """
    with faults():
        hello = await client.admin.command("hello")
        build = await client.admin.command("buildInfo")
    ferret = "ferretdbVersion" in build or "ferretdb" in build
    sharded = hello.get("msg") == "isdbgrid"
    whole = ("setName" in hello or sharded) and not ferret
    return Server(f"{'FerretDB' if ferret else 'MongoDB'} {build['version']}", whole, whole, not ferret, sharded)


@contextmanager
def faults() -> Iterator[None]:
    """Translate the driver's errors. Texts of the server may hold values, so none is repeated."""
    try:
        yield
    except ExecutionTimeout as error:
        raise SearchTooCostly("the search took longer than `search_timeout`") from error
    except (AutoReconnect, ConnectionFailure) as error:
        raise StoreUnavailable("the database does not answer") from error
    except BulkWriteError as error:
        raise StorageFault("the database refused a write") from error
    except OperationFailure as error:
        if error.code == _OUT_OF_SPACE:
            raise StorageFull("the database is out of space") from error
        raise StorageFault(f"the database refused an operation ({error.code})") from error
    except PyMongoError as error:
        raise StorageFault(type(error).__name__) from error
