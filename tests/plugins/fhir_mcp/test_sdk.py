"""The official SDK's client works with the server, on a socket."""

import json
from typing import Any

import pytest

pytest.importorskip("mcp", reason="the MCP SDK (pip install mcp) is not installed")

from mcp.client import Client


def text_of(result: Any) -> str:
    assert not result.is_error, result
    return str(result.content[0].text)


@pytest.mark.parametrize("mode", ["legacy", "auto"])
async def test_an_assistant_finds_its_way(url: str, mode: Any) -> None:
    async with Client(f"{url}/mcp", mode=mode) as client:
        tools = {tool.name: tool for tool in (await client.list_tools()).tools}
        assert set(tools) == {
            "fhir_capabilities", "fhir_search", "fhir_read", "fhir_history", "patient_summary", "terminology_lookup",
            "terminology_expand", "fhirpath",
        }  # fmt: skip
        assert all(tool.annotations.read_only_hint for tool in tools.values())
        shown = json.loads(text_of(await client.call_tool("fhir_capabilities", {"type": "Observation"})))
        assert "code (token)" in shown["searchParameters"]
        page = json.loads(text_of(await client.call_tool("fhir_search", {"type": "Observation", "count": 5})))
        assert len(page["entries"]) == 5
        again = text_of(await client.call_tool("fhir_search", {"type": "Observation", "query": page["next"]}))
        ids = [each["id"] for each in page["entries"]]
        assert not set(ids) & {each["id"] for each in json.loads(again)["entries"]}
        summary = text_of(await client.call_tool("patient_summary", {"patient": "ann"}))
        assert "Patient/ann: Ann Able (female, born 1980-03-12)" in summary
        assert "- 2024-01-20: Heart rate, 79 /min, final [Observation/pulse-19]" in summary


async def test_terminology_and_fhirpath(url: str) -> None:
    async with Client(f"{url}/mcp", mode="legacy") as client:
        gender = {"system": "http://hl7.org/fhir/administrative-gender", "code": "female"}
        assert "Female" in text_of(await client.call_tool("terminology_lookup", gender))
        codes = {"url": "http://hl7.org/fhir/ValueSet/administrative-gender", "filter": "fem"}
        assert json.loads(text_of(await client.call_tool("terminology_expand", codes)))["codes"][0]["code"] == "female"
        asked = {"type": "Patient", "id": "ann", "expression": "Patient.name.family"}
        assert "Able" in text_of(await client.call_tool("fhirpath", asked))


async def test_what_fhir_refuses_is_a_result_that_says_why(url: str) -> None:
    async with Client(f"{url}/mcp", mode="legacy") as client:
        for name, arguments, said in (
            ("fhir_read", {"type": "Patient", "id": "nobody"}, "404"),
            ("fhir_search", {"type": "Patient", "query": "colour=red"}, "colour"),
            ("fhir_search", {"type": "Pation"}, "Pation"),
            ("patient_summary", {"patient": "../Observation/pulse-1"}, "404"),
            ("fhirpath", {"type": "Patient", "id": "ann", "expression": "name.("}, "400"),
        ):  # fmt: skip
            result = await client.call_tool(name, arguments)
            assert (result.is_error, said in result.content[0].text) == (True, True), result
