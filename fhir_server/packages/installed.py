"""The packages that a tenant has installed: the .tgz as a blob, what it is as a record, both from one commit."""

import asyncio
import logging
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal
from weakref import WeakValueDictionary

from fhir_server.packages.archive import Limits, Package, PackageError, read_package
from fhir_server.packages.library import Library
from fhir_server.storage.base import (
    BlobChange,
    Collection,
    Record,
    RecordChange,
    RecordChanged,
    RecordField,
    Store,
    StoreError,
)

PACKAGES = Collection("packages", (RecordField("name"),))
_log = logging.getLogger("fhir_server.packages")
_PAGE = 100
_TRIES = 3
_CHUNK = 262_144

_read: WeakValueDictionary[str, Package] = WeakValueDictionary()
"""Packages in use in this process by the SHA-256 of their .tgz, so that each is read once for all tenants."""

Outcome = Literal["installed", "replaced", "unchanged"]


class AlreadyInstalled(Exception):
    """Another package of this name and version is installed."""


@dataclass(frozen=True, slots=True)
class Installed:
    """What an installation came to."""

    package: Package
    outcome: Outcome


async def read(data: bytes, limits: Limits) -> Package:
    """Read a package, off the event loop, and remember it. Raises PackageError."""
    package = await asyncio.to_thread(read_package, data, limits)
    return _read.setdefault(package.sha256, package)


async def install(store: Store, package: Package, data: bytes, mark: RecordChange, *, replace: bool) -> Installed:
    """Write a package with a record that says that packages have changed, all or nothing.

    Raises:
        AlreadyInstalled: this name and version with other content, and it is not to be replaced.
        StoreError: it could not be written.
    """
    for _ in range(_TRIES):
        record = await store.records.get(PACKAGES.name, package.id)
        if record is not None and record.value["sha256"] == package.sha256:
            return Installed(package, "unchanged")
        if record is not None and not replace:
            raise AlreadyInstalled(package.id)
        try:
            await _write(store, package, data, record, mark)
        except RecordChanged:
            continue  # somebody else installed or removed it meanwhile
        return Installed(package, "installed" if record is None else "replaced")
    raise RecordChanged(f"{package.id} is being installed and removed by others")


async def remove(store: Store, name: str, mark: RecordChange) -> bool:
    """Remove `name#version`; tell whether it was there."""
    for _ in range(_TRIES):
        record = await store.records.get(PACKAGES.name, name)
        if record is None:
            return False
        gone = RecordChange(PACKAGES.name, name, None, expected=record.revision)
        try:
            await store.commit((), (gone, mark), (_released(record),))
        except RecordChanged:
            continue
        return True
    raise RecordChanged(f"{name} is being installed and removed by others")


async def load_packages(store: Store, limits: Limits) -> tuple[Package, ...]:
    """Read all installed packages. One that cannot be read is named in the log and left out."""
    loaded = [await _load(store, record, limits) for record in await _records(store)]
    return tuple(package for package in loaded if package is not None)


def library_of(packages: Sequence[Package], below: Library) -> Library:
    """Return the library of packages over another."""
    return Library((entry for package in packages for entry in package.entries), below) if packages else below


async def _write(store: Store, package: Package, data: bytes, record: Record | None, mark: RecordChange) -> None:
    blob = await store.blobs.stage(_chunks(data))
    revision = 0 if record is None else record.revision
    entry = RecordChange(PACKAGES.name, package.id, _value(package, blob.id), expected=revision)
    blobs = [BlobChange(blob.id, attach=True)]
    if record is not None:
        blobs.append(_released(record))
    await store.commit((), (entry, mark), blobs)


def _value(package: Package, blob: str) -> Mapping[str, object]:
    return {
        "name": package.name,
        "version": package.version,
        "title": package.title,
        "licence": package.licence,
        "sha256": package.sha256,
        "blob": blob,
    }


def _released(record: Record) -> BlobChange:
    return BlobChange(str(record.value["blob"]), attach=False)


async def _records(store: Store) -> list[Record]:
    found: list[Record] = []
    while True:
        page = await store.records.find(PACKAGES.name, after=found[-1].key if found else None, limit=_PAGE)
        found += page
        if len(page) < _PAGE:
            return found


async def _load(store: Store, record: Record, limits: Limits) -> Package | None:
    """Return the package of a record; where it was replaced or removed meanwhile, what is there now."""
    current: Record | None = record
    while current is not None:
        try:
            return _read.get(str(current.value["sha256"])) or await _unpack(store, current, limits)
        except (PackageError, StoreError, KeyError) as error:
            now = await store.records.get(PACKAGES.name, record.key)
            if now is not None and now.revision == current.revision:
                _log.error("the package %s is not in force: %s", record.key, error)
                return None
            current = now
    return None


async def _unpack(store: Store, record: Record, limits: Limits) -> Package:
    stream = await store.blobs.open(str(record.value["blob"]))
    data = b"".join([chunk async for chunk in stream])
    package = await asyncio.to_thread(read_package, data, limits, known_good=True)
    return _read.setdefault(package.sha256, package)


async def _chunks(data: bytes) -> AsyncIterator[bytes]:
    for start in range(0, len(data), _CHUNK):
        yield data[start : start + _CHUNK]
