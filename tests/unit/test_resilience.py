"""Breakers, repeats with jitter, deadlines of requests."""

import asyncio
from itertools import islice

import pytest

from fhir_server.resilience import (
    Breaker,
    BreakerOpen,
    Complaint,
    Policy,
    ended,
    has_written,
    note_write,
    pauses,
    retry_after,
    time_left,
    within,
)


class Server:
    """Answers a probe if it is there."""

    def __init__(self) -> None:
        self.there, self.asked = True, 0

    async def probe(self) -> None:
        self.asked += 1
        if not self.there:
            raise ConnectionError


def breaker_of(server: Server, failures: int = 3) -> Breaker:
    return Breaker("x", server.probe, Policy(failures=failures, pause=0.01, longest=0.02), limit=0.05)


async def test_it_opens_when_a_call_fails_and_the_server_does_not_answer_a_probe_either() -> None:
    server = Server()
    server.there = False
    breaker, told = breaker_of(server), list[bool]()
    breaker.when_turned(told.append)
    breaker.admit()
    breaker.failed("reset")
    await asyncio.sleep(0.005)
    with pytest.raises(BreakerOpen) as refused:
        breaker.admit()
    assert 0 <= refused.value.after <= 0.02
    assert (told, breaker.counts["opened"], breaker.counts["refused"]) == ([True], 1, 1)
    server.there = True
    async with asyncio.timeout(2):
        while breaker.state != "closed":
            await asyncio.sleep(0.005)
    breaker.admit()
    assert told == [True, False]
    await breaker.close()


async def test_one_call_that_fails_opens_nothing_while_the_server_answers() -> None:
    server = Server()
    breaker = breaker_of(server)
    for _ in range(2):
        breaker.failed("reset")
        await asyncio.sleep(0.005)
    breaker.succeeded()
    breaker.failed("reset")
    await asyncio.sleep(0.005)
    assert breaker.state == "closed" and server.asked == 3
    await breaker.close()


async def test_calls_that_fail_in_a_row_open_it_though_the_server_answers_probes() -> None:
    breaker = breaker_of(Server())
    for _ in range(3):
        breaker.failed("reset")
    assert breaker.state == "open"
    await breaker.close()


async def test_a_probe_that_is_not_answered_counts_as_failed() -> None:
    async def silent() -> None:
        await asyncio.sleep(60)

    breaker = Breaker("x", silent, Policy(), limit=0.01)
    breaker.suspect("slow")
    await asyncio.sleep(0.05)
    assert breaker.state == "open"
    await breaker.close()


def test_pauses_are_of_a_span_that_doubles() -> None:
    spans = (0.1, 0.2, 0.4, 0.4)
    for _ in range(50):
        full = list(islice(pauses(0.1, 0.4), 4))
        even = list(islice(pauses(0.1, 0.4, even=True), 4))
        assert all(0 <= pause <= span for pause, span in zip(full, spans, strict=True))
        assert all(span / 2 <= pause <= span for pause, span in zip(even, spans, strict=True))


def test_retry_after_is_whole_seconds_spread_and_never_zero() -> None:
    found = {retry_after(1.0) for _ in range(200)}
    assert found == {2, 3} and {retry_after(10_000.0)} == {60}


async def test_a_deadline_holds_for_what_the_request_does_and_for_nothing_that_outlives_it() -> None:
    gone = asyncio.Event()

    async def later() -> float:
        await gone.wait()
        return time_left(100)

    assert time_left(100) == 100
    with within(5):
        assert 4 < time_left(100) <= 5 and time_left(1) == 1
        outlives = asyncio.create_task(later())
        assert not has_written()
        note_write()
        assert has_written()
    gone.set()
    assert await outlives == 100
    assert not has_written()


async def test_a_task_that_loses_a_cancellation_is_ended_all_the_same() -> None:
    async def stubborn() -> None:
        for _ in range(2):
            try:
                await asyncio.sleep(60)
            except asyncio.CancelledError:
                continue
        await asyncio.sleep(60)

    task = asyncio.create_task(stubborn())
    await asyncio.sleep(0)
    async with asyncio.timeout(5):
        await ended(task, None)
    assert task.cancelled()


def test_a_complaint_is_made_once_for_each_outage() -> None:
    complaint = Complaint()
    assert [complaint.is_new(), complaint.is_new()] == [True, False]
    complaint.well()
    assert complaint.is_new()
