"""Requests are counted by interaction, type and status, and timed; slow ones are named without anything of theirs."""

import asyncio
import logging
import math
from functools import partial

import pytest

from fhir_server.api.traffic import Traffic
from fhir_server.errors import NotFound, Unauthorized
from fhir_server.model.exchange import FhirRequest, FhirResponse
from fhir_server.telemetry import numbers, sharing

READ = FhirRequest("GET", "read", "http://x", type="Patient", id="a")
SEARCH = FhirRequest(
    "GET", "search-type", "http://x", type="Patient",
    query=(("name:exact", "Smith"), ("general-practitioner:Practitioner.family", "Jones"), ("Smith", "1")),
)  # fmt: skip


@pytest.fixture(autouse=True)
def _anew() -> None:
    sharing.reset()


async def test_what_was_answered_refused_and_broken_off_is_counted() -> None:
    async def dispatch(request: FhirRequest) -> FhirResponse:
        if request.id == "nobody":
            raise NotFound("no")
        if request.id == "stranger":
            raise Unauthorized("who?")
        if request.id == "slow":
            await asyncio.sleep(60)
        return FhirResponse(200)

    counted = Traffic(operations=["match"]).counted(dispatch)
    await counted(READ)
    await counted(READ)
    with pytest.raises(NotFound):
        await counted(READ.but(id="nobody"))
    with pytest.raises(Unauthorized):
        await counted(READ.but(id="stranger"))
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.05):
            await counted(READ.but(id="slow"))
    await counted(FhirRequest("POST", "operation", "http://x", type="Patient", operation="match"))
    assert numbers.REQUESTS.values == {
        ("read", "Patient", "200"): 2,
        ("read", "Patient", "404"): 1,
        ("read", "Patient", "401"): 1,
        ("read", "Patient", "499"): 1,
        ("$match", "Patient", "200"): 1,
    }
    assert numbers.REFUSALS.values == {("401",): 1}
    times = numbers.REQUEST_SECONDS.values["read",]
    assert (sum(times[:5]), sum(times[:-1])) == (4, 5)
    assert times[-1] > 0.05


def test_operations_that_are_not_there_have_one_name() -> None:
    traffic = Traffic(operations=["match"])
    for number in range(3):
        traffic.add(FhirRequest("GET", "operation", "http://x", operation=f"x{number}"), 404, 0.1)
    assert numbers.REQUESTS.values == {("$unknown", "", "404"): 3}


def test_a_slow_request_is_named_without_anything_that_its_client_chose(caplog: pytest.LogCaptureFixture) -> None:
    known = partial(list, ["name", "general-practitioner", "Practitioner"])
    traffic = Traffic(0.5, parameters=known)
    traffic.add(SEARCH, 200, 0.1)
    assert not caplog.messages
    traffic.add(SEARCH, 200, 0.75)
    said = "search-type Patient ?&general-practitioner:Practitioner.?&name:exact"
    assert caplog.messages == [f"slow: {said.replace('?&', '??&', 1)} took 0.750 s, status 200"]
    assert numbers.SLOW_SEARCHES.values == {("Patient",): 1}


def test_a_line_for_each_request_where_that_is_wanted(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    Traffic(access=True).add(READ, 200, 0.0015)
    assert caplog.messages == ["read Patient 200 1.5 ms"]
    assert math.isclose(sum(numbers.REQUEST_SECONDS.values["read",][:-1]), 1)
