"""Work on the clock: at its times, once, also after restarts and faults."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

import pytest

from fhir_server.errors import NotFound
from fhir_server.feed import Scheduled
from fhir_server.feed.schedule import RUNS, Scheduler, runs
from fhir_server.storage.base import RecordChange
from fhir_server.storage.memory.provider import MemoryProvider
from fhir_server.testing.clock import FakeClock
from tests.unit.feed.yard import QUICK, Yard
from tests.unit.storage.writing import write


class Clock(FakeClock):
    """Time that waits for nobody: who sleeps until a time is there at once."""


@pytest.fixture
def clock(monkeypatch) -> Clock:
    clock = Clock()
    slept = asyncio.sleep

    async def sleep(seconds: float) -> None:
        clock.go_on(seconds)
        await slept(0)

    monkeypatch.setattr("fhir_server.feed.schedule.asyncio.sleep", sleep)
    return clock


@pytest.fixture
def yard(clock) -> Yard:
    return Yard(MemoryProvider(QUICK, clock, ("default", "clinic")))


@asynccontextmanager
async def scheduled(yard: Yard, clock: Clock, *works: Scheduled) -> AsyncIterator[Scheduler]:
    scheduler = Scheduler(yard.stores, yard, QUICK, clock, works)
    task = asyncio.create_task(scheduler.run())
    try:
        yield scheduler
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task


class Work:
    """Notes when it ran and for whom; stops the clock's rush after some runs."""

    def __init__(self, clock: Clock, most: int = 3) -> None:
        self.clock, self.most = clock, most
        self.times: list[int] = []
        self.tenants: list[str] = []
        self.enough = asyncio.Event()
        self.fails = False

    async def __call__(self, context: str) -> None:
        self.times.append(self.clock.now)
        self.tenants.append(context)
        if self.fails:
            raise ValueError("no")
        if len(self.times) >= self.most:
            self.enough.set()
            await asyncio.Event().wait()


async def test_it_runs_every_so_often_from_when_it_was_first_seen(yard, clock):
    began, work = clock.now, Work(clock)
    async with scheduled(yard, clock, Scheduled("w", work, every=60)):
        await asyncio.wait_for(work.enough.wait(), 5)
    assert [(time - began) // 1000 for time in work.times] == [60, 120, 180]
    assert set(work.tenants) == {"default"}


async def test_what_was_missed_is_made_up_for_once(yard, clock):
    first = Work(clock, 1)
    async with scheduled(yard, clock, Scheduled("w", first, every=60)):
        await asyncio.wait_for(first.enough.wait(), 5)
    home = await yard.stores.open("default")
    done = (await runs(home))["w"]
    ended = {"since": done.since, "state": "done", "started": done.started, "ended": done.started}
    await home.commit((), (RecordChange(RUNS.name, "w", ended),))
    clock.go_on(1_000)  # a server that was down for sixteen runs
    began, work = clock.now, Work(clock, 2)
    async with scheduled(yard, clock, Scheduled("w", work, every=60)):
        await asyncio.wait_for(work.enough.wait(), 5)
    assert [(time - began) // 1000 for time in work.times] == [0, 60]


async def test_a_run_that_was_cut_off_is_begun_again_three_times_at_most(yard, clock):
    counts = []
    for _ in range(5):
        began, work = clock.now, Work(clock, 1)
        async with scheduled(yard, clock, Scheduled("w", work, every=3600)):
            await asyncio.wait_for(work.enough.wait(), 5)
        counts.append((work.times[0] - began) // 1000)
    assert counts == [3600, 0, 0, 3600, 3600]


async def test_a_failure_is_noted_and_the_next_run_comes(yard, clock):
    work = Work(clock, 100)
    work.fails = True
    async with scheduled(yard, clock, Scheduled("w", work, every=60)):
        async with asyncio.timeout(5):
            while len(work.times) < 3:
                await _turn()
    told = (await runs(await yard.stores.open("default")))["w"]
    assert (told.state, told.error) in (("failed", "ValueError: no"), ("running", ""))


async def _turn() -> None:
    loop = asyncio.get_running_loop()
    future = loop.create_future()
    loop.call_later(0.001, future.set_result, None)
    await future


async def test_each_tenant_has_its_run_and_only_those_that_were_written_if_so_wanted(yard, clock):
    each, written = Work(clock, 100), Work(clock, 100)
    clinic = await yard.stores.open("clinic")
    works = (
        Scheduled("each", each, every=60, each_tenant=True),
        Scheduled("written", written, every=60, each_tenant=True, written_only=True),
    )
    async with scheduled(yard, clock, *works):
        async with asyncio.timeout(5):
            while each.tenants.count("clinic") < 3:
                await _turn()
        assert each.tenants.count("default") >= 3
        assert written.tenants.count("clinic") == 1
        await write(clinic, "Patient", "1")
        async with asyncio.timeout(5):
            while written.tenants.count("clinic") < 2:
                await _turn()


async def test_one_that_hangs_is_ended(yard, monkeypatch):
    clock = FakeClock()
    hangs = 0

    async def hang(context: str) -> None:
        nonlocal hangs
        hangs += 1
        await asyncio.Event().wait()

    home = await yard.stores.open("default")
    await home.declare(RUNS)
    past = {"since": clock.now - 120_000, "state": "done", "started": clock.now - 120_000}
    await home.commit((), (RecordChange(RUNS.name, "w", past),))
    async with scheduled(yard, clock, Scheduled("w", hang, every=60, timeout=0.05)):
        async with asyncio.timeout(5):
            while (await runs(home))["w"].state != "failed":
                await _turn()
    assert "longer than 0.05 s" in (await runs(home))["w"].error
    assert hangs == 1


def test_two_works_of_one_name_are_refused(yard, clock):
    works = (Scheduled("w", Work(clock), every=60), Scheduled("w", Work(clock), every=60))
    with pytest.raises(ValueError, match="two scheduled works are called w"):
        Scheduler(yard.stores, yard, QUICK, clock, works)


async def test_what_a_handler_refuses_in_a_tenant_is_a_failure_and_logged_once(yard, clock, caplog):
    calls = 0

    async def refuse(context: str) -> None:
        nonlocal calls
        if context == "clinic":
            calls += 1
            raise NotFound("it is not there")

    async with scheduled(yard, clock, Scheduled("w", refuse, every=60, each_tenant=True)):
        async with asyncio.timeout(5):
            while calls < 4:
                await _turn()
    assert sum("scheduled w failed" in each.getMessage() for each in caplog.records) == 1
    assert "not there" not in caplog.text  # messages may quote values of patients
    told = (await runs(await yard.stores.open("default")))["w"]
    assert (told.state, told.error) in (("failed", "clinic: NotFound: it is not there"), ("running", ""))


async def test_what_is_written_during_a_run_is_for_the_next_one(yard, clock):
    clinic = await yard.stores.open("clinic")
    runs_there = 0

    async def look(context: str) -> None:
        nonlocal runs_there
        if context == "clinic":
            runs_there += 1
            if runs_there == 1:
                await write(clinic, "Patient", "late")

    work = Scheduled("w", look, every=60, each_tenant=True, written_only=True)
    async with scheduled(yard, clock, work):
        async with asyncio.timeout(5):
            while runs_there < 2:
                await _turn()
        for _ in range(20):
            await _turn()
    assert runs_there == 2
