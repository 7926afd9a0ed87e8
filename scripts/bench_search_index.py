"""Searches of an engine alone and with the search index in front of it, answer by answer.

python scripts/bench_search_index.py --size 100000 --elasticsearch http://127.0.0.1:9200 [--mongodb mongodb://...]
"""

import argparse
import asyncio
import os
import tempfile
import time
from collections.abc import Awaitable, Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from random import Random
from secrets import token_hex
from statistics import median
from urllib.parse import parse_qsl

from fhir_server.app import extract_by, now
from fhir_server.model.json import encode, make_body
from fhir_server.model.keys import ResourceKey
from fhir_server.search.entries import IndexEntries
from fhir_server.search.parameters import ParameterRegistry
from fhir_server.search.parser import parse_search
from fhir_server.search.query import Search, Visibility
from fhir_server.settings import Settings
from fhir_server.storage.base import Change, Store
from fhir_server.storage.base.counting import By, Counted, Counts, labels_of
from fhir_server.storage.elasticsearch.connection import Connection
from fhir_server.storage.elasticsearch.feeder import Keeping
from fhir_server.storage.elasticsearch.index import TenantIndex
from fhir_server.storage.elasticsearch.state import declare
from fhir_server.storage.elasticsearch.store import IndexedStore

QUERIES = (
    "Observation?_content=w17 w4242",
    "Observation?_content=w1",
    "Observation?_content=w17&subject=Patient/p5",
    "Observation?_text=w17 NOT w4242",
    "Observation?_content=w17&_total=accurate",
    "Observation?code:text=w77",
    "Patient?name:contains=ber12",
    "Patient?name:contains=ber",
    "Patient?name:contains=ber&_sort=birthdate",
    "Observation?_sort=code",
    "Observation?_sort=-date",
)
COUNTS = (
    ("Observation", (By("code", "token"),)),
    ("Observation", (By("date", "date"),)),
    ("Observation?date=ge2020", (By("date", "date", "year"), By("code", "token"))),
    ("Observation?code=17-1", (By("subject", "reference"),)),
    ("Patient", (By("birthdate", "date", "year"),)),
)
_AT_ONCE = 100
_GROUPS = 20_000


def resources(size: int) -> list[dict[str, object]]:
    """Return a tenth Patients, the others Observations with forty words of a vocabulary of 5,000, of unequal use."""
    random = Random(1)  # the same each time
    words = lambda number: " ".join(f"w{int(random.paretovariate(0.4)) % 5_000}" for _ in range(number))  # noqa: E731
    made: list[dict[str, object]] = []
    for number in range(size // 10):
        born = f"{1930 + number % 90}-0{1 + number % 9}-1{number % 10}"
        name = [{"family": f"Schreiber{number}", "given": [f"Anna{number % 300}"]}]
        made.append({"resourceType": "Patient", "id": f"p{number}", "name": name, "birthDate": born})
    for number in range(size - len(made)):
        div = f'<div xmlns="http://www.w3.org/1999/xhtml">{words(30)}</div>'
        code = {"coding": [{"system": "http://loinc.org", "code": f"{number % 700}-1"}], "text": words(10)}
        made.append({
            "resourceType": "Observation", "id": f"o{number}", "status": "final", "code": code,
            "text": {"status": "generated", "div": div}, "subject": {"reference": f"Patient/p{number % (size // 10)}"},
            "effectiveDateTime": f"20{10 + number % 15}-0{1 + number % 9}-1{number % 10}",
        })  # fmt: skip
    return made


async def main() -> None:
    """Load, feed, ask."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--size", type=int, default=100_000)
    parser.add_argument("--elasticsearch", default="http://127.0.0.1:9200")
    parser.add_argument("--mongodb", default="")
    parser.add_argument("--runs", type=int, default=5)
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        settings = Settings(
            data_dir=Path(folder), elasticsearch_url=asked.elasticsearch, search_timeout=300,
            elasticsearch_timeout=60, store_deadline=300, mongodb_timeout=60, mongodb_url=asked.mongodb or "mongodb://127.0.0.1/",
        )  # fmt: skip
        store = await _opened(settings, mongodb=bool(asked.mongodb))
        connection = Connection(settings)
        index = TenantIndex(connection, f"bench-{token_hex(4)}")
        try:
            await declare(store)
            await _measured(IndexedStore(store, index), settings, asked.size, asked.runs)
        finally:
            await index.remove()
            await connection.close()
            await store.close()


async def _opened(settings: Settings, *, mongodb: bool) -> Store:
    if mongodb:
        from fhir_server.storage.mongodb.store import open_alone

        return await open_alone(f"bench_{token_hex(4)}", settings, now)
    from fhir_server.storage.sqlite.store import open_store

    return await open_store(settings.data_dir / "bench", settings, now, extract_by(settings))


async def _measured(store: IndexedStore, settings: Settings, size: int, runs: int) -> None:
    extract = extract_by(settings)
    made = resources(size)

    async def load() -> None:
        for start in range(0, len(made), _AT_ONCE):
            changes = []
            for each in made[start : start + _AT_ONCE]:
                key = ResourceKey(str(each["resourceType"]), str(each["id"]))
                body = make_body(encode(each), key)
                changes.append(Change(key, "PUT", body, extract(key.type, body.data)))
            await store.commit(changes)

    async def feed() -> None:
        while await Keeping(store.inner, store.index, extract).step():
            pass

    print(
        f"load average {os.getloadavg()[0]:.1f}, {os.cpu_count()} cores, {size} resources, {store.capabilities.engine}"
    )
    print(f"loaded {size / await _seconds(load):.0f}/s, fed {size / await _seconds(feed):.0f}/s")
    print("| search | total | alone | with the index |\n|---|---|---|---|")
    registry = ParameterRegistry.standard()

    def parsed(url: str) -> Search:
        type_, _, query = url.partition("?")
        pairs = tuple(parse_qsl(query))
        given = {"visibility": Visibility(), "compartment": None, "own_base": "", "expander": None, "now": now()}
        return parse_search(pairs, types=(type_,), registry=registry, settings=settings, **given).search

    for url in QUERIES:
        print(await _row(store, url, parsed(url), runs), flush=True)
    print("| counts | groups | one by one | by the engine | by the index |\n|---|---|---|---|---|")
    for url, by in COUNTS:
        print(await _counts_row(store, (url, parsed(url)), by, (runs, extract)), flush=True)


async def _counts_row(
    store: IndexedStore, asked: tuple[str, Search], by: tuple[By, ...], how: tuple[int, Callable[..., IndexEntries]]
) -> str:
    url, search = asked
    runs, extract = how

    async def read() -> Counted:
        found, left = Counted(), replace(search, count=1_000)
        while True:
            page = await store.inner.search(left)
            for version in page.versions:
                entries = extract(version.key.type, version.body.data)
                found.add([labels_of(each, version, entries) for each in by])
            if page.next is None:
                return found
            left = replace(left, after=page.next)

    expected, helped = await read(), await store.counted(search, by, _GROUPS)
    assert helped is not None and helped.groups == expected.groups, url
    cells = [await _seconds(read)]
    for each in (store.inner, store):
        if isinstance(each, Counts):
            cells.append(median([await _seconds(partial(each.counted, search, by, _GROUPS)) for _ in range(runs)]))
        else:
            cells.append(float("nan"))
    names = " ".join(f"by={each.param}" for each in by)
    times = " | ".join(f"{1_000 * each:.0f} ms" for each in cells)
    return f"| `{url}` {names} | {len(expected.groups):,} | {times} |"


async def _row(store: IndexedStore, url: str, search: Search, runs: int) -> str:
    alone, helped = await store.inner.search(search), await store.search(search)
    while helped.notes:  # the text index of the embedded engine catches up by itself
        await asyncio.sleep(1)
        alone, helped = await store.inner.search(search), await store.search(search)
    assert [each.key for each in alone.versions] == [each.key for each in helped.versions], url
    total = await store.inner.count(search)
    times = [await _median(each, search, runs) for each in (store.inner, store)]
    return f"| `{url}` | {total:,} | {times[0]:.1f} ms | {times[1]:.1f} ms |"


async def _median(store: Store, search: Search, runs: int) -> float:
    return 1_000 * median([await _seconds(partial(store.search, search)) for _ in range(runs)])


async def _seconds(work: Callable[[], Awaitable[object]]) -> float:
    began = time.perf_counter()
    await work()
    return time.perf_counter() - began


if __name__ == "__main__":
    asyncio.run(main())
