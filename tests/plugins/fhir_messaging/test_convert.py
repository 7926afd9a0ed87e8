"""`$convert` turns JSON, XML and NDJSON into each other and loses nothing."""

from typing import Any

import httpx
import pytest

JSON = '{"resourceType":"Observation","id":"o","status":"final","code":{"text":"é <&>"},"valueQuantity":{"value":1.20}}'
LINES = b'{"resourceType":"Patient","id":"a"}\n\n{"resourceType":"Patient","id":"b"}\r\n'


async def converted(
    http: httpx.AsyncClient, body: str | bytes, given: str, wanted: str, **query: str
) -> httpx.Response:
    return await http.post("/$convert", content=body, headers={"content-type": given, "accept": wanted}, params=query)


async def test_json_to_xml_and_back_is_the_same(http: httpx.AsyncClient) -> None:
    xml = await converted(http, JSON, "application/fhir+json", "application/fhir+xml")
    assert (xml.status_code, xml.headers["content-type"]) == (200, "application/fhir+xml; charset=utf-8")
    assert '<value value="1.20"/>' in xml.text
    back = await converted(http, xml.content, "application/fhir+xml", "application/fhir+json")
    assert back.text == JSON


async def test_a_bundle_becomes_lines_and_lines_become_a_bundle(http: httpx.AsyncClient) -> None:
    bundle = await converted(http, LINES, "application/fhir+ndjson", "application/fhir+json")
    assert (bundle.json()["type"], [each["resource"]["id"] for each in bundle.json()["entry"]]) == (
        "collection",
        ["a", "b"],
    )
    lines = await converted(http, bundle.content, "application/fhir+json", "application/fhir+ndjson")
    assert lines.headers["content-type"].startswith("application/fhir+ndjson")
    assert lines.content == b'{"resourceType":"Patient","id":"a"}\n{"resourceType":"Patient","id":"b"}\n'
    by_format = await converted(http, JSON, "application/fhir+json", "*/*", _format="application/fhir+ndjson")
    assert by_format.text == JSON + "\n"
    xml = await converted(http, LINES, "application/x-ndjson", "application/fhir+xml")
    assert xml.text.startswith("<")
    assert xml.text.count("<Patient") == 2


@pytest.mark.parametrize(
    ("body", "given", "status", "said"),
    [
        (b'{"resourceType":"Patient"}\n{"a":', "application/fhir+ndjson", 400, "line 2"),
        (b"[]\n", "application/fhir+ndjson", 400, "line 1 is no resource"),
        (b'{"resourceType":"Patient","a":1,"a":2}', "application/fhir+ndjson", 400, "twice"),
        (b"", "application/fhir+json", 400, ""), (b"<Patient", "application/fhir+xml", 400, ""),
        (b"x: 1", "text/yaml", 415, ""), (b'{"resourceType":"Nothing"}', "application/fhir+json", 400, "Nothing"),
        (b'<!DOCTYPE a [<!ENTITY b "c">]><Patient xmlns="http://hl7.org/fhir"/>', "application/fhir+xml", 400, ""),
    ],
)  # fmt: skip
async def test_what_cannot_be_read_is_refused(
    http: httpx.AsyncClient, body: bytes, given: str, status: int, said: str
) -> None:
    answer = await converted(http, body, given, "application/fhir+json")
    assert (answer.status_code, said in answer.text) == (status, True), answer.text


async def test_a_format_that_there_is_not_is_refused(http: httpx.AsyncClient) -> None:
    answer: Any = await converted(http, JSON, "application/fhir+json", "text/turtle")
    assert answer.status_code == 406


async def test_a_type_that_there_is_not_is_named(http: httpx.AsyncClient) -> None:
    answer = await converted(http, '{"resourceType":"Nope"}', "application/fhir+json", "application/fhir+json")
    assert answer.status_code == 400
    assert answer.json()["issue"][0]["diagnostics"] == "$convert: input is of type Resource, not Nope"


async def test_what_an_operation_takes_is_said_where_it_was_given_something_else(http: httpx.AsyncClient) -> None:
    answer = await http.post("/$process-message", json={"resourceType": "Patient"})
    assert answer.status_code == 400
    said = answer.json()["issue"][0]["diagnostics"]
    assert said == "$process-message takes Bundle or Parameters, not Patient"
