"""Who names certain resources, in any element of any version: one pass over the log."""

import asyncio
import re
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Final

from fhir_server.model.json import decode
from fhir_server.model.keys import ResourceKey
from fhir_server.privacy.person import Person
from fhir_server.storage.base import Store

_REFERENCE: Final = re.compile(
    rb'"(?:(https?://[^"\s]{1,500}?)/)?([A-Z][A-Za-z]{1,60})/([A-Za-z0-9\-.]{1,64})(?:/_history/[^"]{1,64})?(?:#[^"]*)?"'
)
_AT_ONCE: Final = 500


@dataclass(frozen=True, slots=True)
class Named:
    """What is looked for: resources by reference, and the person by identifier; `texts` are those, as JSON has them."""

    keys: frozenset[ResourceKey]
    person: Person
    texts: Sequence[bytes] = ()


@dataclass(slots=True)
class Mentions:
    """What one pass found.

    current: resources that name one of the keys now. past: those that did in a superseded version.
    versions: versions of the keys themselves that still have content. scanned: versions that were looked at.
    """

    current: list[ResourceKey] = field(default_factory=list)
    past: list[ResourceKey] = field(default_factory=list)
    versions: int = 0
    scanned: int = 0


async def mentions(store: Store, named: Named, base: str, kept: Collection[str] = ()) -> Mentions:
    """Read the whole log once; types in `kept` are not looked at."""
    found, prefix = Mentions(), base.encode()
    naming: dict[ResourceKey, set[int]] = {}
    after = 0
    while versions := await store.changes(after, _AT_ONCE):
        for version in versions:
            if version.key in named.keys:
                found.versions += not version.deleted
            elif version.key.type not in kept and names(version.body.data, named, prefix):
                naming.setdefault(version.key, set()).add(version.version)
        found.scanned += len(versions)
        after = versions[-1].txid
        await asyncio.sleep(0)  # others are served between the slices
    current = await store.read_many(list(naming))
    for key, numbers in sorted(naming.items()):
        now = current.get(key)
        if now is not None and now.version in numbers:
            found.current.append(key)
        if numbers - {now.version if now else 0}:
            found.past.append(key)
    return found


def names(data: bytes, named: Named, base: bytes) -> bool:
    """Tell whether the bytes of a resource refer to one of the keys or, by identifier, to the person."""
    if any(key in named.keys for key in _keys(data, base)):
        return True
    return any(text in data for text in named.texts) and named.person.refers(list(decode(data).values()))


def referred_to(data: bytes, base: str) -> frozenset[ResourceKey]:
    """Return the resources of this server that bytes name."""
    return frozenset(_keys(data, base.encode()))


def key_of(text: str, base: str) -> ResourceKey | None:
    """Return the resource of this server that a reference is to; None for any other text."""
    match = _REFERENCE.fullmatch(b'"' + text.encode() + b'"')
    return None if match is None else next(_found([match.groups()], base.encode()), None)  # type: ignore[list-item]


def _keys(data: bytes, base: bytes) -> Iterator[ResourceKey]:
    return _found(_REFERENCE.findall(data), base)


def _found(matches: Sequence[tuple[bytes | None, bytes, bytes]], base: bytes) -> Iterator[ResourceKey]:
    for own, type_, id_ in matches:
        if not own or own == base:
            yield ResourceKey(type_.decode(), id_.decode())
