"""The door of the commands: consumers, dead letters, jobs, the schedule."""

from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import httpx
import pytest

from fhir_server.context import Caller
from fhir_server.feed.records import Cursor, LaneState, Letter, Outage, Position, declare, put_cursor
from fhir_server.feed.schedule import RUNS
from fhir_server.jobs.job import JOBS, Job, read_job
from fhir_server.model.exchange import FhirRequest
from fhir_server.model.keys import ResourceKey
from fhir_server.serving.control import control_app
from fhir_server.serving.maintenance import Maintenance
from fhir_server.settings import Settings
from fhir_server.storage.base import RecordChange, Store
from tests.unit.storage.writing import write

LETTER = Letter("c", ResourceKey("Patient", "1"), 1, 1, 1, "created", "dead", 5, 1_000, reason="ValueError: no")


@pytest.fixture
async def place(tmp_path: Path) -> AsyncIterator[tuple[httpx.AsyncClient, Store]]:
    settings = Settings(data_dir=tmp_path, durable=False, reserve_bytes=0)
    async with Maintenance.opened(settings) as maintenance, maintenance.lend("default") as store:
        await declare(store)
        await write(store, "Patient", "1")
        await write(store, "Patient", "2")
        first = (await store.changes(0))[0].txid
        outage = Outage(1_000, 3, 9_000, "ConnectError: nobody there")
        going, stuck = Cursor((LaneState(Position(first)),), 5), Cursor((LaneState(Position(first), outage),), 5)
        await store.commit((), (put_cursor("c", going, 0), put_cursor("stuck", stuck, 0), LETTER.put()))
        transport = httpx.ASGITransport(app=control_app(maintenance))
        async with httpx.AsyncClient(transport=transport, base_url="http://local") as client:
            yield client, store


async def test_the_status_tells_how_far_each_consumer_is_and_why_it_stands(place):
    client, _store = place
    found = {each["name"]: each for each in (await client.get("/feed")).json()}
    assert found["c"]["state"] == "behind"
    assert (found["c"]["behind"], found["c"]["dead"], found["c"]["waiting"]) == (1, 1, 0)
    assert found["c"]["oldest"] > 0
    assert found["stuck"]["state"] == "failing"
    assert found["stuck"]["failing"]["reason"] == "ConnectError: nobody there"


async def test_dead_letters_are_listed_in_pages(place):
    client, store = place
    more = [replace(LETTER, pid=number) for number in range(2, 30)]
    await store.commit((), [each.put() for each in more])
    first = (await client.get("/feed/dead", params={"limit": 20})).json()
    assert len(first) == 20
    assert first[0]["resource"] == "Patient/1"
    rest = (await client.get("/feed/dead", params={"limit": 20, "after": first[-1]["id"]})).json()
    assert len(rest) == 9
    assert (await client.get("/feed/dead", params={"consumer": "other"})).json() == []


@pytest.mark.parametrize("what", ["pause", "replay", "skip", "restart"])
async def test_an_order_becomes_a_record_for_the_process_that_leads(place, what):
    client, store = place
    answer = await client.post("/feed/orders", json={"consumer": "c", "what": what})
    assert answer.json() == {"ordered": what}
    record = await store.records.get("feed.orders", f"c~{what}")
    assert record is not None and record.value["what"] == what


async def test_resume_takes_the_pause_back(place):
    client, store = place
    await client.post("/feed/orders", json={"consumer": "c", "what": "pause"})
    assert {each["name"]: each["state"] for each in (await client.get("/feed")).json()}["c"] == "paused"
    await client.post("/feed/orders", json={"consumer": "c", "what": "resume"})
    assert await store.records.find("feed.orders") == []


async def test_dead_letters_are_thrown_away(place):
    client, _store = place
    assert (await client.post("/feed/orders", json={"consumer": "c", "what": "drop"})).json() == {"dropped": 1}
    assert (await client.get("/feed/dead")).json() == []


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        ({"consumer": "nobody", "what": "pause"}, "there is no consumer 'nobody' here; there are: c, stuck"),
        ({"consumer": "c", "what": "dance"}, "nothing is called 'dance'"),
        ({"consumer": "c", "what": "replay", "ids": ["c~7"]}, "there is no 'c~7'"),
    ],
)
async def test_what_cannot_be_done_is_said(place, asked, said):
    client, _store = place
    answer = await client.post("/feed/orders", json=asked)
    assert (answer.status_code, answer.json()["error"]) == (404, said)


async def test_a_tenant_that_is_not_there_is_said(place):
    client, _store = place
    answer = await client.get("/feed", params={"tenant": "nobody"})
    assert (answer.status_code, answer.json()["error"]) == (404, "there is no 'nobody'")


async def test_jobs_are_listed_and_cancelled(place):
    client, store = place
    await store.declare(JOBS)
    asked = FhirRequest("POST", "operation", "http://test/fhir", operation="reindex")
    queued = Job("q", asked, Caller("Ann"), 1_000, background=True, kind="$reindex")
    done = replace(queued, id="d", state="done", ended=2_000, done=5, of=5)
    await store.commit((), [RecordChange(JOBS.name, each.id, each.as_record()) for each in (queued, done)])
    going = (await client.get("/jobs")).json()
    assert [(each["id"], each["kind"], each["state"], each["by"]) for each in going] == [
        ("q", "$reindex", "queued", "Ann")
    ]
    assert len((await client.get("/jobs", params={"all": "1"})).json()) == 2
    assert (await client.post("/jobs/cancel", json={"id": "q"})).json() == {"cancelled": "q"}
    record = await store.records.get(JOBS.name, "q")
    assert record is not None and read_job(record).state == "cancelled"
    assert (await client.post("/jobs/cancel", json={"id": "d"})).status_code == 404


async def test_the_schedule_tells_last_and_next_runs(place):
    client, store = place
    await store.declare(RUNS)
    run = {"since": 1, "state": "failed", "started": 1_000, "ended": 1_500, "next": 61_000, "error": "ValueError: no"}
    await store.commit((), (RecordChange(RUNS.name, "sums", run),))
    assert (await client.get("/schedule")).json() == {
        "sums": {"state": "failed", "started": 1_000, "ended": 1_500, "next": 61_000, "error": "ValueError: no"}
    }
