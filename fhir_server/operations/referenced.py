"""Validation with the stored resources that profiles ask about.

The validator does not wait for the store. What it asks for and does not get is fetched, and it is asked again; it
usually asks for nothing.
"""

import asyncio
from collections.abc import Iterable, Mapping
from typing import Any

from fhir_server.context import Context
from fhir_server.errors import Issue
from fhir_server.interactions.visibility import visible
from fhir_server.model.json import decode
from fhir_server.model.keys import ResourceKey, is_id
from fhir_server.validation import Wanted

# Times that what was fetched may ask for more, and resources that are fetched in all.
_ROUNDS = 5
_MOST = 200
Json = Mapping[str, Any]


async def validated_with_references(
    ctx: Context, resource: object, type_: str | None, profiles: tuple[str, ...]
) -> list[Issue]:
    """Validate in full; references lead to those resources of the store that the caller may see."""
    stored = _Stored()
    wanted = Wanted(profiles=profiles, resolve=stored)
    for _ in range(_ROUNDS):
        found = await asyncio.to_thread(ctx.validator.look, resource, type_, wanted)
        if not stored.asked or len(stored.known) >= _MOST:
            break
        stored.known |= await _fetched(ctx, sorted(stored.asked)[: _MOST - len(stored.known)])
        stored.asked.clear()
    return found.issues


class _Stored:
    """Gives resources that were fetched, and remembers what it could not give."""

    def __init__(self) -> None:
        self.known: dict[str, Json | None] = {}
        self.asked: set[str] = set()

    def __call__(self, reference: str) -> Json | None:
        if reference not in self.known:
            self.asked.add(reference)
        return self.known.get(reference)


async def _fetched(ctx: Context, references: Iterable[str]) -> dict[str, Json | None]:
    keys = {reference: _key(ctx, reference) for reference in references}
    versions = await ctx.store.read_many([key for key in keys.values() if key is not None])
    found: dict[str, Json | None] = {}
    for reference, key in keys.items():
        version = versions.get(key) if key is not None else None
        there = version is not None and not version.deleted and await visible(ctx, version)
        found[reference] = decode(version.stamped()) if version is not None and there else None
    return found


def _key(ctx: Context, reference: str) -> ResourceKey | None:
    """Return the resource of this server that a reference names."""
    type_, _, id_ = reference.removeprefix(ctx.base + "/").partition("/_history/")[0].partition("/")
    return ResourceKey(type_, id_) if type_ in ctx.definitions.resource_types and is_id(id_) else None
