"""FeedChange: one new version of one resource, as consumers of the feed see it."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Literal

from fhir_server.model.keys import ResourceKey
from fhir_server.model.version import Version

Method = Literal["created", "updated", "deleted"]


async def _unknown() -> Version | None:
    return None


@dataclass(frozen=True, slots=True)
class FeedChange:
    """One version of the log. Its bytes are made when they are asked for.

    Args:
        row: the version as it is stored.
        method: what happened to the resource; `created` also where one that had been deleted came back.
        before: reads the version that this one replaced.
    """

    row: Version
    method: Method
    before: Callable[[], Awaitable[Version | None]] = field(default=_unknown, repr=False, compare=False)

    @property
    def key(self) -> ResourceKey:
        """Type and id of the resource."""
        return self.row.key

    @property
    def version(self) -> int:
        """The number of the version, from 1."""
        return self.row.version

    @property
    def txid(self) -> int:
        """The commit that it came with; all changes of one commit have the same, and it grows."""
        return self.row.txid

    @property
    def last_updated(self) -> int:
        """When it was written, in milliseconds since 1970 UTC."""
        return self.row.last_updated

    @property
    def id(self) -> str:
        """`Type/id/_history/version`: the same at each delivery and for ever, so that an effect can be made once."""
        return f"{self.row.key}/_history/{self.row.version}"

    @property
    def body(self) -> bytes:
        """The resource as JSON, with `meta.versionId` and `meta.lastUpdated`; empty for a deletion."""
        return b"" if self.row.deleted else self.row.stamped()

    async def previous(self) -> bytes | None:
        """Return the version before as JSON; None where there was none, it was a deletion, or it was erased."""
        found = await self.before() if self.row.version > 1 else None
        return found.stamped() if found is not None and not found.deleted else None
