"""What the lanes of a tenant share, and which of them a resource goes along."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from zlib import crc32

from fhir_server.feed.log import LogReader
from fhir_server.model.keys import ResourceKey
from fhir_server.settings import Settings
from fhir_server.storage.base import Store


@dataclass(frozen=True, slots=True)
class Ground:
    """What the lanes of one tenant share.

    Args:
        saved: writes how far all came, if that is due; returns once it is written or need not be yet.
    """

    tenant: str
    store: Store
    log: LogReader
    settings: Settings
    now: Callable[[], int]
    saved: Callable[[], Awaitable[None]]


def partition(key: ResourceKey, of: int) -> int:
    """Return the partition of a resource, the same in all processes."""
    return crc32(f"{key.type}/{key.id}".encode()) % of
