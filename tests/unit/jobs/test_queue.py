"""Background jobs: one after the other, gone on with when their process dies, their results kept for a while."""

import asyncio
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest

from fhir_server.app import create_app
from fhir_server.jobs.job import JOBS, read_job
from fhir_server.settings import Settings
from fhir_server.storage.memory.provider import MemoryProvider
from fhir_server.testing.clock import FakeClock

INSTALLED = Path(__file__).parent / "installed"


class World:
    """Servers that share one store in memory, as those before and after a crash do."""

    def __init__(self, folder: Path, **settings: Any) -> None:
        chosen = {"auth": "none", "demo": False, "durable": False, "plugins_dir": INSTALLED, **settings}
        self.settings = Settings(data_dir=folder, **chosen)
        self.clock = FakeClock()
        self.stores = MemoryProvider(self.settings, self.clock)

    @asynccontextmanager
    async def server(self, *, background: bool = True) -> AsyncIterator[httpx.AsyncClient]:
        app = create_app(self.settings, engine=lambda *_: self.stores, clock=self.clock)
        app.background = background
        async with app.router.lifespan_context(app):
            transport = httpx.ASGITransport(app=app)
            async with httpx.AsyncClient(transport=transport, base_url="http://test") as client:
                yield client

    async def job(self, id_: str) -> Any:
        record = await (await self.stores.open("default")).records.get(JOBS.name, id_)
        return None if record is None else read_job(record)


@pytest.fixture
def world(tmp_path) -> World:
    return World(tmp_path)


@pytest.fixture
def steps(world) -> Any:
    """The module of the plugin, its gate shut."""
    create_app(world.settings)
    module = sys.modules["steps.plugin"]
    module.GATE = asyncio.Event()
    module.BEGUN.clear()
    return module


async def submit(client: httpx.AsyncClient, operation: str, **parameters: str) -> str:
    body = {
        "resourceType": "Parameters",
        "parameter": [{"name": name, "valueString": value} for name, value in parameters.items()],
    }
    answer = await client.post(f"/fhir/${operation}", json=body, headers={"prefer": "respond-async"})
    assert answer.status_code == 202, answer.text
    return answer.headers["content-location"].rpartition("/")[2]


async def polled(client: httpx.AsyncClient, job: str, state: str) -> httpx.Response:
    """Poll until X-Progress says so."""
    async with asyncio.timeout(10):
        while True:
            answer = await client.get(f"/fhir/$job/{job}")
            if answer.status_code != 202 or state in answer.headers["x-progress"]:
                return answer
            await asyncio.sleep(0.01)


async def ended(client: httpx.AsyncClient, job: str) -> httpx.Response:
    return await polled(client, job, "never")


async def test_a_job_goes_on_from_its_checkpoint_with_its_files(world, steps):
    async with world.server() as client:
        job = await submit(client, "steps")
        assert (await polled(client, job, "2/4")).status_code == 202
        async with asyncio.timeout(5):
            while (await world.job(job)).checkpoint != {"step": 2}:
                await asyncio.sleep(0.01)
    left = await world.job(job)
    assert (left.state, left.owner, [file.name for file in left.files]) == ("queued", "", ["0.txt", "1.txt"])
    steps.GATE.set()
    async with world.server() as client:
        answer = await ended(client, job)
        assert answer.json()["parameter"] == [{"name": "count", "valueInteger": 4}]
        done = await world.job(job)
        assert [file.name for file in done.files] == ["0.txt", "1.txt", "2.txt", "3.txt"]
        assert steps.BEGUN == ["0", "2"]
        store = await world.stores.open("default")
        assert await store.blobs.stat(done.files[3].blob) is not None
        assert (await client.delete(f"/fhir/$job/{job}")).status_code == 202
        assert await store.blobs.stat(done.files[3].blob) is None


async def test_a_job_whose_process_was_killed_is_taken_over(world, steps):
    steps.GATE.set()
    async with world.server(background=False) as client:
        job = await submit(client, "steps")
        found = await world.job(job)
    store = await world.stores.open("default")
    record = await store.records.get(JOBS.name, job)
    dead = {**found.as_record(), "state": "running", "owner": "gone", "beat": 1, "checkpoint": {"step": 3}, "tries": 1}
    from fhir_server.storage.base import RecordChange

    await store.commit((), (RecordChange(JOBS.name, job, dead, expected=record.revision),))
    async with world.server() as client:
        assert (await ended(client, job)).json()["parameter"] == [{"name": "count", "valueInteger": 1}]
    assert (await world.job(job)).tries == 2


async def test_a_job_that_kills_its_process_is_given_up(world, steps):
    async with world.server(background=False) as client:
        job = await submit(client, "steps")
        assert "queued" in (await client.get(f"/fhir/$job/{job}")).headers["x-progress"]
    found = await world.job(job)
    store = await world.stores.open("default")
    from fhir_server.storage.base import RecordChange

    dead = {**found.as_record(), "state": "running", "owner": "gone", "tries": world.settings.job_tries}
    await store.commit((), (RecordChange(JOBS.name, job, dead),))
    async with world.server() as client:
        answer = await ended(client, job)
        assert answer.status_code == 500
        assert "ended 5 times" in answer.text
    assert steps.BEGUN == []


async def test_no_more_run_at_once_than_may(world, steps):
    async with world.server() as client:
        jobs = [await submit(client, "lonely") for _ in range(3)]
        other = await submit(client, "flood")
        assert (await ended(client, other)).status_code == 200
        states = [(await world.job(job)).state for job in jobs]
        assert sorted(states) == ["queued", "queued", "running"]
        steps.GATE.set()
        for job in jobs:
            assert (await ended(client, job)).status_code == 200
    assert steps.BEGUN == ["lonely"] * 3


async def test_a_queued_job_is_cancelled_before_it_begins(world, steps):
    async with world.server() as client:
        jobs = [await submit(client, "lonely") for _ in range(2)]
        await polled(client, jobs[0], "running")
        assert (await client.delete(f"/fhir/$job/{jobs[1]}")).status_code == 202
        assert (await client.get(f"/fhir/$job/{jobs[1]}")).status_code == 404
        steps.GATE.set()
        await ended(client, jobs[0])
    assert steps.BEGUN == ["lonely"]


async def test_a_refusal_ends_the_job_as_failed_with_its_outcome(world, steps):
    async with world.server() as client:
        job = await submit(client, "steps", stop="refuse")
        answer = await ended(client, job)
    assert answer.status_code == 404
    assert answer.json()["issue"][0]["diagnostics"] == "there is nothing to step on"
    assert (await world.job(job)).state == "failed"


async def test_a_result_larger_than_memory_should_hold_is_streamed(world, steps):
    async with world.server() as client:
        answer = await ended(client, await submit(client, "flood"))
        assert answer.headers["content-type"].startswith("text/plain")
        assert len(answer.content) == 10_000_000
        assert answer.content.endswith(b"      999\n")


async def test_an_answer_that_breaks_off_is_a_failed_job(world, steps):
    async with world.server() as client:
        job = await submit(client, "flood", stop="yes")
        answer = await ended(client, job)
    assert answer.status_code == 500
    assert "well" not in answer.text
    assert (await world.job(job)).state == "failed"


async def test_results_are_forgotten_after_their_life(world, steps):
    steps.GATE.set()
    async with world.server() as client:
        job = await submit(client, "steps")
        assert (await ended(client, job)).status_code == 200
    world.clock.go_on(world.settings.job_life + 1)
    async with world.server() as client:
        async with asyncio.timeout(5):
            while await world.job(job) is not None:
                await asyncio.sleep(0.01)
        assert (await client.get(f"/fhir/$job/{job}")).status_code == 404


async def test_a_job_whose_grant_is_gone_fails_and_holds_up_no_other(tmp_path, steps):
    world = World(tmp_path, auth="smart")
    store = await world.stores.open("default")
    from fhir_server.context import Caller
    from fhir_server.jobs.job import Job
    from fhir_server.model.exchange import FhirRequest
    from fhir_server.storage.base import RecordChange

    await store.declare(JOBS)
    asked = FhirRequest("POST", "operation", "http://test/fhir", operation="steps", grant="gone")
    lost = Job("a-lost", asked, Caller("x", grant="gone"), 1, background=True, kind="$steps")
    good = Job("b-good", asked.but(grant="*"), Caller(admin=True), 1, background=True, kind="$steps")
    await store.commit((), [RecordChange(JOBS.name, each.id, each.as_record()) for each in (lost, good)])
    steps.GATE.set()
    async with world.server():
        async with asyncio.timeout(10):
            while (await world.job("b-good")).state != "done":
                await asyncio.sleep(0.01)
    found = await world.job("a-lost")
    assert (found.state, found.status) == ("failed", 401)
