"""What a condition finds inside a transaction: the store as it would be after the entries that come before.

The store itself is asked within the commit whether it still finds what it found here; this overlay adds what the
transaction deletes, creates and changes.

Spec: https://hl7.org/fhir/R4/http.html#trules
"""

from collections.abc import Iterator
from dataclasses import replace

from fhir_server.context import Context
from fhir_server.interactions import conditional
from fhir_server.interactions.conditional import Matches
from fhir_server.interactions.prepare import parse
from fhir_server.model.exchange import Query
from fhir_server.model.keys import ResourceKey
from fhir_server.model.version import Body, Version
from fhir_server.search.entries import IndexEntries
from fhir_server.search.match import NoLookup, matches

_PENDING = 0
"""The pid of a version that is not written yet."""


class Overlay:
    """The writes of a transaction settled so far: `deleted`, and what resources will be as in `written`."""

    def __init__(self) -> None:
        self.deleted: set[ResourceKey] = set()
        self.written: dict[ResourceKey, bytes] = {}
        self._entries: dict[ResourceKey, IndexEntries | None] = {}

    async def find(self, ctx: Context, type_: str, criteria: Query, limit: int = 2, /) -> Matches:
        """Search as `conditional.find`. Versions that are not written yet have no pid."""
        changed = {key for key in (*self.deleted, *self.written) if key.type == type_}
        found = await conditional.find(ctx, type_, criteria, limit + len(changed))
        stay = [version for version in found.versions if version.key not in changed]
        pending = [_pending(ctx, key) for key in self._matching(ctx, type_, found)]
        return replace(found, versions=(*stay, *pending)[:limit])

    def _matching(self, ctx: Context, type_: str, found: Matches) -> Iterator[ResourceKey]:
        """Yield the resources of this transaction that the criteria match; a chain finds none of them."""
        node = found.condition.search.branches[type_]
        for key, raw in self.written.items():
            if key.type != type_:
                continue
            if key not in self._entries:
                self._entries[key] = _entries(ctx, key, raw)
            entries = self._entries[key]
            if entries is not None and matches(node, _pending(ctx, key), entries, NoLookup()):
                yield key


def _entries(ctx: Context, key: ResourceKey, raw: bytes) -> IndexEntries | None:
    """Return what a resource would be found by; None for an invalid one, which is refused a moment later."""
    resource = parse(raw, ctx.settings.max_depth)
    if ctx.validator.check(resource, key.type, level="structure"):
        return None
    return ctx.extractor.extract(key.type, resource, own_base=ctx.base)


def _pending(ctx: Context, key: ResourceKey) -> Version:
    return Version(_PENDING, key, 1, 0, ctx.now(), "POST", Body(b"", 0))


def is_pending(version: Version) -> bool:
    """Tell whether a version stands for a write of the same transaction."""
    return version.pid == _PENDING
