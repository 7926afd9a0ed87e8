"""A record of thousands of resources is merged and split in one transaction each, and no write beside it is lost."""

import asyncio
import time

import httpx

from tests.plugins.fhir_match.conftest import stored
from tests.plugins.fhir_match.test_merge import asked, call, observation, read, two

_BATCH = 500


async def fill(http: httpx.AsyncClient, source: str, count: int) -> None:
    one = {"resource": observation(f"Patient/{source}"), "request": {"method": "POST", "url": "Observation"}}
    for _ in range(count // _BATCH):
        bundle = {"resourceType": "Bundle", "type": "transaction", "entry": [one] * _BATCH}
        assert (await http.post("", json=bundle, timeout=60)).status_code == 200


async def count_of(http: httpx.AsyncClient, id_: str) -> int:
    return int((await read(http, f"Observation?subject=Patient/{id_}&_summary=count"))["total"])


async def test_a_large_record_is_moved_and_moved_back(http: httpx.AsyncClient, count: int = 2_000) -> None:
    source, target = await two(http)
    await fill(http, source, count)
    began = time.perf_counter()
    await call(http, "merge", asked(source, target))
    merged = time.perf_counter()
    assert (await count_of(http, source), await count_of(http, target)) == (0, count)
    between = time.perf_counter()
    answer = await call(http, "unmerge", asked(source, target))
    print(f"{count} resources: merged in {merged - began:.2f} s, undone in {time.perf_counter() - between:.2f} s")
    assert (await count_of(http, source), await count_of(http, target)) == (count, 0)
    assert "left" not in answer


async def test_others_are_served_while_a_large_record_is_merged(http: httpx.AsyncClient) -> None:
    source, target = await two(http)
    await fill(http, source, 1_000)
    merging = asyncio.create_task(call(http, "merge", asked(source, target)))
    longest, done = 0.0, 0
    while not merging.done():
        began = time.perf_counter()
        await read(http, f"Patient/{target}")
        longest, done = max(longest, time.perf_counter() - began), done + 1
        await asyncio.sleep(0.005)
    await merging
    assert done > 3
    assert longest < 1


async def test_what_is_written_to_the_source_meanwhile_is_moved_or_the_merge_refused(http: httpx.AsyncClient) -> None:
    source, target = await two(http)
    await fill(http, source, 500)
    merging = asyncio.create_task(http.post("/Patient/$merge", json=asked(source, target)))
    late = []
    while not merging.done():
        late.append(await stored(http, observation(f"Patient/{source}")))
        await asyncio.sleep(0.05)
    answer = await merging
    before = await count_of(http, source)
    if answer.status_code == 200:
        # only what was written after the commit can still refer to the source
        kept = [
            id_ for id_ in late if (await read(http, f"Observation/{id_}"))["subject"]["reference"].endswith(source)
        ]
        assert before == len(kept) <= 1
    else:
        assert (answer.status_code, before) == (503, 500 + len(late))
