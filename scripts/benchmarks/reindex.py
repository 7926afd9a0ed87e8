"""The search index made anew: by `$reindex` while it serves, and of a restored record that has none; plain, encrypted.

The store alone, in this process. `--data`: Synthea Bundles (else the demo), copied under new ids up to `--size`;
`--keep`: a folder of stores that are there, or are made and stay. Processor time counts all threads and children.
"""

import argparse
import asyncio
import bz2
import json
import os
import re
import resource
import shutil
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Final
from uuid import UUID, uuid5

import apsw

from fhir_server.app import extract_by
from fhir_server.commands.sources import find_files
from fhir_server.encryption import rotation
from fhir_server.model.keys import ResourceKey
from fhir_server.model.version import Body
from fhir_server.search.entries import IndexEntries
from fhir_server.serving.demo import demo_bundles
from fhir_server.serving.worker import quiet
from fhir_server.settings import Settings
from fhir_server.storage.base import Change
from fhir_server.storage.sqlite.backup import backup, restore
from fhir_server.storage.sqlite.bare_copy import INDEX, MISSING
from fhir_server.storage.sqlite.store import open_store

_LEVELS: Final = {"plain": {"encryption": "off"}, "encrypted": {"encryption": "on"}}
_FULL_URL: Final = re.compile(rb'"fullUrl":\s*"urn:uuid:([0-9a-f-]{36})"')
_UUID: Final = re.compile(rb"(urn:uuid:)?([0-9a-f]{8}-[0-9a-f-]{27})")
_TENANT: Final = "tenants/default"
_PLAN: Final = ("token", "string", "date", "quantity", "uri", "ref", "composite", "contained")


def run(options: argparse.Namespace, folder: Path) -> None:
    """Measure each kind of store and print a line for each way."""
    quiet()
    for level, values in _LEVELS.items():
        place = (options.keep or folder) / level
        settings = Settings.model_validate(
            {"data_dir": place / "data", "patient_keys_copy": place / "keys", "reserve_bytes": 0, **values}
        )
        asyncio.run(_level(level, settings, options))


async def _level(level: str, settings: Settings, options: argparse.Namespace) -> None:
    extract = extract_by(settings)
    if not (settings.data_dir / _TENANT / "record.db").exists():
        async with _timed(f"{level}: written", options.size):
            await _fill(settings, options, extract)
    bare = await asyncio.to_thread(_bare, settings)
    count = _resources(bare)
    async with _timed(f"{level}: made of a record without index", count):
        store = await open_store(bare.data_dir / _TENANT, bare, None, extract)
        await store.close()
    print(f"  rows {_rows(bare)}")
    await _reindexed(f"{level}: $reindex, nothing changed", bare, extract)
    await _reindexed(f"{level}: $reindex, a row more for each", bare, _more(extract))
    shutil.rmtree(bare.data_dir)


async def _reindexed(what: str, settings: Settings, extract: Callable[[str, bytes], IndexEntries]) -> None:
    store = await open_store(settings.data_dir / _TENANT, settings)
    try:
        async with _timed(what, _resources(settings)):
            await store.reindex((), extract, lambda done, of: None)
    finally:
        await store.close()


def _more(extract: Callable[[str, bytes], IndexEntries]) -> Callable[[str, bytes], IndexEntries]:
    def more(type_: str, body: bytes) -> IndexEntries:
        entries = extract(type_, body)
        entries.tokens.append(("favourite", "urn:colours", str(len(body) % 7)))
        return entries

    return more


def _bare(settings: Settings) -> Settings:
    """Return the settings of a copy without an index, as a restore leaves it."""
    place = settings.data_dir.with_name("bare")
    shutil.rmtree(place, ignore_errors=True)
    copy = place.with_name("backup")
    shutil.rmtree(copy, ignore_errors=True)
    backup(settings.data_dir / _TENANT, copy, settings, lambda done, of: None, settings.patient_keys_copy)
    restore(copy, place / _TENANT)
    shutil.rmtree(copy)
    if settings.encryption == "on":
        for name in ("keys.json",):
            if (settings.data_dir / name).exists():
                shutil.copy(settings.data_dir / name, place / name)
    else:
        connection = apsw.Connection(str(place / _TENANT / "record.db"))
        for table in sorted(INDEX):
            connection.execute(f'DELETE FROM "{table}"')
        connection.execute("INSERT INTO system VALUES(0, '')")
        connection.execute("INSERT OR REPLACE INTO meta VALUES('index', ?)", (MISSING,))
        connection.execute("VACUUM")
        connection.close()
    master = settings.data_dir.with_name(settings.data_dir.name + ".master.key")
    keys = settings.data_dir.with_name(settings.data_dir.name + ".patient-keys")
    update = {"data_dir": place, "encryption_key": f"file:{master}" if master.exists() else "", "patient_keys": keys}
    return settings.model_copy(update=update)


async def _fill(settings: Settings, options: argparse.Namespace, extract: Callable[[str, bytes], IndexEntries]) -> None:
    if settings.encryption == "on":
        rotation.confirm(settings, rotation.begin(settings))
    relaxed = settings.model_copy(update={"durable": False})
    store = await open_store(settings.data_dir / _TENANT, relaxed)
    try:
        done = 0
        for changes in _copies(options, extract):
            await store.commit(changes)
            done += len(changes)
            if done >= options.size:
                return
    finally:
        await store.close()


def _copies(options: argparse.Namespace, extract: Callable[[str, bytes], IndexEntries]) -> Iterator[list[Change]]:
    bundles = list(demo_bundles(100)) if options.data is None else [_read(path) for path in find_files([options.data])]
    number = 0
    while True:
        number += 1
        for bundle in bundles:
            yield [_change(each["resource"], extract) for each in json.loads(_renamed(bundle, number))["entry"]]


def _read(path: Path) -> bytes:
    raw = path.read_bytes()
    return bz2.decompress(raw) if path.suffix == ".bz2" else raw


def _renamed(bundle: bytes, number: int) -> bytes:
    """Give every resource an id of this copy, and let references be `Type/id`, as a transaction does."""
    found = json.loads(bundle)["entry"]
    names: dict[bytes, tuple[bytes, bytes]] = {}
    for entry in found:
        old = entry["fullUrl"].removeprefix("urn:uuid:").rpartition("/")[2]
        new = str(uuid5(UUID(int=number), old))
        names[old.encode()] = (entry["resource"]["resourceType"].encode(), new.encode())

    def put(match: re.Match[bytes]) -> bytes:
        known = names.get(match[2])
        if known is None:
            return match[0]
        return b"%b/%b" % known if match[1] else known[1]

    return _UUID.sub(put, bundle)


def _change(resource: dict[str, Any], extract: Callable[[str, bytes], IndexEntries]) -> Change:
    meta = resource.pop("meta", {})
    type_, id_ = resource["resourceType"], resource["id"]
    resource = {"resourceType": type_, "id": id_, "meta": meta, **resource}
    data = json.dumps(resource, separators=(",", ":"), ensure_ascii=False).encode()
    splice = data.index(b'"meta":{') + len(b'"meta":{')
    return Change(ResourceKey(type_, id_), "PUT", Body(data, splice), extract(type_, data))


@asynccontextmanager
async def _timed(what: str, count: int) -> AsyncIterator[None]:
    began, spent, written = time.monotonic(), _spent(), _written()
    yield
    seconds, spent, written = time.monotonic() - began, _spent() - spent, _written() - written
    print(
        f"  {what:48} {count:>9,} resources {seconds:7.1f} s {count / seconds:>8,.0f}/s  processor {spent:6.1f} s, "
        f"{spent / count * 1e6:5.0f} us each; {written / 1e6:,.0f} MB to the disk; load {os.getloadavg()[0]:.1f}, "
        f"resident {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e3:.0f} MB",
        flush=True,
    )


def _spent() -> float:
    return sum(sum(resource.getrusage(who)[:2]) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))


def _written() -> int:
    lines = dict(line.split(": ") for line in Path("/proc/self/io").read_text().splitlines())
    return int(lines["wchar"])


def _resources(settings: Settings) -> int:
    from fhir_server.storage.sqlite.connection import connect

    connection = connect(settings.data_dir / _TENANT / "record.db", settings, writer=False)
    try:
        return int(connection.execute("SELECT sum(total) FROM type").fetchall()[0][0])
    finally:
        connection.close()


def _rows(settings: Settings) -> dict[str, int]:
    from fhir_server.storage.sqlite.connection import connect

    connection = connect(settings.data_dir / _TENANT / "record.db", settings, writer=False)
    try:
        return {table: connection.execute(f"SELECT count(*) FROM {table}").fetchall()[0][0] for table in _PLAN}
    finally:
        connection.close()
