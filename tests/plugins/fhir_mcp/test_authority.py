"""The tools see what the user's token may see, and each use is in the audit."""

import asyncio
import json
from base64 import b64encode
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from fhir_server.auth.users import new_user, save_user
from tests.conformance.smart.conftest import BASE, ORIGIN, Ehr, filled, started
from tests.plugins.fhir_mcp.conftest import sent


@pytest.fixture
async def ehr(tmp_path: Path) -> AsyncIterator[Ehr]:
    async with started(tmp_path, plugins={"fhir_mcp": {"allow_writes": True}}) as ehr:
        await filled(ehr)
        yield ehr


async def called(ehr: Ehr, token: str, tool: str, **arguments: Any) -> dict[str, Any]:
    headers = {"authorization": f"Bearer {token}"}
    answer = await sent(ehr.http, "tools/call", {"name": tool, "arguments": arguments}, headers=headers)
    found: dict[str, Any] = answer.json()["result"]
    return found


async def test_without_a_token_the_answer_names_the_metadata(ehr: Ehr) -> None:
    for headers in ({}, {"authorization": "Bearer nonsense"}, {"authorization": "Basic eDp5"}):
        answer = await sent(ehr.http, "tools/list", headers=headers)
        assert answer.status_code == 401
        url = f"{ORIGIN}/.well-known/oauth-protected-resource/mcp"
        challenge = answer.headers["www-authenticate"]
        assert challenge.startswith("Bearer ")
        assert challenge.endswith(f' resource_metadata="{url}"')
        assert challenge.count("Bearer") == 1
    found = (await ehr.http.get("/.well-known/oauth-protected-resource/mcp")).json()
    assert (found["resource"], found["authorization_servers"]) == (f"{ORIGIN}/mcp", [BASE])
    known = await ehr.http.get(f"{found['authorization_servers'][0]}/.well-known/openid-configuration")
    assert known.json()["issuer"] == BASE


async def test_a_token_for_one_patient_shows_nobody_else(ehr: Ehr) -> None:
    token = await ehr.bearer("patient/*.rs", user=ehr.doctor, patient="ann")
    found = json.loads((await called(ehr, token, "fhir_search", type="Patient"))["content"][0]["text"])
    assert [each["id"] for each in found["entries"]] == ["ann"]
    assert (await called(ehr, token, "fhir_read", type="Patient", id="bob"))["isError"] is True
    assert (await called(ehr, token, "patient_summary", patient="bob"))["isError"] is True
    assert (await called(ehr, token, "fhirpath", type="Patient", id="bob", expression="name"))["isError"] is True
    shown = (await called(ehr, token, "fhir_capabilities"))["content"][0]["text"]
    assert json.loads(shown)["stored"] == {}, "numbers are for those who see all"


async def test_a_tool_does_no_more_than_the_scopes(ehr: Ehr) -> None:
    token = await ehr.bearer("user/Observation.rs", user=ehr.doctor)
    assert (await called(ehr, token, "fhir_search", type="Patient"))["content"][0]["text"].startswith("403")
    assert (await called(ehr, token, "fhir_read", type="Observation", id="ann-pulse"))["isError"] is False
    for tool, given in (
        ("fhir_create", {"resource": {"resourceType": "Patient"}}), ("fhir_delete", {"type": "Patient", "id": "ann"}),
        ("fhir_update", {"resource": {"resourceType": "Patient", "id": "ann"}, "version": "1"}),
    ):  # fmt: skip
        result = await called(ehr, token, tool, **given)
        assert (result["isError"], result["content"][0]["text"][:3]) == (True, "403"), result


async def test_each_use_is_in_the_audit(ehr: Ehr) -> None:
    token = await ehr.bearer("patient/*.rs", user=ehr.doctor, patient="ann")
    await called(ehr, token, "fhir_read", type="Observation", id="ann-pulse")
    await asyncio.sleep(0.3)  # reads are in the audit within 100 ms
    user = new_user("auditor", roles=("auditor",))
    await save_user(ehr.desk, user)
    auditor = await ehr.bearer("user/*.rs", user=user)
    events = (await ehr.fhir("AuditEvent?_count=100", auditor)).json()["entry"]
    texts = [json.dumps(each["resource"]) for each in events]
    tool = b64encode(f"{BASE}/$fhir_mcp/fhir_read".encode()).decode()
    assert any(tool in text and "Practitioner/doc" in text for text in texts)
    assert any('"action": "R"' in text and "Observation/ann-pulse" in text and "public-app" in text for text in texts)


async def test_a_token_that_was_asked_for_by_the_name_of_the_endpoint_is_good(ehr: Ehr) -> None:
    asked = await ehr.asked("openid launch/patient patient/*.rs", aud="", resource=f"{ORIGIN}/mcp")
    told = await ehr.walked(asked, "ann")
    answer = await ehr.redeemed(told["code"], resource=f"{ORIGIN}/mcp")
    assert answer.status_code == 200, answer.text
    result = await called(ehr, answer.json()["access_token"], "fhir_search", type="Patient")
    assert [each["id"] for each in json.loads(result["content"][0]["text"])["entries"]] == ["ann"]
    for wrong in ("https://evil.example/mcp", f"{ORIGIN}.evil.example/mcp", f"{ORIGIN}/../x", ""):
        refused = await ehr.asked("openid patient/*.rs", aud="", resource=wrong)
        assert "invalid_request" in f"{refused.headers.get('location')} {refused.text}", wrong
