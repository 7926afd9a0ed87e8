"""What searches and histories give a page at a time, and what is asked of a history."""

from dataclasses import dataclass, field

from fhir_server.model.keys import ResourceKey
from fhir_server.model.version import Version
from fhir_server.search.query import Cursor, Visibility


@dataclass(frozen=True, slots=True)
class Page:
    """Rows of a search in order, what the includes brought, and where to go on.

    `next` is None on the last page. `total` is None where it was not asked for and costs something.
    `containers`: for `_contained`, the (type, local id) of the contained match behind each version, else empty.
    `notes` are sentences that the client must see (an include that was cut, an index that lags).
    """

    versions: tuple[Version, ...] = ()
    included: tuple[Version, ...] = ()
    next: Cursor | None = None
    txid: int = 0
    total: int | None = None
    estimated: bool = False
    containers: tuple[tuple[str, str] | None, ...] = ()
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class HistoryQuery:
    """Which versions: of one resource (key), of a type, or of all; newest first.

    since: last_updated >= since; at: versions that were current at some time in [low, high). All in milliseconds.
    before: page link: only versions with (txid, pid) below this, of the log as of `until` (txid of page one).
    """

    key: ResourceKey | None = None
    type: str | None = None
    since: int | None = None
    at: tuple[int, int] | None = None
    count: int = 50
    before: tuple[int, int] | None = None
    until: int | None = None
    visible: Visibility = field(default_factory=Visibility)


@dataclass(frozen=True, slots=True)
class HistoryPage:
    """`total` is of the whole history asked for; `next` the (txid, pid) for `before`."""

    versions: tuple[Version, ...] = ()
    next: tuple[int, int] | None = None
    txid: int = 0
    total: int | None = None
