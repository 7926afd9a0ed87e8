"""Tenants that nobody asks for are closed; what is under way is never cut."""

import asyncio
import os
from pathlib import Path

from tests.conformance.tenants.conftest import House, house

PATIENT = {"resourceType": "Patient", "id": "1", "name": [{"family": "Able"}]}


def open_tenants(one: House) -> set[str]:
    found = set()
    for link in os.listdir("/proc/self/fd"):
        try:
            target = os.readlink(f"/proc/self/fd/{link}")
        except OSError:
            continue
        root = f"{one.app.settings.data_dir}/tenants/"
        if target.startswith(root):
            found.add(target.removeprefix(root).partition("/")[0])
    return found - {"default"}


async def test_no_more_tenants_are_open_than_may_be(tmp_path: Path) -> None:
    async with house(tmp_path, auth="none", tenants_open=2) as one:
        for number in range(5):
            await one.made(f"t{number}")
        assert open_tenants(one) == set()
        for _ in range(2):
            for number in range(5):
                path = f"/t/t{number}/fhir/Patient/1"
                assert (await one.http.put(path, json=PATIENT)).status_code in (200, 201)
                assert (await one.http.get(path)).status_code == 200
        assert open_tenants(one) == {"t3", "t4"}


async def test_an_idle_tenant_is_closed_and_opens_again(tmp_path: Path) -> None:
    async with house(tmp_path, auth="none", tenant_idle=1) as one:
        await one.made("a")
        await one.http.put("/t/a/fhir/Patient/1", json=PATIENT)
        assert open_tenants(one) == {"a"}
        await asyncio.sleep(2.5)
        assert open_tenants(one) == set()
        assert (await one.http.get("/t/a/fhir/Patient/1")).status_code == 200


async def test_many_requests_to_more_tenants_than_may_be_open_are_all_answered(tmp_path: Path) -> None:
    async with house(tmp_path, auth="none", tenants_open=2) as one:
        for number in range(6):
            await one.made(f"t{number}")

        async def work(number: int) -> int:
            path = f"/t/t{number % 6}/fhir/Patient"
            made = await one.http.post(path, json=PATIENT)
            found = await one.http.get(f"{path}?_summary=count")
            return made.status_code * 1000 + found.status_code

        answers = await asyncio.gather(*(work(number) for number in range(60)))
        assert set(answers) == {201_200}
        totals = [(await one.http.get(f"/t/t{n}/fhir/Patient?_summary=count")).json()["total"] for n in range(6)]
        assert totals == [10] * 6


async def test_a_tenant_with_a_job_stays_open(tmp_path: Path) -> None:
    async with house(tmp_path, auth="none", tenants_open=1) as one:
        await one.made("a")
        await one.made("b")
        for _ in range(5):
            await one.http.post("/t/a/fhir/Patient", json=PATIENT)
        answer = await one.http.get("/t/a/fhir/Patient", headers={"prefer": "respond-async"})
        job = answer.headers["content-location"]
        assert (await one.http.get("/t/b/fhir/Patient")).status_code == 200
        for _ in range(50):
            answer = await one.http.get(job)
            if answer.status_code != 202:
                break
            await asyncio.sleep(0.05)
        assert answer.status_code == 200, answer.text
