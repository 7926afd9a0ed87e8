"""The last gate before the store: whether the caller may write each of these changes.

Every write of a request goes through `ctx.commit`, so this is the one place where new content is held to what was
granted: an app for one patient cannot write a record of another, nor move a record there.

Spec: https://hl7.org/fhir/smart-app-launch/STU2.2/scopes-and-launch-context.html
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from fhir_server.context import Context
from fhir_server.errors import Forbidden
from fhir_server.interactions.visibility import holds_of
from fhir_server.model.keys import ResourceKey
from fhir_server.search.match import Found
from fhir_server.search.query import EVERYTHING
from fhir_server.storage.base import Change


@dataclass(frozen=True, slots=True)
class _Future:
    """A version that is not written yet."""

    key: ResourceKey
    last_updated: int


async def admit(ctx: Context, changes: Sequence[Change]) -> None:
    """Let the changes pass.

    Raises:
        Forbidden: one of them is not granted. The answer is the same whether or not a hidden resource is there.
    """
    now = ctx.now()
    beside = {c.key: Found(_Future(c.key, now), c.entries) for c in changes if c.method != "DELETE"}
    for change in changes:
        if not await _admitted(ctx, change, beside):
            raise Forbidden(f"{change.key.type}: this write is outside of what was granted", expression=change.key.type)


async def _admitted(ctx: Context, change: Change, beside: Mapping[ResourceKey, Found]) -> bool:
    if change.method == "DELETE":
        return True  # who may delete was asked about the resource that is there
    letter = "u" if await _exists(ctx, change) else "c"
    predicate = ctx.restriction.writable("c" if letter == "c" else "u", change.key.type)
    if predicate == EVERYTHING:
        return True
    return await holds_of(ctx, predicate, beside[change.key].version, change.entries, beside)


async def _exists(ctx: Context, change: Change) -> bool:
    if change.expected is not None:
        return change.expected > 0
    current = await ctx.store.read(change.key)
    return current is not None and not current.deleted
