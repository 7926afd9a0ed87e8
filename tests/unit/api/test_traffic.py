"""Requests are counted by interaction, type and status, over all workers, and timed."""

import asyncio
import json
from pathlib import Path

import pytest

from fhir_server.api.traffic import Traffic
from fhir_server.errors import NotFound
from fhir_server.model.exchange import FhirRequest, FhirResponse

READ = FhirRequest("GET", "read", "http://x", type="Patient", id="a")


def samples(traffic: Traffic) -> dict[str, float]:
    return {
        f"{sample.name}{json.dumps(sample.labels)}": sample.value
        for family in traffic.collect()
        for sample in family.samples
    }


async def test_what_was_answered_refused_and_broken_off_is_counted() -> None:
    traffic = Traffic(None)

    async def dispatch(request: FhirRequest) -> FhirResponse:
        if request.id == "nobody":
            raise NotFound("no")
        if request.id == "slow":
            await asyncio.sleep(60)
        return FhirResponse(200)

    counted = traffic.counted(dispatch)
    await counted(READ)
    await counted(READ)
    with pytest.raises(NotFound):
        await counted(READ.but(id="nobody"))
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.05):
            await counted(READ.but(id="slow"))
    await counted(FhirRequest("POST", "operation", "http://x", type="Patient", operation="match"))
    found = samples(traffic)
    assert found['fhir_server_requests_total{"interaction": "read", "type": "Patient", "status": "200"}'] == 2
    assert found['fhir_server_requests_total{"interaction": "read", "type": "Patient", "status": "404"}'] == 1
    assert found['fhir_server_requests_total{"interaction": "read", "type": "Patient", "status": "499"}'] == 1
    assert found['fhir_server_requests_total{"interaction": "$match", "type": "Patient", "status": "200"}'] == 1
    assert found['fhir_server_request_seconds_bucket{"interaction": "read", "le": "0.025"}'] == 3
    assert found['fhir_server_request_seconds_bucket{"interaction": "read", "le": "+Inf"}'] == 4
    assert found['fhir_server_request_seconds_sum{"interaction": "read"}'] > 0.05


async def test_the_counts_of_all_workers_are_added_up(tmp_path: Path) -> None:
    traffic = Traffic(tmp_path / "traffic")
    traffic.add(READ, 200, 0.004)
    traffic.save()
    (mine,) = (tmp_path / "traffic").glob("*.json")
    mine.rename(mine.with_name("1.json"))
    traffic.add(READ, 200, 0.2)
    found = samples(traffic)
    assert found['fhir_server_requests_total{"interaction": "read", "type": "Patient", "status": "200"}'] == 3
    assert found['fhir_server_request_seconds_count{"interaction": "read"}'] == 3
    await asyncio.sleep(1.2)
    assert len(list((tmp_path / "traffic").glob("*.json"))) == 2
