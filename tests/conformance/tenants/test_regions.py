"""Residency: a tenant that is bound to a region is served there alone."""

import asyncio
from pathlib import Path

import pytest

from fhir_server.interactions.tenant import Elsewhere
from tests.conformance.tenants.conftest import House, house

PATIENT = {"resourceType": "Patient", "name": [{"family": "Able"}]}
ADMIN = "/auth/admin/tenants"
EU = {"region": "eu", "region_urls": ("us=https://us.example/fhir",)}


async def moved(one: House, region: str) -> None:
    """Bind the tenant `a` to a region, and wait until every worker knows."""
    assert (await one.operator.patch(f"{ADMIN}/a", json={"region": region})).status_code == 200
    await asyncio.sleep(1)


async def test_a_tenant_that_moved_answers_421_with_its_place_and_others_go_on(tmp_path: Path) -> None:
    async with house(tmp_path, auth="none", **EU) as one:
        await one.made("a", region="eu")
        await one.made("b")
        assert (await one.http.post("/t/a/fhir/Patient", json=PATIENT)).status_code == 201
        await moved(one, "us")
        for path in ("fhir/Patient", "fhir/metadata", "fhir"):
            answer = await one.http.get(f"/t/a/{path}")
            assert answer.status_code == 421, path
            assert answer.json()["issue"][0]["code"] == "business-rule"
            assert "in the region us at https://us.example/t/a/fhir" in answer.json()["issue"][0]["diagnostics"]
            assert answer.headers["link"] == '<https://us.example/t/a/fhir>; rel="alternate"'
        assert (await one.http.post("/t/a/fhir/Patient", json=PATIENT)).status_code == 421
        assert one.app.running is not None
        assert one.app.running.tenants.tenants.house.get("a") is None, "its store is closed"
        with pytest.raises(Elsewhere):
            await one.app.running.tenants.here("a")
        assert "Able" in (await one.operator.get(f"{ADMIN}/a/export")).text, "the operator brings it to where it moved"
        assert (await one.http.get("/t/b/fhir/Patient")).status_code == 200
        await moved(one, "eu")
        assert (await one.http.get("/t/a/fhir/Patient?_summary=count")).json()["total"] == 1


async def test_a_store_in_the_wrong_region_serves_nobody(tmp_path: Path) -> None:
    async with house(tmp_path, auth="none", **EU) as one:
        await one.made("a", region="eu")
    for region in ("us", ""):
        async with house(tmp_path, auth="none", region=region) as other:
            answer = await other.http.get("/t/a/fhir/Patient")
            assert answer.status_code == 421
            assert answer.json()["issue"][0]["diagnostics"].endswith("in the region eu, and nowhere else")
            assert "link" not in answer.headers


async def test_a_region_that_is_not_known_or_not_here_is_refused(tmp_path: Path) -> None:
    async with house(tmp_path, auth="none", **EU) as one:
        refused = await one.operator.post(ADMIN, json={"name": "a", "region": "mars"})
        assert refused.status_code == 400
        assert "it knows eu, us" in refused.text
        elsewhere = await one.operator.post(ADMIN, json={"name": "a", "region": "us"})
        assert elsewhere.status_code == 409
        assert sorted(folder.name for folder in (tmp_path / "tenants").iterdir()) == ["default"]
