"""Code systems that all nodes have: a file in the store for each, and a copy of it in the data folder of every node.

A node fetches what it lacks and removes what was withdrawn, but leaves files alone that it has not fetched itself.
"""

import hashlib
import json
import os
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

from fhir_server.storage.base import BlobChange, Collection, RecordChange, Store
from fhir_server.telemetry.health import Check, Finding
from fhir_server.terminology.systems.layout import SUFFIX

SYSTEMS: Final = Collection("server.systems")
"""In the default tenant, by the name of the file."""

LISTED: Final = "fetched.json"
_PIECE: Final = 1_000_000
_MOST: Final = 1_000
_WAITS: Final = 300.0
"""Seconds for which a node that has just begun waits for its code systems; then it serves without them, and says so."""


@dataclass(frozen=True, slots=True)
class Shared:
    """A file that all nodes are to have. system: `URL|VERSION` of the code system in it."""

    name: str
    system: str
    blob: str
    size: int
    sha256: str


async def shared(store: Store) -> list[Shared]:
    """Return all that nodes are to have."""
    await store.declare(SYSTEMS)
    found = await store.records.find(SYSTEMS.name, limit=_MOST)
    return [Shared(name=record.key, **_plain(record.value)) for record in found]


async def publish(store: Store, path: Path, system: str) -> Shared:
    """Give a file to all nodes, over one of the same name."""
    await store.declare(SYSTEMS)
    before = await store.records.get(SYSTEMS.name, path.name)
    made = await store.blobs.stage(_pieces(path))
    found = Shared(path.name, system, made.id, made.size, made.sha256)
    value = {key: each for key, each in asdict(found).items() if key != "name"}
    blobs = [BlobChange(made.id, attach=True)]
    if before is not None:
        blobs.append(BlobChange(str(before.value["blob"]), attach=False))
    await store.commit((), (RecordChange(SYSTEMS.name, path.name, value),), blobs)
    return found


async def withdraw(store: Store, name: str) -> bool:
    """Take a file from all nodes; tell whether they had it."""
    await store.declare(SYSTEMS)
    record = await store.records.get(SYSTEMS.name, name)
    if record is None:
        return False
    gone = BlobChange(str(record.value["blob"]), attach=False)
    await store.commit((), (RecordChange(SYSTEMS.name, name, None),), (gone,))
    return True


async def missing(store: Store, folder: Path) -> Sequence[str]:
    """Return the names of the files that this node is to have and has not got."""
    listed = _listed(folder)
    return [each.name for each in await shared(store) if listed.get(each.name) != each.sha256]


class Watch:
    """What the health of a node says of its code systems.

    Args:
        home: gives the store of the default tenant.
    """

    def __init__(self, home: Callable[[], Awaitable[Store]], folder: Path) -> None:
        self._home, self._folder = home, folder
        self._began, self._first = time.monotonic(), True

    async def probe(self) -> Finding:
        """Say what is missing. A node that has just begun gets no requests before it has what the others have, for it
        would answer otherwise; one that serves already goes on while something new is fetched."""
        left = await missing(await self._home(), self._folder)
        if not left:
            self._first = False
            return Finding()
        waits = self._first and time.monotonic() - self._began < _WAITS
        said = f"{len(left)} code systems are being fetched from the store"
        return Finding("failing" if waits else "degraded", said, {"missing": len(left)})

    @property
    def check(self) -> Check:
        """It as a check."""
        return Check("code systems", self.probe, gates=True, fresh_for=1)


async def follow(store: Store, folder: Path) -> None:
    """Fetch what this node lacks, and remove what was withdrawn. Raises OSError, ValueError: a file is damaged."""
    wanted = {each.name: each for each in await shared(store)}
    listed = _listed(folder)
    for name in sorted(set(listed) - set(wanted)):
        (folder / name).unlink(missing_ok=True)
        _list(folder, {key: each for key, each in _listed(folder).items() if key != name})
    for each in wanted.values():
        if listed.get(each.name) != each.sha256:
            await _fetch(store, folder, each)


async def _fetch(store: Store, folder: Path, wanted: Shared) -> None:
    path, part = folder / wanted.name, folder / f".{wanted.name}.fetching"
    if path.parent != folder or not path.name.endswith(SUFFIX):
        raise ValueError(f"{wanted.name!r} is no name of a code system's file")
    os.makedirs(folder, exist_ok=True)
    digest = hashlib.sha256()
    try:
        with part.open("wb") as file:
            async for chunk in await store.blobs.open(wanted.blob):
                digest.update(chunk)
                file.write(chunk)
            file.flush()
            os.fsync(file.fileno())
        if digest.hexdigest() != wanted.sha256:
            raise ValueError(f"{wanted.name} did not come as it was sent")
        part.replace(path)
    finally:
        part.unlink(missing_ok=True)
    _list(folder, {**_listed(folder), wanted.name: wanted.sha256})


async def _pieces(path: Path) -> AsyncIterator[bytes]:
    with path.open("rb") as file:
        while piece := file.read(_PIECE):
            yield piece


def _listed(folder: Path) -> dict[str, str]:
    """Return the files that this node has fetched, with their digests."""
    try:
        found: dict[str, str] = json.loads((folder / LISTED).read_text())
    except (OSError, ValueError):
        return {}
    return {name: digest for name, digest in found.items() if (folder / name).exists()}


def _list(folder: Path, found: Mapping[str, str]) -> None:
    path = folder / LISTED
    path.with_suffix(".new").write_text(json.dumps(found))
    path.with_suffix(".new").replace(path)


def _plain(value: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value[name] for name in ("system", "blob", "size", "sha256")}
